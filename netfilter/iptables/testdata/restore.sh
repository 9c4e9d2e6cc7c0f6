# The restore format.
iptables-restore <<E
*filter
:INPUT FOO [0:0]
COMMIT
E
iptables-restore <<E
*filter
-A FOO -j ACCEPT
COMMIT
E
iptables-restore <<E
*filter
foo
COMMIT
E
iptables-restore <<E
foo
E
iptables-restore <<E
*filter
[0:0 -A FORWARD
COMMIT
E
iptables-restore <<E
*filter
E
iptables-restore <<E
*foo
COMMIT
E
iptables-restore <<E
*filter
:A
COMMIT
E
iptables-restore <<E
*filter
:INPUT - [0:0]
:foo - [0:0]
:foo - [0:0]
COMMIT
E
iptables-restore <<E
*filter
-A FORWARD -t nat
COMMIT
E
iptables-restore <<E
*filter
-A FORWARD -w
COMMIT
E
iptables-restore <<E
# a comment

*filter
:INPUT DROP [4:5]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [1:1]
:foo - [0:0]
[4:5] -A FORWARD -s 1.2.3.4 -j foo
-A foo -p tcp	-j  RETURN
-6 -A foo -s ::1 -j ACCEPT
-4 -A foo -s 1.1.1.1 -j ACCEPT
COMMIT
# Completed
E
iptables-save -t filter -c
iptables-restore -c <<E
*filter
:INPUT ACCEPT foo
COMMIT
E
iptables-restore -c <<E
*filter
:INPUT ACCEPT
COMMIT
E
iptables-restore -c <<E
*filter
:INPUT ACCEPT [4:5]
[1:2] -A FORWARD -j ACCEPT
[z:2] -A FORWARD -j ACCEPT
COMMIT
E
iptables-save -t filter -c
iptables-restore -c <<E
*filter
:INPUT ACCEPT [4:5]
[1:2] -A FORWARD -j ACCEPT
-A FORWARD -j ACCEPT -c 8 9
COMMIT
E
iptables-save -t filter -c
iptables-restore -n <<E
*filter
-A FORWARD -j DROP
-N foo
-A foo -j RETURN
-I FORWARD 1 -j foo
-L
-D FORWARD 2
-P INPUT DROP
COMMIT
E
iptables-save -t filter -c
iptables-restore --noflush <<E
*filter
:foo - [0:0]
:bar - [0:0]
-A foo -s 9.9.9.9
COMMIT
E
iptables-save -t filter -c
iptables-restore -t <<E
*filter
-A FORWARD -j FOO
COMMIT
E
iptables-restore -t <<E
*filter
-A FORWARD -j ACCEPT
COMMIT
E
iptables-restore -T nat <<E
*filter
-A FORWARD -j foo
COMMIT
*nat
-A PREROUTING -j ACCEPT
COMMIT
E
iptables-save -t filter -c
iptables-save -t nat
iptables-restore <<E
*filter
-S
-A FORWARD "-j" "ACCEPT"
-A FORWARD -i "e t\"h"
-A FORWARD -i abc"d"-o"e"
COMMIT
E
iptables-restore <<E
*filter
-A FORWARD -i "et\h"
-A FORWARD -i abc"d"
-D FORWARD 7
COMMIT
E
iptables-restore <<E
*filter
-A FORWARD -i "et\h"
-A FORWARD -i abc"d"
COMMIT
*nat
:PREROUTING ACCEPT [3:3]
-N x
COMMIT
*filter
-A FORWARD -i b
COMMIT
E
iptables-save -t filter -c
iptables-save -t nat
iptables-save -c foo
iptables-save -t foo
iptables-restore nosuchfile
