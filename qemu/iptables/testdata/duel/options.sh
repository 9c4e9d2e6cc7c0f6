# Logging and other targets that let the packet go on.
iptables-restore <<R
*mangle
-A FORWARD -p tcp --syn -m comment --comment "first of a connection" -j CLASSIFY --set-class 1:2
-A FORWARD -p udp -j MARK --set-mark 0x10/0x30
-A POSTROUTING -m mark --mark 0x10/0x30 -j CHECKSUM --checksum-fill
COMMIT
*filter
:LOGDROP - [0:0]
-A FORWARD -p udp --dport 22 -j LOGDROP
-A FORWARD -p icmp -j LOG --log-prefix "icmp: " --log-level debug --log-ip-options
-A FORWARD -p tcp --dport 443 -j NFLOG --nflog-group 3 --nflog-prefix "https"
-A FORWARD -p tcp --dport 22 -j NFQUEUE --queue-num 5
-A FORWARD -p udp --dport 53 -j NFQUEUE --queue-num 6 --queue-bypass
-A FORWARD -p udp --dport 443 -j QUEUE
-A LOGDROP -m limit --limit 5/min -j LOG --log-prefix "drop: "
-A LOGDROP -j DROP
COMMIT
R
