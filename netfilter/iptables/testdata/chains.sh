# Chains.
iptables -A FOO -j ACCEPT
iptables -A FORWARD -j FOO
iptables -N zz
iptables -N bb
iptables -N cc
iptables -N cc
iptables -N FORWARD
iptables -N ACCEPT
iptables -N 'a b'
iptables -N -x
iptables -N '!x'
iptables -N ''
iptables -N averyveryveryveryveryverylongchainname
iptables -A averyveryveryveryveryverylongchainname -j DROP
iptables -A FORWARD -j averyveryveryveryveryverylongchainname
iptables -A FORWARD -j 'a b'
iptables -A FORWARD -j ''
iptables -A bb -j cc
iptables -A FORWARD -j zz
iptables -A FORWARD -g zz -c 4 5
iptables -X zz
iptables -X bb
iptables -X cc
iptables -X nope
iptables -X FORWARD
iptables -X
iptables -S
iptables -A cc -j bb
iptables -D cc -j bb
iptables -A cc -g bb
iptables -A cc -g nope
iptables -A FORWARD -g ACCEPT
iptables -A cc -j INPUT
iptables -A INPUT -j FORWARD
iptables -L -n
iptables -E bb cc
iptables -E bb aa
iptables -E INPUT qq
iptables -E nope qq
iptables -E aa INPUT
iptables -E aa
iptables -E aa ACCEPT
iptables -P zz DROP
iptables -P nope DROP
iptables -P INPUT FOO
iptables -P INPUT RETURN
iptables -P INPUT
iptables -P INPUT -
iptables -P INPUT DROP foo
iptables -P INPUT DROP -c 6 7
iptables -vS
iptables -P INPUT DROP
iptables -vS
iptables -P OUTPUT ACCEPT
iptables -vS
iptables -L nope
iptables -S nope
iptables -F nope
iptables -Z nope
iptables -S zz
iptables -S zz 1
iptables -L zz
iptables -vL zz 1
iptables -nvL --line-numbers
iptables-save -t filter
iptables -A aa -j aa
iptables -A zz -j aa
iptables -A aa -j zz
iptables -A aa -i x -j zz
iptables -S
iptables -F cc
iptables -F aa
iptables -F
iptables -vX
iptables -S
iptables -X INPUT
iptables -N x
iptables -A FORWARD -j x
iptables -t mangle -S
iptables -t mangle -X
iptables -t mangle -N x
iptables -t mangle -vX x
