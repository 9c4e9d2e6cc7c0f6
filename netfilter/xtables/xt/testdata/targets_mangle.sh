# Targets of mangle.
iptables -t mangle -A FORWARD -j MARK --set-mark 5
iptables -t mangle -A FORWARD -j MARK --set-mark 5/0xff
iptables -t mangle -A FORWARD -j MARK --set-xmark 0x5/0xff
iptables -t mangle -A FORWARD -j MARK --set-mark 0
iptables -t mangle -A FORWARD -j MARK --and-mark 5
iptables -t mangle -A FORWARD -j MARK --or-mark 5
iptables -t mangle -A FORWARD -j MARK --xor-mark 5
iptables -t mangle -A FORWARD -j CONNMARK --set-mark 5
iptables -t mangle -A FORWARD -j CONNMARK --set-xmark 5/7
iptables -t mangle -A FORWARD -j CONNMARK --set-mark 5/7
iptables -t mangle -A FORWARD -j CONNMARK --save-mark
iptables -t mangle -A FORWARD -j CONNMARK --restore-mark
iptables -t mangle -A FORWARD -j CONNMARK --save-mark --mask 0xff
iptables -t mangle -A FORWARD -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff00
iptables -t mangle -A FORWARD -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff00
iptables -t mangle -A FORWARD -j CONNMARK --and-mark 5
iptables -t mangle -A FORWARD -j CONNMARK --or-mark 5
iptables -t mangle -A FORWARD -j CONNMARK --xor-mark 5
iptables -t mangle -A FORWARD -j CONNMARK --restore-mark --mask 3
iptables -t mangle -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
iptables -t mangle -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1400
iptables -t mangle -A FORWARD -j TTL --ttl-set 5
iptables -t mangle -A FORWARD -j TTL --ttl-inc 5
iptables -t mangle -A FORWARD -j TTL --ttl-dec 1
iptables -t mangle -A FORWARD -j TOS --set-tos 0x10
iptables -t mangle -A FORWARD -j TOS --set-tos 0x10/0xff
iptables -t mangle -A FORWARD -j TOS --set-tos Minimize-Delay
iptables -t mangle -A FORWARD -j TOS --set-tos 0
iptables -t mangle -A FORWARD -j TOS --and-tos 3
iptables -t mangle -A FORWARD -j TOS --or-tos 3
iptables -t mangle -A FORWARD -j TOS --xor-tos 3
iptables -t mangle -A FORWARD -j DSCP --set-dscp 10
iptables -t mangle -A FORWARD -j DSCP --set-dscp-class cs3
iptables -t mangle -A FORWARD -p tcp -j ECN --ecn-tcp-remove
iptables -t mangle -A FORWARD -j CLASSIFY --set-class 1:a
iptables -t mangle -A FORWARD -j CHECKSUM --checksum-fill
iptables -t mangle -A FORWARD -p tcp -j TCPOPTSTRIP --strip-options 3,4,timestamp
iptables -t mangle -A FORWARD -p tcp -j TCPOPTSTRIP --strip-options mss,wscale,sack-permitted,sack,md5,255
iptables -t mangle -A FORWARD -j TEE --gateway 1.2.3.4 --oif eth0
iptables -t mangle -A FORWARD -j MARK
iptables -t mangle -A FORWARD -j MARK --set-mark x
iptables -t mangle -A FORWARD -j MARK --set-mark 5 --or-mark 6
iptables -t mangle -A FORWARD -j MARK --or-mark 5/6
iptables -t mangle -A FORWARD -j CONNMARK
iptables -t mangle -A FORWARD -j CONNMARK --set-mark x
iptables -t mangle -A FORWARD -j CONNMARK --mask 5
iptables -t mangle -A FORWARD -j CONNMARK --save-mark --restore-mark
iptables -t mangle -A FORWARD -j CONNMARK --set-mark 5 --mask 6
iptables -t mangle -A FORWARD -j TCPMSS --set-mss 5
iptables -t mangle -A FORWARD -p tcp -j TCPMSS --set-mss 5
iptables -t mangle -A FORWARD -p tcp -m tcp ! --syn -j TCPMSS --set-mss 5
iptables -t mangle -A FORWARD -p tcp -m tcp --syn -j TCPMSS
iptables -t mangle -A FORWARD -p tcp -m tcp --syn -j TCPMSS --set-mss 70000
iptables -t mangle -A FORWARD -p tcp -m tcp --syn -j TCPMSS --set-mss 5 --clamp-mss-to-pmtu
iptables -t mangle -A FORWARD -j TTL
iptables -t mangle -A FORWARD -j TTL --ttl-set 256
iptables -t mangle -A FORWARD -j TTL --ttl-dec 0
iptables -t mangle -A FORWARD -j TTL --ttl-set 5 --ttl-inc 5
iptables -t mangle -A FORWARD -j TOS
iptables -t mangle -A FORWARD -j TOS --set-tos 256
iptables -t mangle -A FORWARD -j TOS --set-tos foo
iptables -t mangle -A FORWARD -j TOS --and-tos 256
iptables -t mangle -A FORWARD -j DSCP
iptables -t mangle -A FORWARD -j DSCP --set-dscp 64
iptables -t mangle -A FORWARD -j DSCP --set-dscp-class foo
iptables -t mangle -A FORWARD -j ECN
iptables -t mangle -A FORWARD -j ECN --ecn-tcp-remove
iptables -t mangle -A FORWARD -j CLASSIFY
iptables -t mangle -A FORWARD -j CLASSIFY --set-class 5
iptables -t mangle -A FORWARD -j CLASSIFY --set-class x:1
iptables -t mangle -A FORWARD -j CHECKSUM
iptables -t mangle -A FORWARD -j TCPOPTSTRIP --strip-options 3
iptables -t mangle -A FORWARD -p tcp -j TCPOPTSTRIP
iptables -t mangle -A FORWARD -p tcp -j TCPOPTSTRIP --strip-options foo
iptables -t mangle -A FORWARD -p tcp -j TCPOPTSTRIP --strip-options 1
iptables -t mangle -A FORWARD -j TEE
iptables -t mangle -A FORWARD -j REJECT
iptables-save -t mangle
iptables -t mangle -L FORWARD -n -v
iptables -t mangle -L FORWARD
iptables -t mangle -F
# Where they may not stand.
iptables -t mangle -A PREROUTING -p tcp -m tcp --syn -j TCPMSS --clamp-mss-to-pmtu
iptables -t mangle -A PREROUTING -p tcp -m tcp --syn -j TCPMSS --set-mss 1000
iptables -t mangle -A PREROUTING -j CLASSIFY --set-class 1:1
iptables-save -t mangle
iptables -t mangle -L PREROUTING -n -v
iptables -t mangle -L PREROUTING
iptables -t mangle -F
