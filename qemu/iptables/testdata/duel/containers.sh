# As programs for containers write them.
iptables-restore <<R
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.0.0.0/24 ! -o tun0 -j MASQUERADE
-A POSTROUTING -s 10.0.0.2/32 -d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i tun0 -j RETURN
-A DOCKER ! -i tun0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:8090
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o tun0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o tun0 -j DOCKER
-A FORWARD -i tun0 ! -o tun0 -j ACCEPT
-A FORWARD -i tun0 -o tun0 -j ACCEPT
-A DOCKER -d 10.0.0.2/32 ! -i tun0 -o tun0 -p tcp -m tcp --dport 8090 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i tun0 ! -o tun0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o tun0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
R
