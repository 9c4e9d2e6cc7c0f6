# Copies.
iptables-restore <<R
*mangle
-A PREROUTING -i tun0 -p udp -j TEE --gateway 10.0.1.9
-A FORWARD -i tun1 -p tcp -j TEE --gateway 10.0.0.9 --oif tun0
COMMIT
*filter
-A FORWARD -p udp --dport 53 -j DROP
-A FORWARD -p tcp --dport 22 -j DROP
COMMIT
R
