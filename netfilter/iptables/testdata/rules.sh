# Rules by the options that every rule has.
iptables -A FORWARD -j ACCEPT
iptables -A FORWARD -p tcp -v
iptables -A FORWARD -p 47 -j DROP -v
iptables -A FORWARD -p 99 -j DROP -v
iptables -A FORWARD -p 200 -j RETURN -v
iptables -A FORWARD -p ipv6-icmp -j ACCEPT -v
iptables -A FORWARD ! -p udp ! -i eth0 ! -o e+ ! -s 1.2.3.4 ! -d 5.0.0.0/8 -j ACCEPT -v
iptables -A FORWARD -i eth0 -o eth+ ! -f -j DROP -w
iptables -A FORWARD -f
iptables -S
iptables -L
iptables -L -v
iptables -nvL
iptables -nL
iptables -nvxL --line-numbers
iptables -I FORWARD 2 -s 1.1.1.1,2.2.2.2 -d 7.7.7.7,8.8.8.8
iptables -S
iptables -S FORWARD 3
iptables -S FORWARD 33
iptables -vS FORWARD 3
iptables -nL FORWARD 3
iptables -nL FORWARD 33
iptables -D FORWARD -s 1.1.1.1,2.2.2.2 -d 7.7.7.7,8.8.8.8 -v
iptables -C FORWARD -p 47 -j DROP -v
iptables -C FORWARD -s 1.1.1.1
iptables -D FORWARD -s 1.1.1.1
iptables -R FORWARD 1 -s 3.3.3.3,4.4.4.4 -j DROP
iptables -R FORWARD 1 -s 3.3.3.3 -j DROP
iptables -R FORWARD
iptables -R FORWARD 99 -j DROP
iptables -I FORWARD 99 -j DROP
iptables -I FORWARD 0 -j DROP
iptables -D FORWARD 99
iptables -D FORWARD 0
iptables -D FORWARD 1x
iptables -D FORWARD 0x1
iptables -A FORWARD -s 1.2.3.4/255.0.255.0,3.3.3.3 -j DROP
iptables -A FORWARD -s 1.2.3.4/33 -j DROP
iptables -A FORWARD -s 1.2.3.400 -j DROP
iptables -A FORWARD -s any/0 -d 10/8
iptables -A FORWARD -s 10.1
iptables -A FORWARD -s 0x0a.010.1.1/0x10
iptables -A FORWARD ! -s 0.0.0.0/0
iptables -A FORWARD ! -s 1.2.3.4,5.6.7.8
iptables -A FORWARD --source 1.2.3.4 --dst 5.6.7.8 --proto tcp --in-interface a --out-i b --ju ACCEPT
iptables -A FORWARD -s 1.2.3.4 -s 1.2.3.4
iptables -A FORWARD -i averyverylonginterface
iptables -A FORWARD -i a/b
iptables -A FORWARD -i ''
iptables -A FORWARD -i +
iptables -A FORWARD ! -i +
iptables -A FORWARD ! -o +
iptables -A FORWARD -o 'a b'
iptables -A FORWARD -c 5
iptables -A FORWARD -c 5,6
iptables -A FORWARD -c 55555 666666
iptables -A FORWARD -c 5555555555 66666666666666
iptables -A FORWARD -c a 6
iptables -A FORWARD -c 6 a
iptables -nvL FORWARD
iptables -nvxL FORWARD
iptables -Z FORWARD 2
iptables -Z FORWARD 200
iptables -vS
iptables -vZ
iptables -vS
iptables -L -Z
iptables -A INPUT -o eth0 -j ACCEPT
iptables -A OUTPUT -i eth0 -j ACCEPT
iptables -t mangle -A POSTROUTING -i eth0
iptables -t mangle -A PREROUTING -o eth0
iptables -t mangle -A PREROUTING -i eth0 -j QUEUE
iptables -t mangle -S
iptables -t nat -A PREROUTING -j DROP
iptables -t nat -P PREROUTING DROP
iptables -t nat -A PREROUTING -j ACCEPT
iptables -t raw -A OUTPUT -d 1.2.3.0/24 -j DROP
iptables -t raw -nvL
iptables -t nat -S
iptables -t foo -L
iptables-save -t filter
iptables-save -t filter -c
iptables -F -v
iptables -S
