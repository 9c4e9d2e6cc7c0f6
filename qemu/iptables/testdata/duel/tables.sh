# Every table at every hook.
iptables-restore <<R
*raw
-A PREROUTING -p udp --dport 5001 -j DROP
-A OUTPUT -p icmp
COMMIT
*mangle
-A PREROUTING -s 10.0.0.3 -j DROP
-A INPUT -p tcp -j DROP
-A FORWARD -p tcp --dport 6000 -j DROP
-A OUTPUT -p icmp -j TOS --set-tos 0x10
-A POSTROUTING -d 10.0.1.3 -j DROP
COMMIT
*filter
-A INPUT -p icmp
-A FORWARD -p udp --dport 22 -j DROP
-A OUTPUT -d 10.0.0.2 -j DROP
COMMIT
*security
-A FORWARD -p udp --dport 80 -j DROP
-A INPUT -p icmp -s 10.0.1.1 -j DROP
COMMIT
R
