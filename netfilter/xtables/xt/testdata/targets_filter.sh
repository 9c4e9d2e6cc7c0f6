# Targets anywhere.
iptables -t filter -A INPUT -j REJECT
iptables -t filter -A INPUT -j REJECT --reject-with icmp-host-prohibited
iptables -t filter -A INPUT -p tcp -j REJECT --reject-with tcp-reset
iptables -t filter -A INPUT -j REJECT --reject-with admin-prohib
iptables -t filter -A INPUT -j REJECT --reject-with net-unreach
iptables -t filter -A INPUT -j REJECT --reject-with icmp-proto-unreachable
iptables -t filter -A INPUT -j LOG
iptables -t filter -A INPUT -j LOG --log-level debug --log-prefix "a b: " --log-tcp-sequence --log-tcp-options --log-ip-options --log-uid
iptables -t filter -A INPUT -j LOG --log-level 3 --log-prefix ab --log-macdecode
iptables -t filter -A INPUT -j LOG --log-level warning
iptables -t filter -A INPUT -j LOG --log-level error
iptables -t filter -A INPUT -j LOG --log-level em
iptables -t filter -A INPUT -j LOG --log-prefix 1234567890123456789012345678901234567890
iptables -t filter -A INPUT -j NFLOG
iptables -t filter -A INPUT -j NFLOG --nflog-group 5 --nflog-prefix "x y" --nflog-threshold 3 --nflog-size 100
iptables -t filter -A INPUT -j NFQUEUE
iptables -t filter -A INPUT -j NFQUEUE --queue-num 5
iptables -t filter -A INPUT -j NFQUEUE --queue-balance 1:4 --queue-bypass --queue-cpu-fanout
iptables -t filter -A INPUT -j NFQUEUE --queue-num 0 --queue-bypass
iptables -t filter -A INPUT -j MARK --set-mark 5
iptables -t filter -A INPUT -j CONNMARK --set-mark 5
iptables -t filter -A INPUT -j QUEUE
iptables -t filter -A INPUT -j REJECT --reject-with tcp-reset
iptables -t filter -A INPUT -j REJECT --reject-with foo
iptables -t filter -A INPUT -j REJECT --bogus
iptables -t filter -A INPUT -j LOG --log-level 9
iptables -t filter -A INPUT -j LOG --log-level foo
iptables -t filter -A INPUT -j NFLOG --nflog-group 65536
iptables -t filter -A INPUT -j NFLOG --nflog-threshold x
iptables -t filter -A INPUT -j NFQUEUE --queue-num 65536
iptables -t filter -A INPUT -j NFQUEUE --queue-num 3 --queue-balance 1:2
iptables -t filter -A INPUT -j NFQUEUE --queue-balance 1
iptables -t filter -A INPUT -j NFQUEUE --queue-balance 5:1
iptables -t filter -A INPUT -j NFQUEUE --queue-cpu-fanout
iptables -t filter -A INPUT -j TRACE
iptables -t filter -A INPUT -j TTL --ttl-set 5
iptables -t filter -A INPUT -j TCPMSS --set-mss 5
iptables -t filter -A INPUT -p tcp -j TCPMSS --set-mss 5
iptables -t filter -A INPUT -p tcp -m tcp --syn -j TCPMSS --clamp-mss-to-pmtu
iptables -t filter -A INPUT -j SNAT --to-source 1.2.3.4
iptables -t filter -A INPUT -j MASQUERADE
iptables -t filter -A INPUT -j CT --notrack
iptables -t filter -A INPUT -j NOTRACK
iptables -t filter -A INPUT -j CLASSIFY --set-class 1:1
iptables-save -t filter
iptables -t filter -L INPUT -n -v
iptables -t filter -L INPUT
iptables -t filter -F
