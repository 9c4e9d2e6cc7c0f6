# The match and the target of transparent proxies.
iptables -A PREROUTING -t mangle -m socket --foo
iptables -A INPUT -m socket
iptables -A OUTPUT -m socket
iptables -A FORWARD -m socket
iptables -A PREROUTING -t nat -m socket --nowildcard
iptables -A PREROUTING -t mangle -j TPROXY --on-port 1
iptables -A PREROUTING -t mangle -p tcp -j TPROXY
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 70000
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 0
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 5 --tproxy-mark 1
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 5 --tproxy-mark x
iptables -A PREROUTING -t nat -p tcp -j TPROXY --on-port 5
iptables -A INPUT -t mangle -p tcp -j TPROXY --on-port 5
iptables -A PREROUTING -t mangle ! -p tcp -j TPROXY --on-port 5
iptables -A PREROUTING -t mangle -p icmp -j TPROXY --on-port 5
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port http
iptables -t mangle -A PREROUTING -m socket
iptables -t mangle -A PREROUTING -m socket --transparent --nowildcard --restore-skmark
iptables -t mangle -A POSTROUTING -m socket
iptables -t mangle -A PREROUTING -p tcp -j TPROXY --on-port 12345 --on-ip 10.0.0.1 --tproxy-mark 23/0xff
iptables -t mangle -A PREROUTING -p udp -j TPROXY --on-port 12345
iptables -A INPUT -t filter -p udp -m socket
iptables -A INPUT -t filter -m socket --transparent --transparent
iptables -A INPUT -t filter -m socket ! --transparent
iptables -A INPUT -t filter -m socket --restore-skmark
iptables -A INPUT -t filter -m socket --nowildcard --transparent
iptables -A PREROUTING -t raw -m socket
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port foo
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 5 --on-port 6
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 5x
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 5 --tproxy-mark 0x10/0x0f
iptables -A PREROUTING -t mangle -p tcp -j TPROXY --on-port 5 --tproxy-mark 1/x
iptables -A PREROUTING -t mangle -p udplite -j TPROXY --on-port 5
iptables -A PREROUTING -t raw -p udp -j TPROXY --on-port 5
