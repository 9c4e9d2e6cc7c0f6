# Matches.
iptables -t filter -A INPUT -p icmp -m icmp --icmp-type echo-request
iptables -t filter -A INPUT -p icmp -m icmp ! --icmp-type 3/4
iptables -t filter -A INPUT -p icmp -m icmp --icmp-type any
iptables -t filter -A INPUT -p icmp -m icmp --icmp-type 3
iptables -t filter -A INPUT -p icmp -m icmp --icmp-type 200
iptables -t filter -A INPUT -p icmp -m icmp --icmp-type network-unreachable
iptables -t filter -A INPUT -p icmp -m icmp --icmp-type 5/7
iptables -t filter -A INPUT -p icmp -m icmp ! --icmp-type ttl-exceeded
iptables -t filter -A INPUT -p tcp -m tcp --sport 1:5 ! --dport 22 --syn
iptables -t filter -A INPUT -p tcp -m tcp ! --sport 0:65535
iptables -t filter -A INPUT -p tcp -m tcp --sport 0:65535
iptables -t filter -A INPUT -p tcp -m tcp ! --tcp-flags ALL NONE --tcp-option 5
iptables -t filter -A INPUT -p tcp -m tcp --tcp-flags SYN,ACK,FIN SYN
iptables -t filter -A INPUT -p tcp -m tcp --dport http
iptables -t filter -A INPUT -p udp -m udp --sport domain --dport 1000:
iptables -t filter -A INPUT -p tcp -m multiport --dports 22,80,443
iptables -t filter -A INPUT -p tcp -m multiport ! --sports 1:5,7
iptables -t filter -A INPUT -p udp -m multiport --ports 53,1024:2000,ntp
iptables -t filter -A INPUT -m iprange --src-range 10.0.0.1-10.0.0.9
iptables -t filter -A INPUT -m mark --mark 0x10
iptables -t filter -A INPUT -m mark ! --mark 16/0xff
iptables -t filter -A INPUT -m mark --mark 0/0
iptables -t filter -A INPUT -m connmark --mark 5
iptables -t filter -A INPUT -m connmark ! --mark 5/7
iptables -t filter -A INPUT -m conntrack --ctstate NEW,ESTABLISHED
iptables -t filter -A INPUT -m conntrack ! --ctstate INVALID,RELATED,UNTRACKED,SNAT,DNAT
iptables -t filter -A INPUT -m conntrack --ctproto tcp
iptables -t filter -A INPUT -m conntrack --ctproto udp --ctorigsrcport 5 ! --ctorigdstport 5:7 --ctreplsrcport 80 --ctrepldstport 1:
iptables -t filter -A INPUT -m conntrack --ctstatus SEEN_REPLY,ASSURED
iptables -t filter -A INPUT -m conntrack ! --ctstatus NONE
iptables -t filter -A INPUT -m conntrack --ctstatus EXPECTED,CONFIRMED --ctexpire 10
iptables -t filter -A INPUT -m conntrack ! --ctexpire 10:20 --ctdir ORIGINAL
iptables -t filter -A INPUT -m conntrack --ctdir REPLY
iptables -t filter -A INPUT -m state --state NEW
iptables -t filter -A INPUT -m state ! --state RELATED,ESTABLISHED,INVALID,UNTRACKED
iptables -t filter -A INPUT -m limit
iptables -t filter -A INPUT -m limit --limit 5/min --limit-burst 3
iptables -t filter -A INPUT -m limit --limit 7/second
iptables -t filter -A INPUT -m limit --limit 100/day
iptables -t filter -A INPUT -m limit --limit 24/hour
iptables -t filter -A INPUT -m limit --limit 10000/s
iptables -t filter -A INPUT -m limit --limit 1
iptables -t filter -A INPUT -m mac --mac-source 00:11:22:aa:bb:cc
iptables -t filter -A INPUT -m mac ! --mac-source 00:11:22:aa:bb:cc
iptables -t filter -A INPUT -m addrtype --dst-type LOCAL
iptables -t filter -A INPUT -m addrtype ! --src-type UNICAST,BROADCAST --dst-type MULTICAST
iptables -t filter -A INPUT -m addrtype --src-type LOCAL --limit-iface-in
iptables -t filter -A INPUT -m comment --comment hello
iptables -t filter -A INPUT -m comment --comment "hello world"
iptables -t filter -A INPUT -m comment --comment 'it'"'"'s "q" \ x'
iptables -t filter -A INPUT -m length --length 100
iptables -t filter -A INPUT -m length ! --length 100:200
iptables -t filter -A INPUT -m length --length :200
iptables -t filter -A INPUT -m length --length 200:
iptables -t filter -A INPUT -m ttl --ttl-eq 5
iptables -t filter -A INPUT -m ttl ! --ttl-eq 5
iptables -t filter -A INPUT -m ttl --ttl-gt 5
iptables -t filter -A INPUT -m ttl --ttl-lt 5
iptables -t filter -A INPUT -m tos --tos 0x10
iptables -t filter -A INPUT -m tos ! --tos Minimize-Delay
iptables -t filter -A INPUT -m tos --tos 0x20/0xe0
iptables -t filter -A INPUT -m dscp --dscp 10
iptables -t filter -A INPUT -m dscp ! --dscp 0x3f
iptables -t filter -A INPUT -m dscp --dscp-class AF31
iptables -t filter -A INPUT -m dscp --dscp-class EF
iptables -t filter -A INPUT -m iprange ! --dst-range 10.0.0.1-10.0.0.9 --src-range 1.1.1.1
iptables -t filter -A INPUT -p tcp -m tcp --sport 7: --dport :9
iptables -t filter -A INPUT -p tcp -m tcp ! --syn
iptables -t filter -A INPUT -p tcp -m tcp --tcp-flags ALL ALL
iptables -t filter -A INPUT -p tcp -m tcp --tcp-flags NONE NONE
iptables -t filter -A INPUT -p tcp -m tcp --tcp-flags syn ACK,rst
iptables -t filter -A INPUT -p udp -m udp ! --sport 5 ! --dport 6:7
iptables -t filter -A INPUT -p udplite -m udp --dport 5
iptables -t filter -A INPUT -p sctp -m multiport --dports 80,443
iptables -t filter -A INPUT -p dccp -m multiport --sports 80
iptables -t filter -A INPUT -p tcp -m multiport --dports 1:3,5:7
iptables -t filter -A INPUT -p tcp -m multiport --source-ports 1
iptables -t filter -A INPUT -p tcp -m multiport --destination-ports 1
iptables -t filter -A INPUT -m mark --mark 0xffffffff
iptables -t filter -A INPUT -m mark --mark 010
iptables -t filter -A INPUT -m connmark --mark 0
iptables -t filter -A INPUT -m conntrack --ctstate new
iptables -t filter -A INPUT -m conntrack --ctstate UNTRACKED
iptables -t filter -A INPUT -m conntrack --ctproto icmp --ctorigsrc 10.0.0.0/8
iptables -t filter -A INPUT -m conntrack --ctorigsrc 10.0.0.1/32 ! --ctreplsrc 10.1.0.0/255.255.0.0
iptables -t filter -A INPUT -m conntrack --ctexpire 5:
iptables -t filter -A INPUT -m conntrack --ctexpire :5
iptables -t filter -A INPUT -m conntrack --ctproto tcp --ctorigdstport http
iptables -t filter -A INPUT -m conntrack --ctproto tcp --ctorigdstport 5:5
iptables -t filter -A INPUT -m limit --limit 1/minute
iptables -t filter -A INPUT -m limit --limit 3/s --limit-burst 100
iptables -t filter -A INPUT -m limit --limit 59/hour
iptables -t filter -A INPUT -m limit --limit 61/hour
iptables -t filter -A INPUT -m limit --limit 5/m
iptables -t filter -A INPUT -m limit --limit 7/day
iptables -t filter -A INPUT -m mac --mac-source 0:1:2:A:b:C
iptables -t filter -A INPUT -m addrtype --src-type unicast,LOCAL,UNREACHABLE
iptables -t filter -A INPUT -m comment --comment a
iptables -t filter -A INPUT -m comment --comment ''
iptables -t filter -A INPUT -m comment --comment a_b-c
iptables -t filter -A INPUT -m comment --comment a.b
iptables -t filter -A INPUT -m length --length 0
iptables -t filter -A INPUT -m length --length 0x10:0x20
iptables -t filter -A INPUT -m length --length 65535
iptables -t filter -A INPUT -m ttl --ttl 1
iptables -t filter -A INPUT -m tos --tos 0
iptables -t filter -A INPUT -m tos --tos 0xff
iptables -t filter -A INPUT -m tos --tos 16
iptables -t filter -A INPUT -m tos --tos minimize-cost
iptables -t filter -A INPUT -m tos --tos Normal-Service
iptables -t filter -A INPUT -m tos --tos 8/0x3f
iptables -t filter -A INPUT -m dscp --dscp 0x0
iptables -t filter -A INPUT -m dscp --dscp-class be
iptables -t filter -A INPUT -m dscp ! --dscp-class cs7
iptables -t filter -A INPUT -p icmp --icmp-type ping
iptables -t filter -A INPUT -p icmp --icmp-type 0
iptables -t filter -A INPUT -p icmp --icmp-type 3/15
iptables -t filter -A INPUT -p icmp --icmp-type 8/0
iptables -t filter -A INPUT -p icmp ! --icmp-type any
iptables -t filter -A INPUT -p icmp --icmp-type 255
iptables -t filter -A INPUT -p tcp --syn
iptables -t filter -A INPUT -p tcp --dport 5 -m state --state NEW -m comment --comment x
iptables-save -t filter
iptables -t filter -L INPUT -n -v
iptables -t filter -L INPUT
iptables -t filter -F
