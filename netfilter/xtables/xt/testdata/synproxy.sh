# The SYN proxy.
iptables -A INPUT -p tcp -j SYNPROXY --wscale 256
iptables -A INPUT -p tcp -j SYNPROXY --wscale 4294967295
iptables -A INPUT -p tcp -j SYNPROXY --wscale 4294967296
iptables -A INPUT -p tcp -j SYNPROXY --wscale x
iptables -A INPUT -p tcp -j SYNPROXY --mss x
iptables -A INPUT -p tcp -j SYNPROXY --mss 0x100
iptables -A INPUT -p tcp -j SYNPROXY --mss 70000
iptables -A INPUT -p tcp -j SYNPROXY --ecn --ecn
iptables -A INPUT -p tcp -j SYNPROXY ! --ecn
iptables -A INPUT ! -p tcp -j SYNPROXY --ecn
iptables -A INPUT -p tcp -j SYNPROXY --timestamp --sack-perm
iptables -N foo
iptables -A foo -p tcp -j SYNPROXY --timestamp
iptables -A INPUT -j foo
iptables -A OUTPUT -j foo
iptables -A INPUT -p tcp -j SYNPROXY
iptables -A INPUT -p udp -j SYNPROXY
iptables -A INPUT -j SYNPROXY
iptables -A OUTPUT -p tcp -j SYNPROXY
iptables -A INPUT -p tcp -j SYNPROXY --wscale 15
iptables -A INPUT -p tcp -j SYNPROXY --wscale 14 --mss 65535 --ecn
iptables -A INPUT -p tcp -j SYNPROXY --wscale 14 --mss 65536
iptables -A INPUT -p tcp -j SYNPROXY --sack-perm --sack-perm
iptables -A FORWARD -p tcp -j SYNPROXY --timestamp
iptables -t mangle -A INPUT -p tcp -j SYNPROXY --timestamp
iptables -t raw -A PREROUTING -p tcp -j SYNPROXY --timestamp
