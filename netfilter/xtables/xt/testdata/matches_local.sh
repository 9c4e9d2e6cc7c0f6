# Matches of what the machine knows, what is right and what is refused.
iptables -A OUTPUT -m owner --uid-owner
iptables -A OUTPUT -m owner --uid-owner foo
iptables -A OUTPUT -m owner --uid-owner 5-
iptables -A OUTPUT -m owner --uid-owner 10-5
iptables -A OUTPUT -m owner --uid-owner 4294967295
iptables -A OUTPUT -m owner --uid-owner 4294967294
iptables -A OUTPUT -m owner --gid-owner bar
iptables -A OUTPUT -m owner --suppl-groups
iptables -A OUTPUT -m owner --uid-owner 1 --suppl-groups
iptables -A OUTPUT -m owner --uid-owner 1 --uid-owner 2
iptables -A OUTPUT -m owner ! --socket-exists ! --uid-owner 3 ! --gid-owner 4-7
iptables -A INPUT -m physdev
iptables -A INPUT -m physdev --physdev-in averyveryverylongname
iptables -A INPUT -m physdev --physdev-in ''
iptables -A INPUT -m physdev ! --physdev-is-bridged
iptables -A INPUT -m physdev --physdev-is-out
iptables -A INPUT -m physdev --physdev-is-in --physdev-in a+
iptables -A FORWARD -m physdev --physdev-is-in --physdev-is-in
iptables -A POSTROUTING -t mangle -m physdev --physdev-out a
iptables -A POSTROUTING -t mangle -m physdev --physdev-is-out
iptables -A OUTPUT -m physdev --physdev-is-out
iptables -A OUTPUT -m physdev --physdev-is-bridged
iptables -A OUTPUT -m physdev --physdev-out a --physdev-is-bridged
iptables -A INPUT -m realm
iptables -A INPUT -m realm --realm foo
iptables -A INPUT -m realm --realm 0x10/0x10000
iptables -A INPUT -m realm --realm 4294967296
iptables -A INPUT -m realm --realm 1/
iptables -A INPUT -m realm --realm 255
iptables -A INPUT -m realm --realm default
iptables -A INPUT -m cpu
iptables -A INPUT -m cpu --cpu x
iptables -A INPUT -m cpu --cpu 4294967296
iptables -A INPUT -m cpu ! --cpu 077
iptables -A INPUT -m policy
iptables -A INPUT -m policy --dir in
iptables -A INPUT -m policy --pol none
iptables -A INPUT -m policy --dir foo --pol none
iptables -A INPUT -m policy --dir in --pol foo
iptables -A INPUT -m policy --dir out --pol none
iptables -A OUTPUT -m policy --dir in --pol none
iptables -A FORWARD -m policy --dir out --pol none
iptables -A INPUT -m policy --dir in --pol none --reqid 1
iptables -A INPUT -m policy --dir in --pol none --strict
iptables -A INPUT -m policy --dir in --pol ipsec --strict
iptables -A INPUT -m policy --dir in --pol ipsec --tunnel-src 1.2.3.4
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel ! --tunnel-src 1.2.3.4/16 ! --reqid 7 ! --spi 9
iptables -A INPUT -m policy --dir in --pol ipsec --mode transport --tunnel-src 1.2.3.4
iptables -A INPUT -m policy --dir in --pol ipsec --mode foo
iptables -A INPUT -m policy --dir in --pol ipsec --proto tcp
iptables -A INPUT -m policy --dir in --pol ipsec ! --proto ah ! --mode transport
iptables -A INPUT -m policy --dir in --pol ipsec --next
iptables -A INPUT -m policy --dir in --pol ipsec --strict --next
iptables -A INPUT -m policy --dir in --pol ipsec --strict --reqid 1 --next
iptables -A INPUT -m policy --dir in --pol ipsec --strict --reqid 1 --next --reqid 2 --next --reqid 3 --next --reqid 4
iptables -A INPUT -m policy --dir in --pol ipsec --strict --reqid 1 --next --reqid 2 --next --reqid 3 --next --reqid 4 --next --reqid 5
iptables -A INPUT -m policy --dir in --pol ipsec --reqid 1 --next --reqid 2
iptables -A INPUT -m policy --dir in --pol ipsec --reqid 1 --reqid 2
iptables -A INPUT -m policy --dir in --pol ipsec --reqid x
iptables -A INPUT -m policy --dir in --pol ipsec --spi x
iptables -A INPUT -m policy --dir in --pol ipsec --spi 0x123
iptables -A INPUT -m policy --dir in --dir in --pol none
iptables -A INPUT -m ipcomp
iptables -A INPUT -p 108 -m ipcomp
iptables -A INPUT -p 108 -m ipcomp --ipcompspi
iptables -A INPUT -p 108 -m ipcomp --ipcompspi x
iptables -A INPUT -p 108 -m ipcomp ! --ipcompspi 20:18
iptables -A INPUT -p 108 -m ipcomp ! --ipcompspi 20:
iptables -A INPUT -p 108 -m ipcomp --compres
iptables -A INPUT -m cluster
iptables -A INPUT -m cluster --cluster-total-nodes 2
iptables -A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-node 1
iptables -A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-node 3 --cluster-hash-seed 1
iptables -A INPUT -m cluster --cluster-total-nodes 33 --cluster-local-node 3 --cluster-hash-seed 1
iptables -A INPUT -m cluster --cluster-total-nodes 2 ! --cluster-local-node 2 --cluster-hash-seed 1
iptables -A INPUT -m cluster --cluster-total-nodes 2 ! --cluster-local-nodemask 2 --cluster-hash-seed 1
iptables -A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-nodemask 8 --cluster-hash-seed 1
iptables -A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-nodemask 1 --cluster-local-node 1 --cluster-hash-seed 1
iptables -A INPUT -m cluster --cluster-total-nodes 0 --cluster-local-node 1 --cluster-hash-seed 1
iptables -A INPUT -m cluster --cluster-total-nodes 1 --cluster-local-node 1 --cluster-hash-seed 1
iptables -A INPUT -j AUDIT
iptables -A INPUT -j AUDIT --type foo
iptables -A INPUT -j AUDIT --type drop
iptables -A INPUT -j AUDIT --type reject
iptables -A INPUT -m owner --uid-owner 0 -j ACCEPT
iptables -A OUTPUT -m owner --uid-owner 0 -j ACCEPT
iptables -A OUTPUT -m owner ! --uid-owner 0-10 -j ACCEPT
iptables -A OUTPUT -m owner --gid-owner root -j ACCEPT
iptables -A OUTPUT -m owner --gid-owner 5 --suppl-groups -j ACCEPT
iptables -A OUTPUT -m owner --socket-exists -j ACCEPT
iptables -A OUTPUT -m owner -j ACCEPT
iptables -A INPUT -m physdev --physdev-in eth0
iptables -A FORWARD -m physdev --physdev-in eth0 --physdev-out eth1+ --physdev-is-bridged
iptables -A FORWARD -m physdev ! --physdev-is-in
iptables -A OUTPUT -m physdev --physdev-out eth1
iptables -A FORWARD -m physdev --physdev-is-out
iptables -A INPUT -m realm --realm 0x1/0x2a
iptables -A INPUT -m realm --realm 42
iptables -A INPUT -m realm --realm cosmos
iptables -A OUTPUT -m realm ! --realm 1
iptables -A INPUT -m cpu --cpu 0
iptables -A INPUT -m cpu ! --cpu 1
iptables -A INPUT -m policy --dir in --pol none
iptables -A FORWARD -m policy --dir out --pol ipsec --strict --reqid 1 --spi 0x1 --proto esp --mode tunnel --tunnel-dst 10.0.0.0/8 --tunnel-src 10.0.0.0/8 --next --reqid 2
iptables -A FORWARD -m policy --dir in --pol ipsec --proto ipcomp
iptables -A INPUT -p 108 -m ipcomp --ipcompspi 18
iptables -A INPUT -p ipcomp -m ipcomp --ipcompspi 18:20 --compres
iptables -A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 0xdeadbeef
iptables -A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-nodemask 1 --cluster-hash-seed 1
iptables -A INPUT -j AUDIT --type accept
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel --tunnel-src 1.2.3.4
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel --tunnel-src 1.2.3.4/255.0.255.0
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel --tunnel-src 1.2.3.4/0 --tunnel-dst 5.6.7.8/12
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel --tunnel-src 1.2.3.4/33
iptables -A INPUT -m policy --dir in --pol ipsec --proto 50
iptables -A INPUT -m policy --dir in --pol ipsec --proto 108
iptables -A INPUT -m policy --dir in --pol ipsec --proto foo
iptables -A INPUT -m policy --dir in --pol ipsec --proto esp --proto ah
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel --mode tunnel
iptables -A INPUT -m policy --dir in --pol ipsec --spi 1 --spi 1
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel --tunnel-src 1.2.3.4  --tunnel-src 1.2.3.4
iptables -A INPUT -m policy --dir in --pol ipsec --mode tunnel --tunnel-dst 1.2.3.4  --tunnel-dst 1.2.3.4
iptables -A INPUT -m policy --dir in ! --pol ipsec
iptables -A INPUT -m policy ! --dir in --pol ipsec
iptables -A INPUT -m policy --dir in --pol ipsec ! --strict
iptables -A INPUT -m policy --dir in --pol ipsec --strict --reqid 1 ! --next --reqid 2
iptables -A INPUT -m policy --dir in --pol ipsec --strict --reqid 1 --strict
iptables -A INPUT -m policy --dir in --pol ipsec --strict --tunnel-src 1.2.3.4 --mode tunnel
iptables -A INPUT -m policy --dir in --pol ipsec --strict --mode transport --tunnel-src 1.2.3.4
iptables -A INPUT -m policy --dir in --pol none --mode transport --tunnel-src 1.2.3.4
iptables -A INPUT -m policy --dir in --mode transport
iptables -A INPUT -m policy --dir in --strict --mode transport
iptables -A FORWARD -m policy --dir in --mode transport
iptables -A PREROUTING -t mangle -m policy --dir out --pol none
iptables -A POSTROUTING -t mangle -m policy --dir in --pol none
iptables -A INPUT -t mangle -j AUDIT --type accept
iptables -A INPUT -j AUDIT --type ACCEPT
iptables -A INPUT -j AUDIT --type acc
