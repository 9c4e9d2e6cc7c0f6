# Targets of raw.
iptables -t raw -A PREROUTING -j CT --notrack
iptables -t raw -A PREROUTING -j NOTRACK
iptables -t raw -A PREROUTING -j CT --zone 5
iptables -t raw -A PREROUTING -j CT --zone-orig 5
iptables -t raw -A PREROUTING -j CT --zone-reply 5
iptables -t raw -A PREROUTING -j CT --zone-orig 5 --zone-reply 6
iptables -t raw -A PREROUTING -j CT --zone mark
iptables -t raw -A PREROUTING -j CT --zone-orig mark
iptables -t raw -A PREROUTING -j CT --zone 0
iptables -t raw -A PREROUTING -j CT --ctevents new,destroy
iptables -t raw -A PREROUTING -j CT --expevents new
iptables -t raw -A PREROUTING -j CT
iptables -t raw -A PREROUTING -p tcp -j CT --helper ftp
iptables -t raw -A PREROUTING -p udp -j CT --helper tftp
iptables -t raw -A PREROUTING -j CT --helper ftp
iptables -t raw -A PREROUTING -p udp -j CT --helper ftp
iptables -t raw -A PREROUTING -p tcp -j CT --helper nosuch
iptables -t raw -A PREROUTING -j CT --zone 65536
iptables -t raw -A PREROUTING -j CT --zone foo
iptables -t raw -A PREROUTING -j CT --zone 1 --zone-orig 2
iptables -t raw -A PREROUTING -j CT --ctevents foo
iptables -t raw -A PREROUTING -j CT --expevents foo
iptables -t raw -A PREROUTING -j TRACE
iptables-save -t raw
iptables -t raw -L PREROUTING -n -v
iptables -t raw -L PREROUTING
iptables -t raw -F
