# All types of REJECT.
iptables-restore <<R
*filter
-A FORWARD -p udp --dport 22 -j REJECT --reject-with icmp-net-unreachable
-A FORWARD -p udp --dport 53 -j REJECT --reject-with icmp-host-unreachable
-A FORWARD -p udp --dport 80 -j REJECT --reject-with icmp-proto-unreachable
-A FORWARD -p udp --dport 443 -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -p udp --dport 8080 -j REJECT --reject-with icmp-net-prohibited
-A FORWARD -p udp --dport 5000 -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -p udp --dport 5001 -j REJECT --reject-with icmp-admin-prohibited
-A FORWARD -p tcp --dport 80 -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp --dport 443 -j REJECT
-A FORWARD -p icmp -j REJECT
-A FORWARD -p gre -j REJECT
-A INPUT -p udp -j REJECT
COMMIT
R
