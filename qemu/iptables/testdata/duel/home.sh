# A router at home.
ipset create blocked hash:net
ipset add blocked 1.2.3.0/24
ipset add blocked 10.0.1.3
iptables-restore <<R
*raw
-A PREROUTING -i tun1 -m set --match-set blocked src -j DROP
COMMIT
*mangle
-A FORWARD -o tun1 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
-A PREROUTING -i tun1 -p tcp -d 10.0.1.254 --dport 443 -j DNAT --to 10.0.0.2:8443
-A PREROUTING -i tun1 -p udp -d 10.0.1.254 --dport 5000:5001 -j DNAT --to 10.0.0.3
-A POSTROUTING -o tun1 -s 10.0.0.0/24 -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i tun0 -j ACCEPT
-A INPUT -p icmp --icmp-type echo-request -m limit --limit 1/hour --limit-burst 3 -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i tun0 -o tun1 -m set ! --match-set blocked dst -j ACCEPT
-A FORWARD -i tun0 -j REJECT --reject-with icmp-admin-prohibited
-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
COMMIT
R
