# What matches refuse.
iptables -t filter -A FORWARD -p tcp -m tcp --dport 99999
iptables -t filter -A FORWARD -p tcp -m tcp --dport 5:2
iptables -t filter -A FORWARD -p tcp -m tcp --dport 5:99999
iptables -t filter -A FORWARD -p tcp -m tcp --dport foo
iptables -t filter -A FORWARD -p tcp -m tcp --dport ''
iptables -t filter -A FORWARD -p tcp -m tcp --dport -5
iptables -t filter -A FORWARD -p tcp -m tcp --dport 5 --dport 6
iptables -t filter -A FORWARD -p tcp -m tcp --sport 5 --source-port 6
iptables -t filter -A FORWARD -p tcp -m tcp --tcp-option 0
iptables -t filter -A FORWARD -p tcp -m tcp --tcp-option 256
iptables -t filter -A FORWARD -p tcp -m tcp --tcp-flags FOO BAR
iptables -t filter -A FORWARD -p tcp -m tcp --tcp-flags SYN,, BAR
iptables -t filter -A FORWARD -p tcp -m tcp --syn --tcp-flags SYN SYN
iptables -t filter -A FORWARD -p tcp -m tcp --d 5
iptables -t filter -A FORWARD -p udp -m tcp --dport 5
iptables -t filter -A FORWARD ! -p tcp -m tcp --dport 5
iptables -t filter -A FORWARD -m tcp --dport 5
iptables -t filter -A FORWARD -m udp --dport 5
iptables -t filter -A FORWARD -p icmp -m icmp
iptables -t filter -A FORWARD -p icmp -m icmp --icmp-type foo
iptables -t filter -A FORWARD -p icmp -m icmp --icmp-type 256
iptables -t filter -A FORWARD -p icmp -m icmp --icmp-type 3/256
iptables -t filter -A FORWARD -p icmp -m icmp --icmp-type echo-re
iptables -t filter -A FORWARD -p icmp -m icmp --icmp-type 3 --icmp-type 4
iptables -t filter -A FORWARD -p tcp -m multiport
iptables -t filter -A FORWARD -m multiport --dports 5
iptables -t filter -A FORWARD ! -p tcp -m multiport --dports 5
iptables -t filter -A FORWARD -p icmp -m multiport --dports 5
iptables -t filter -A FORWARD -p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16
iptables -t filter -A FORWARD -p tcp -m multiport --dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15:16
iptables -t filter -A FORWARD -p tcp -m multiport --dports 5:2
iptables -t filter -A FORWARD -p tcp -m multiport --dports 5:5
iptables -t filter -A FORWARD -p tcp -m multiport --dports 5,foo
iptables -t filter -A FORWARD -p tcp -m multiport --dports 5 --sports 6
iptables -t filter -A FORWARD -p tcp -m multiport --dports 5 --ports 6
iptables -t filter -A FORWARD -m iprange
iptables -t filter -A FORWARD -m iprange --src-range foo
iptables -t filter -A FORWARD -m iprange --src-range 1.2.3.4-foo
iptables -t filter -A FORWARD -m mark
iptables -t filter -A FORWARD -m mark --mark x
iptables -t filter -A FORWARD -m mark --mark 5/x
iptables -t filter -A FORWARD -m mark --mark 0x100000000
iptables -t filter -A FORWARD -m mark ! --mark 5 --mark 6
iptables -t filter -A FORWARD -m connmark
iptables -t filter -A FORWARD -m connmark --mark foo
iptables -t filter -A FORWARD -m conntrack
iptables -t filter -A FORWARD -m conntrack --ctstate FOO
iptables -t filter -A FORWARD -m conntrack --ctstate NEW,FOO
iptables -t filter -A FORWARD -m conntrack --ctstate ''
iptables -t filter -A FORWARD -m conntrack --ctproto foo
iptables -t filter -A FORWARD -m conntrack --ctstatus FOO
iptables -t filter -A FORWARD -m conntrack --ctexpire x
iptables -t filter -A FORWARD -m conntrack --ctexpire 5:x
iptables -t filter -A FORWARD -m conntrack --ctdir FOO
iptables -t filter -A FORWARD -m conntrack ! --ctdir REPLY
iptables -t filter -A FORWARD -m state
iptables -t filter -A FORWARD -m state --state FOO
iptables -t filter -A FORWARD -m state --state SNAT
iptables -t filter -A FORWARD -m limit --limit 0
iptables -t filter -A FORWARD -m limit --limit x
iptables -t filter -A FORWARD -m limit --limit 5/x
iptables -t filter -A FORWARD -m limit --limit 100000/s
iptables -t filter -A FORWARD -m limit --limit 5/s --limit-burst 0
iptables -t filter -A FORWARD -m limit --limit 5/s --limit-burst 10001
iptables -t filter -A FORWARD -m limit --limit 5/s --limit-burst x
iptables -t filter -A FORWARD -m limit ! --limit 5/s
iptables -t filter -A FORWARD -m mac
iptables -t filter -A FORWARD -m mac --mac-source 00:1
iptables -t filter -A FORWARD -m mac --mac-source 00:11:22:33:44:gg
iptables -t filter -A FORWARD -m addrtype
iptables -t filter -A FORWARD -m addrtype --src-type FOO
iptables -t filter -A FORWARD -m addrtype --src-type ''
iptables -t filter -A FORWARD -m addrtype --src-type LOCAL --limit-iface-in --limit-iface-out
iptables -t filter -A FORWARD -m comment
iptables -t filter -A FORWARD -m length
iptables -t filter -A FORWARD -m length --length x
iptables -t filter -A FORWARD -m length --length 65536
iptables -t filter -A FORWARD -m length --length 1:65536
iptables -t filter -A FORWARD -m ttl
iptables -t filter -A FORWARD -m ttl --ttl 300
iptables -t filter -A FORWARD -m ttl --ttl-eq 3 --ttl-gt 2
iptables -t filter -A FORWARD -m ttl ! --ttl-gt 2
iptables -t filter -A FORWARD -m tos
iptables -t filter -A FORWARD -m tos --tos 256
iptables -t filter -A FORWARD -m tos --tos foo
iptables -t filter -A FORWARD -m tos --tos 5/x
iptables -t filter -A FORWARD -m dscp
iptables -t filter -A FORWARD -m dscp --dscp 64
iptables -t filter -A FORWARD -m dscp --dscp-class XX
iptables -t filter -A FORWARD -m dscp --dscp 5 --dscp-class EF
iptables-save -t filter
iptables -t filter -L FORWARD -n -v
iptables -t filter -L FORWARD
iptables -t filter -F
# Where matches may stand.
iptables -t filter -A OUTPUT -m mac --mac-source 00:11:22:33:44:55
iptables -t filter -A OUTPUT -m addrtype --src-type LOCAL --limit-iface-in
iptables -t filter -A OUTPUT -m addrtype --src-type LOCAL --limit-iface-out
iptables-save -t filter
iptables -t filter -L OUTPUT -n -v
iptables -t filter -L OUTPUT
iptables -t filter -F
