# Rarer protocols.
iptables-restore <<R
*filter
-A FORWARD -p ah -m ah --ahspi 100:300
-A FORWARD -p ah -m ah ! --ahspi 5: -j DROP
-A FORWARD -p esp -m esp --espspi 0:300 -j DROP
-A FORWARD -p esp -j REJECT --reject-with icmp-proto-unreachable
-A FORWARD -p sctp -m sctp --chunk-types only DATA,INIT -j DROP
-A FORWARD -p sctp -m sctp --chunk-types all INIT,SACK
-A FORWARD -p sctp -m sctp ! --chunk-types any HEARTBEAT,ABORT:t
-A FORWARD -p dccp -m dccp --dccp-types REQUEST,ACK -j DROP
-A FORWARD -p gre -j ACCEPT
-A FORWARD -p 99 -j DROP
COMMIT
R
