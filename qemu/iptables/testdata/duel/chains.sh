# Chains that jump, go and return.
iptables-restore <<R
*filter
:FORWARD DROP [0:0]
:a - [0:0]
:b - [0:0]
:c - [0:0]
:d - [0:0]
-A FORWARD -p tcp -j a
-A FORWARD -p udp -g b
-A FORWARD -j c
-A FORWARD -p tcp -j ACCEPT
-A a -s 10.0.0.0/24 -j b
-A a -g c
-A a -j DROP
-A b -d 10.0.1.1 -j RETURN
-A b -d 10.0.1.2 -g d
-A b -j c
-A b -s 10.0.1.1 -j ACCEPT
-A c -s 10.0.1.0/30 -j RETURN
-A c -p icmp -j ACCEPT
-A c -j d
-A c -p 47 -j ACCEPT
-A d -i tun1 -j ACCEPT
-A d -m ttl --ttl-gt 70 -j RETURN
-A d -p udp --dport 443 -j ACCEPT
COMMIT
R
