# DNAT and its like.
iptables -t nat -A PREROUTING -j DNAT --to-destination 1.2.3.4
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:80
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4-1.2.3.8:80-90 --random
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination :80
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:80-90/8000 --persistent
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:http
iptables -t nat -A PREROUTING -p udp -j DNAT --to-destination 1.2.3.4:0
iptables -t nat -A PREROUTING -j REDIRECT
iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 80
iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 80-90 --random
iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports http
iptables -t nat -A PREROUTING -j NETMAP --to 10.1.0.0/16
iptables -t nat -A PREROUTING -j NETMAP --to 10.1.0.0/255.255.0.0
iptables -t nat -A PREROUTING -j NETMAP --to 10.1.2.3
iptables -t nat -A PREROUTING -j DNAT
iptables -t nat -A PREROUTING -j DNAT --to-destination foo
iptables -t nat -A PREROUTING -j DNAT --to-destination 1.2.3.4:80
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:70000
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:90-80
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:80-70000
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:80-90/x
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:
iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4 --to-destination 1.2.3.5
iptables -t nat -A PREROUTING -j DNAT --to-destination 1.2.3.4-foo
iptables -t nat -A PREROUTING -j REDIRECT --to-ports 80
iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 90-80
iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 70000
iptables -t nat -A PREROUTING -j NETMAP
iptables -t nat -A PREROUTING -j SNAT --to-source 1.2.3.4
iptables -t nat -A PREROUTING -j MASQUERADE
iptables-save -t nat
iptables -t nat -L PREROUTING -n -v
iptables -t nat -L PREROUTING
iptables -t nat -F
# SNAT and its like.
iptables -t nat -A POSTROUTING -j SNAT --to-source 1.2.3.4
iptables -t nat -A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:80-90 --random
iptables -t nat -A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4-1.2.3.5 --random-fully --persistent
iptables -t nat -A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:80
iptables -t nat -A POSTROUTING -p tcp -j SNAT --to-source :80
iptables -t nat -A POSTROUTING -j MASQUERADE
iptables -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 1000-2000 --random
iptables -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 1000
iptables -t nat -A POSTROUTING -j MASQUERADE --random-fully
iptables -t nat -A POSTROUTING -j MASQUERADE --random --random-fully
iptables -t nat -A POSTROUTING -j SNAT
iptables -t nat -A POSTROUTING -j SNAT --to-source foo
iptables -t nat -A POSTROUTING -j SNAT --to-source 1.2.3.4:80
iptables -t nat -A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:90-80
iptables -t nat -A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:x
iptables -t nat -A POSTROUTING -j MASQUERADE --to-ports 1000
iptables -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports x
iptables -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 2000-1000
iptables -t nat -A POSTROUTING -j DNAT --to-destination 1.2.3.4
iptables -t nat -A POSTROUTING -j REDIRECT
iptables-save -t nat
iptables -t nat -L POSTROUTING -n -v
iptables -t nat -L POSTROUTING
iptables -t nat -F
# In INPUT and OUTPUT.
iptables -t nat -A INPUT -j SNAT --to-source 1.2.3.4
iptables -t nat -A INPUT -j MASQUERADE
iptables -t nat -A INPUT -j DNAT --to-destination 1.2.3.4
iptables -t nat -A INPUT -j NETMAP --to 10.0.0.0/8
iptables-save -t nat
iptables -t nat -L INPUT -n -v
iptables -t nat -L INPUT
iptables -t nat -F
