# Elements of several parts, and odd values.
ipset create n hash:net,iface
ipset add n 0.0.0.0/0,eth0
ipset add n 10.0.0.0-10.0.3.255,eth1
ipset save n -s
ipset del n 10.0.0.0/22,eth1
ipset create np hash:net,port
ipset add np 10.0.0.0/24,80-82
ipset add np 10.0.0.0/24,udp:domain
ipset add np 0.0.0.0/1,1
ipset add np 10.0.0.5/32,tcp:0
ipset save np -s
ipset test np 10.0.0.7,80
ipset test np 10.0.0.7,83
ipset test np 10.0.0.0/24,80
ipset create ipi hash:ip,port,ip maxelem 3
ipset add ipi 1.1.1.1,80,2.2.2.2
ipset add ipi 1.1.1.1-1.1.1.9,80,2.2.2.3
ipset save ipi -s
ipset create hp hash:ip,port
ipset add hp 1.1.1.0/30,1-2
ipset save hp -s
ipset del hp 1.1.1.0/31,1
ipset save hp -s
ipset add hp 1.1.1.1,255:5
ipset add hp 1.1.1.1,132:5
ipset add hp 1.1.1.1,tcp:70000
ipset add hp 1.1.1.1,5-3
ipset save hp -s
ipset create t hash:ip timeout 0 comment counters
ipset add t 1.1.1.1 timeout 0 packets 1
ipset add t 1.1.1.2 bytes 5 comment ""
ipset add t 1.1.1.3 comment "a'b"
ipset add t 1.1.1.4 packets x
ipset add t 1.1.1.4 packets 18446744073709551616
ipset save t -s
ipset flush t
ipset save t
ipset create l list:set counters comment
ipset add l t packets 5 comment "x y"
ipset add l n before nope
ipset add l nope before t
ipset add l n after t
ipset add l n
ipset del l n before t
ipset test l n after t
ipset save l
ipset rename t tt
ipset destroy t
ipset del l t
ipset destroy t
ipset create b bitmap:ip range 10.0.0.5-10.0.0.50 netmask 31
ipset add b 10.0.0.6
ipset add b 10.0.0.4
ipset save b
ipset create bb bitmap:port range 80-443
ipset add bb http
ipset add bb tcp:80
ipset save bb
ipset swap b bb
ipset create "a b" hash:ip
ipset create '' hash:ip
ipset create x hash:ip hashsize 5000
ipset create y hash:ip bucketsize 3 initval 5
ipset create z hash:ip maxelem 0
ipset list x -t
ipset list y -t
ipset list z -t
ipset create w hash:ip family inet4
ipset add x 0.0.0.0/0
ipset add x 1.1.1.1-1.1.1.0
ipset add x 255.255.255.255
ipset add x 1.1.1.1/33
ipset add x 1.1.1.1/x
ipset save x -s
ipset list -o plain y
ipset list -n -t
ipset -t -n list
ipset l x -t
ipset des x
ipset dest y
ipset re
