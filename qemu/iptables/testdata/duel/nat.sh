# Address translation both ways.
iptables-restore <<R
*nat
-A PREROUTING -i tun1 -d 10.0.0.1 -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8081
-A PREROUTING -i tun1 -d 10.0.0.2 -p udp --dport 53 -j DNAT --to-destination 10.0.0.2:5353
-A PREROUTING -i tun0 -p udp --dport 53 -d 10.0.1.1 -j REDIRECT --to-ports 5353
-A POSTROUTING -o tun1 -p icmp -j SNAT --to-source 10.0.1.99
-A POSTROUTING -o tun1 -s 10.0.0.1 -j SNAT --to-source 10.0.1.98
-A POSTROUTING -o tun1 -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
-A FORWARD -i tun0 -j ACCEPT
COMMIT
R
