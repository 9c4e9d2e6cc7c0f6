# What is in the IP header, and changes of it.
iptables-restore <<R
*mangle
-A PREROUTING -m ttl --ttl-eq 64 -j TTL --ttl-inc 3
-A PREROUTING -m ttl --ttl-gt 100 -j TTL --ttl-dec 5
-A PREROUTING -m ttl --ttl-lt 3 -j DROP
-A FORWARD -m dscp --dscp 46 -j DSCP --set-dscp-class CS1
-A FORWARD -m tos --tos 0x10/0x3f -j TOS --set-tos 0x08
-A FORWARD -m length --length 0:60 -j TOS --or-tos 0x04
-A FORWARD -m length ! --length 0:600
-A FORWARD -m ecn --ecn-ip-ect 3 -j DROP
-A FORWARD -p tcp -m ecn --ecn-tcp-ece -j TOS --set-tos 2
-A FORWARD -p tcp -m ecn ! --ecn-tcp-cwr
-A POSTROUTING -m iprange --src-range 10.0.0.2-10.0.0.3 ! --dst-range 10.0.1.2-10.0.1.9 -j TTL --ttl-set 9
COMMIT
R
