# Options of the command and of elements.
ipset create a hash:ip maxelem 2
ipset add a 0.0.0.0
ipset add a 1.1.1.1
ipset add a 1.1.1.2
ipset add a 1.1.1.3
ipset create n hash:net counters timeout 0 comment
ipset add n 1.2.3.0/24 timeout 100 nomatch packets 3 bytes 4 comment "hi there"
ipset list n -s
ipset add n 1.2.3.0/24 comment x -exist
ipset save n -s
ipset add n 1.2.4.0/24 foo
ipset add n 1.2.4.0/24 timeout
ipset add n 1.2.4.0/24 timeout x
ipset add n 1.2.4.0/24 timeout 9999999999
ipset test n 1.2.3.0/24 nomatch
ipset test n 1.2.3.1
ipset create
ipset create foo
ipset create foo hash:ip maxelem x
ipset create foo hash:ip maxelem
ipset create foo hash:ip hashsize 0
ipset create foo hash:ip netmask 33
ipset create foo hash:ip netmask 0
ipset create foo hash:net netmask 24
ipset create averyveryveryveryveryverylongchainname hash:ip
ipset create foo hash:ip family inet
ipset create foo2 hash:ip -4
ipset create foo3 iphash
ipset create foo4 hash:ip timeout 5 family inet counters maxelem 99 hashsize 64
ipset create l list:set size 3 timeout 5
ipset add l foo
ipset add l foo2 after foo
ipset add l foo3 before foo2 timeout 9
ipset add l foo4
ipset add l a
ipset list l -s
ipset del l foo2 after foo
ipset del l foo4
ipset test l a
ipset destroy l foo
ipset add bp2
ipset create bp2 bitmap:port range 100-1
ipset create bp3 bitmap:port range 0-65535
ipset create bp4 bitmap:port range x
ipset create bi bitmap:ip range 1.2.3.4
ipset create bi2 bitmap:ip range 1.2.3.0/24 netmask 30
ipset add bi2 1.2.3.5-1.2.3.20
ipset list bi2 -s
ipset -q add a 1.1.1.1
ipset -! add a 1.1.1.1
ipset -exist add a 1.1.1.1
ipset -n list
ipset list -o save a -s
ipset list -o foo
ipset save -o plain a -s
ipset -N x1 hash:ip
ipset -A x1 1.2.3.4
ipset -T x1 1.2.3.4
ipset -D x1 1.2.3.4
ipset -L x1
ipset -S x1
ipset -F x1
ipset -E x1 x2
ipset -W x2 a
ipset -X x2
ipset n y1 hash:ip
ipset swap a
ipset rename a
ipset destroy a b
ipset flush nope
ipset list -n a -s
ipset test a 1.1.1.0/30
ipset add a 1.2.3.4,5
ipset add n 10.0.0.1-10.0.0.10
ipset del n 10.0.0.1-10.0.0.10
ipset list n -s
ipset restore <<E
create r1 hash:ip
add r1 1.2.3.4
# comment

add r1 1.2.3.4
add r1 1.2.3.5
E
ipset list r1 -s
ipset restore -exist <<E
create r1 hash:ip
add r1 1.2.3.4
add r1 1.2.3.4
add r1 1.2.3.5
COMMIT
E
ipset list r1 -s
ipset restore <<E
create r2 hash:ip comment
add r2 1.2.3.4 comment "a b c"
add r2 1.2.3.5 comment abc
E
ipset save r2 -s
ipset restore -! <<E
add nope 1.2.3.4
E
