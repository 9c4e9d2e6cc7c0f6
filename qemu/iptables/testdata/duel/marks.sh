# Marks of packets and connections.
iptables-restore <<R
*mangle
-A PREROUTING -j CONNMARK --restore-mark
-A PREROUTING -m mark ! --mark 0 -j ACCEPT
-A PREROUTING -p tcp --dport 80 -j MARK --set-mark 1
-A PREROUTING -p udp -j MARK --set-xmark 0x2/0xff
-A PREROUTING -s 10.0.0.0/30 -j MARK --or-mark 0x100
-A PREROUTING -p icmp -j MARK --and-mark 0xf0
-A PREROUTING -j CONNMARK --save-mark
-A POSTROUTING -m mark --mark 1 -j TOS --set-tos 0x10
-A POSTROUTING -m mark --mark 0x100/0x100 -j DSCP --set-dscp 10
-A POSTROUTING -m connmark --mark 2/0xff -j TTL --ttl-set 77
COMMIT
*filter
-A FORWARD -m connmark ! --mark 0 -m mark --mark 0x102
-A FORWARD -m mark --mark 0x101 -j DROP
COMMIT
R
