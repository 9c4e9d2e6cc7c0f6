# Lists of who was seen.
iptables-restore <<R
*filter
-A FORWARD -p tcp --dport 80 -m recent --name web --set
-A FORWARD -p tcp --dport 443 -m recent --name web --rcheck --seconds 600 --hitcount 3 -j REJECT --reject-with tcp-reset
-A FORWARD -p udp -m recent --name dst --rdest --mask 255.255.255.254 --update --seconds 600 --hitcount 5 -j DROP
-A FORWARD -p udp -m recent --name dst --rdest --mask 255.255.255.254 --set
-A FORWARD -p icmp -m recent --name web --remove -j DROP
-A FORWARD -m recent --name web ! --rcheck
-A FORWARD -p udp -m recent --name ttl --update --rttl
-A FORWARD -p udp -m recent --name ttl --set
COMMIT
R
