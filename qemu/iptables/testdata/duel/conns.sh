# How many connections, and how long.
iptables-restore <<R
*filter
-A FORWARD -m conntrack --ctstate NEW -p udp -m connlimit --connlimit-above 3
-A FORWARD -m conntrack --ctstate NEW -p icmp -m connlimit --connlimit-upto 2 --connlimit-mask 31 --connlimit-daddr
-A FORWARD -m conntrack --ctstate NEW -m connlimit --connlimit-above 10 --connlimit-mask 24
-A FORWARD -p udp -m connbytes --connbytes 2 --connbytes-dir original --connbytes-mode packets
-A FORWARD -m connbytes --connbytes 100:2000 --connbytes-dir both --connbytes-mode bytes
-A FORWARD -m connbytes ! --connbytes 200 --connbytes-dir both --connbytes-mode avgpkt
COMMIT
R
