# What is refused before a table is looked at.
iptables
iptables -V
iptables --version
iptables -6 -L
iptables foo
iptables -t
iptables -A
iptables -N
iptables -A FORWARD --jump
iptables -A FORWARD --dport 80
iptables -A FORWARD -m foo
iptables -A FORWARD -p foo
iptables -A FORWARD -p TCP
iptables -A FORWARD -p 256
iptables -A FORWARD -p all
iptables -A FORWARD ! -p all
iptables -A FORWARD ! -p 0
iptables -A FORWARD -- foo
iptables -A FORWARD ACCEPT
iptables -A FORWARD -s ! 1.2.3.4
iptables -A FORWARD ! ! -s 1.2.3.4
iptables -A FORWARD !
iptables ! -A FORWARD
iptables ! -t filter -A FORWARD
iptables ! -V
iptables -A FORWARD ! -j ACCEPT
iptables -A FORWARD ! -m tcp
iptables -A FORWARD ! -v
iptables -A FORWARD -n
iptables -A FORWARD -n -n
iptables -A FORWARD -x
iptables -A FORWARD --line-numbers
iptables -L -p tcp
iptables -L -j ACCEPT
iptables -F -j ACCEPT
iptables -F -n
iptables -X -s 1.2.3.4
iptables -D FORWARD -c 1 1
iptables -D FORWARD 1 -j ACCEPT
iptables -A FORWARD -Z
iptables -A FORWARD -L
iptables -A FORWARD -A FORWARD
iptables -Z -L
iptables -Z -S
iptables -L -n FORWARD
iptables -LFORWARD
iptables --list FORWARD
iptables --list=FORWARD
iptables --list-r FORWARD
iptables --l
iptables --lis FORWARD
iptables --app FORWARD
iptables --foo
iptables -k
iptables -w 5 -S
iptables -w5 -S
iptables -w x -S
iptables --wait=3 -S
iptables -W 5 -S
iptables -W 5 -w -S
iptables -4 -S
iptables --modprobe /x -S
iptables -A FORWARD -p tcp -m tcp --foo
iptables -A FORWARD -f -f
iptables -A FORWARD -j ACCEPT -j DROP
iptables -A FORWARD -j ACCEPT -g DROP
iptables -I FORWARD -1
iptables -S FORWARD 0
iptables -C FORWARD
