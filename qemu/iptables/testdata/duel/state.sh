# A stateful filter.
iptables-restore <<R
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m state --state INVALID -j DROP
-A FORWARD -i tun0 -m conntrack --ctstate NEW -p udp -j ACCEPT
-A FORWARD -i tun0 -m conntrack --ctstate NEW -p icmp -j ACCEPT
-A FORWARD -i tun0 -p tcp --syn -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -p gre -m conntrack ! --ctstate NEW -j REJECT
-A FORWARD -m conntrack --ctdir REPLY
-A FORWARD -m conntrack --ctproto tcp --ctorigdstport 80 -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,NEW -p icmp -j ACCEPT
COMMIT
R
