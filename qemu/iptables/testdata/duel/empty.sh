# No rules at all.
iptables -S
