# Whole networks translated.
iptables-restore <<R
*nat
-A PREROUTING -i tun1 -d 10.0.0.0/24 -j NETMAP --to 10.0.0.0/30
-A POSTROUTING -o tun1 -s 10.0.0.0/24 -j NETMAP --to 172.16.5.0/24
COMMIT
R
