# Sets asked and changed.
ipset create a hash:ip
ipset add a 10.0.0.1-10.0.0.2
ipset create n hash:net counters
ipset add n 10.0.0.0/24
ipset add n 10.0.0.2/31 nomatch
ipset add n 10.0.1.4
ipset create p hash:ip,port
ipset add p 10.0.1.1,tcp:80
ipset add p 10.0.1.2,udp:53
ipset add p 10.0.1.3,icmp:8/0
ipset create seen hash:ip,port,ip timeout 600 counters
ipset create gone hash:ip
ipset add gone 10.0.1.0/29
ipset create i hash:net,iface
ipset add i 10.0.0.0/30,tun0
ipset create bp bitmap:port range 1-6000
ipset add bp 5000-5003
ipset add bp 80
ipset create l list:set
ipset add l p
ipset add l a
iptables-restore <<R
*filter
-A FORWARD -m set --match-set a src -m set ! --match-set a dst
-A FORWARD -m set --match-set n src -j SET --add-set seen src,dst,dst --exist
-A FORWARD -m set --match-set n src --return-nomatch
-A FORWARD -m set --match-set n dst,dst ! --update-counters
-A FORWARD -m set --match-set p dst,dst -j DROP
-A FORWARD -m set --match-set seen src,dst,dst --packets-gt 1 -j REJECT
-A FORWARD -m set --match-set i src,src
-A FORWARD -m set --match-set i src,dst
-A FORWARD -m set --match-set bp dst
-A FORWARD -m set --match-set bp src -j DROP
-A FORWARD -m set --match-set l dst,dst
-A FORWARD -p icmp -s 10.0.1.0/24 -j SET --del-set gone src
-A FORWARD -m set --match-set gone src
-A FORWARD -m set --match-set gone dst,dst
COMMIT
R
