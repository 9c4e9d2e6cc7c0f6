# Addresses, protocols, devices, fragments.
iptables-restore <<R
*filter
:FORWARD DROP [0:0]
:out - [0:0]
:in - [0:0]
-A FORWARD -i tun0 -o tun1 -j out
-A FORWARD -i tun1 ! -o tun1 -g in
-A FORWARD -f
-A out -s 10.0.0.1 -j ACCEPT
-A out -s 10.0.0.2/31 ! -d 10.0.1.4 -j ACCEPT
-A out -d 1.2.3.0/24 -j REJECT
-A out -s 10.0.0.4/255.0.0.7 -p udp -j RETURN
-A out ! -f -p icmp -j ACCEPT
-A out ! -p tcp -j DROP
-A in -i tun+ -s 10.0.1.0/30 -j ACCEPT
-A in -s 0.0.0.0/1.0.0.1 -j ACCEPT
-A in -f -j ACCEPT
-A INPUT -i tun1 -p icmp -j DROP
-A INPUT -p tcp -j REJECT --reject-with tcp-reset
COMMIT
R
