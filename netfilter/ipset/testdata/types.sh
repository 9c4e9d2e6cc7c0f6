# Every type, and what can be done with it.
ipset create s-list:set list:set
ipset create b bitmap:ip range 10.0.0.0/24
ipset create bp bitmap:port range 1-100
ipset create b2 bitmap:ip range 10.0.0.0/16 netmask 24 timeout 30 counters comment
ipset create h2 hash:ip netmask 24 timeout 300 counters comment maxelem 5 hashsize 17 
ipset create h4 hash:ip foo
ipset create h4 hash:foo
ipset create h4
ipset create b4 bitmap:ip
ipset create b5 bitmap:ip range 1.2.3.4-1.2.3.10
ipset create b6 bitmap:ip range 0.0.0.0/0
ipset list -s
ipset add h2 1.2.3.4 timeout 0 packets 5 bytes 6 comment "a b"
ipset add h2 1.2.4.4 comment 'x"y'
ipset add h2 1.2.5.4
ipset add h2 1.2.6.4
ipset add h2 1.2.7.4
ipset add h2 1.2.8.4
ipset add h2 1.2.9.4
ipset save -s
ipset list h2 -s
ipset -o save list h2 -s
ipset list -n -s
ipset list -t -s
ipset list -s h2
ipset list nope -s
ipset add nope 1.2.3.4
ipset del nope 1.2.3.4
ipset test nope 1.2.3.4
ipset destroy nope
ipset flush nope
ipset add s-list:set nope
ipset add s-list:set s-list:set
ipset add b 10.0.0.5
ipset add b 10.0.0.5-10.0.0.7
ipset add b 10.0.1.5
ipset add bp 80-90
ipset add bp 101
ipset add b2 10.0.5.5
ipset save -s
ipset rename nope foo
ipset rename b b2
ipset swap s-hash:ip h2
ipset list h2 -s
ipset flush b
ipset flush
ipset destroy
ipset foo
ipset
ipset -v
ipset version
