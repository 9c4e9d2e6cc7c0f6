# How often and how much.
iptables-restore <<R
*filter
-A FORWARD -p icmp -m limit --limit 1/hour --limit-burst 4 -j DROP
-A FORWARD -m statistic --mode nth --every 3 --packet 1 -j DROP
-A FORWARD -m statistic --mode nth ! --every 5 --packet 0
-A FORWARD -m statistic --mode random --probability 1
-A FORWARD -m statistic --mode random ! --probability 0
-A FORWARD -m quota --quota 20000
-A FORWARD -m quota ! --quota 5000 -j DROP
COMMIT
R
