# Ports and flags.
iptables-restore <<R
*filter
:FORWARD DROP [0:0]
-A FORWARD -p tcp --dport 80 -j ACCEPT
-A FORWARD -p tcp -m tcp --sport 1024:3000 --dport 5000:6000 -j ACCEPT
-A FORWARD -p tcp --syn --dport 22 -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp --tcp-flags ALL NONE -j DROP
-A FORWARD -p tcp --tcp-flags SYN,FIN SYN,FIN
-A FORWARD -p tcp ! --syn -j ACCEPT
-A FORWARD -p tcp --tcp-option 2 --dport 443 -j ACCEPT
-A FORWARD -p tcp ! --tcp-option 4 -j REJECT
-A FORWARD -p udp --dport 53 -j ACCEPT
-A FORWARD -p udp ! --dport :1024 --sport 2000: -j ACCEPT
-A FORWARD -p udp -m multiport --dports 22,80,443,5000:5500 -j ACCEPT
-A FORWARD -p tcp -m multiport ! --ports 22,8080 -j ACCEPT
-A FORWARD -p udp -m multiport --sports 2024,2025,3026 -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -p icmp --icmp-type echo-request -j ACCEPT
-A FORWARD -p icmp --icmp-type 3/1 -j ACCEPT
-A FORWARD -p icmp ! --icmp-type 8/1
-A FORWARD -p sctp --dport 80:6000 -j ACCEPT
-A FORWARD -p dccp -m dccp --sport 2000:4000 -j ACCEPT
-A FORWARD -p sctp --chunk-types any INIT,SACK -j ACCEPT
COMMIT
R
