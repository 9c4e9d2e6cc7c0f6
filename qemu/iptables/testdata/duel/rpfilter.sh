# Where packets come from.
iptables-restore <<R
*raw
-A PREROUTING -m rpfilter --invert -j DROP
-A PREROUTING -m rpfilter --loose
-A PREROUTING -m rpfilter --accept-local
-A PREROUTING -s 10.0.0.0/30 -p udp -j NOTRACK
-A PREROUTING -p tcp --dport 22 -j CT --notrack
COMMIT
*filter
-A FORWARD -m conntrack --ctstate UNTRACKED
-A FORWARD -m conntrack --ctstate ESTABLISHED -j DROP
-A FORWARD -m addrtype --dst-type UNICAST
-A FORWARD -m addrtype ! --src-type UNICAST -j DROP
-A INPUT -m addrtype --dst-type LOCAL --limit-iface-in
-A INPUT -m pkttype --pkt-type unicast
COMMIT
R
