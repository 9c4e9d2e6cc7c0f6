# One of several routers that see everything.
iptables-restore <<R
*mangle
-A PREROUTING -m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 0xdeadbeef -j MARK --set-mark 1
-A PREROUTING -m cluster --cluster-total-nodes 5 --cluster-local-nodemask 0x15 --cluster-hash-seed 7 -j MARK --or-mark 2
-A PREROUTING -m cluster --cluster-total-nodes 32 ! --cluster-local-node 9 --cluster-hash-seed 0 -j MARK --or-mark 4
-A PREROUTING -m mark --mark 1/1 -j TTL --ttl-set 41
-A PREROUTING -m mark --mark 2/2 -j TOS --set-tos 0x08
-A PREROUTING -m mark ! --mark 4/4 -j DROP
COMMIT
*nat
-A POSTROUTING -o tun1 -s 10.0.0.0/30 -j SNAT --to-source 10.0.1.254
COMMIT
R
