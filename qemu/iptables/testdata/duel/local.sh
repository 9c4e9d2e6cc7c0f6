# What the machine itself knows: sockets, bridges, IPsec, realms, processors.
iptables-restore <<R
*mangle
-A PREROUTING -m socket
-A PREROUTING -m socket --nowildcard
-A PREROUTING -p udp -m socket --transparent -j DROP
-A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 3129 --tproxy-mark 1
-A INPUT -m policy --dir in --pol none
-A INPUT -m policy --dir in --pol ipsec -j DROP
-A FORWARD -m policy --dir out --pol ipsec --strict --proto esp -j DROP
-A FORWARD -m policy --dir in --pol none -j TOS --set-tos 0x10
-A POSTROUTING -m owner --uid-owner 0 -j DROP
-A POSTROUTING -m owner ! --uid-owner 5 -j TTL --ttl-inc 1
-A POSTROUTING -m owner ! --socket-exists
-A POSTROUTING -m owner ! --socket-exists --gid-owner 0 -j DROP
COMMIT
*filter
-A FORWARD -m physdev --physdev-in eth0 -j DROP
-A FORWARD -m physdev ! --physdev-is-bridged
-A FORWARD -m physdev ! --physdev-is-in --physdev-out eth1 -j DROP
-A FORWARD -m physdev ! --physdev-is-in ! --physdev-out eth1
-A FORWARD -m realm --realm 5 -j DROP
-A FORWARD -m realm ! --realm 5
-A FORWARD -m realm --realm 0/0xff
-A FORWARD -p ipcomp -m ipcomp --ipcompspi 0:30000 -j DROP
-A FORWARD -p ipcomp -m ipcomp ! --ipcompspi 40000 -j ACCEPT
-A FORWARD -m cpu --cpu 99 -j DROP
-A FORWARD -j AUDIT --type accept
-A OUTPUT -m owner --socket-exists -j DROP
COMMIT
R
