# All that is known of a connection.
iptables-restore <<R
*raw
-A PREROUTING -p udp --dport 443 -j CT --zone 5
-A PREROUTING -p udp --dport 8080 -j CT --ctevents new
COMMIT
*nat
-A PREROUTING -i tun1 -d 10.0.0.1 -p udp --dport 53 -j DNAT --to-destination 10.0.0.1:5353
COMMIT
*mangle
-A FORWARD -m conntrack --ctstatus SEEN_REPLY -j TOS --set-tos 0x10
-A FORWARD -m conntrack --ctstatus CONFIRMED -j DSCP --set-dscp 3
-A FORWARD -m conntrack --ctstatus NONE
-A FORWARD -m conntrack --ctorigsrc 10.0.0.0/30 ! --ctrepldst 10.0.0.1
-A FORWARD -m conntrack --ctreplsrc 10.0.0.1 --ctstate DNAT
-A FORWARD -m conntrack --ctproto udp --ctorigdstport 53:80 ! --ctreplsrcport 53
-A FORWARD -m conntrack --ctexpire 1:40
-A FORWARD -m conntrack --ctdir ORIGINAL -m connmark --mark 0 -j CONNMARK --set-mark 7
-A FORWARD -m connmark --mark 7 -m conntrack --ctdir REPLY -j TTL --ttl-set 33
-A FORWARD -m connlabel --label 5
-A FORWARD -p udp -m connlabel --label 5 --set
-A FORWARD -m helper --helper ftp
COMMIT
R
