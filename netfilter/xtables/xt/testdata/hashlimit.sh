# hashlimit.
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name a
iptables -t filter -A INPUT -m hashlimit --hashlimit-above 500/min --hashlimit-burst 100 --hashlimit-mode srcip,dstip,srcport,dstport --hashlimit-name b
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 512kb/s --hashlimit-name c
iptables -t filter -A INPUT -m hashlimit --hashlimit-above 1mb/s --hashlimit-burst 2mb --hashlimit-mode dstip --hashlimit-name d --hashlimit-dstmask 24
iptables -t filter -A INPUT -m hashlimit --hashlimit 10/sec --hashlimit-mode srcip --hashlimit-srcmask 16 --hashlimit-name e --hashlimit-htable-size 100 --hashlimit-htable-max 200 --hashlimit-htable-gcinterval 2000 --hashlimit-htable-expire 3000
iptables -t filter -A INPUT -m hashlimit --hashlimit-above 10/sec --hashlimit-name f --hashlimit-rate-match --hashlimit-rate-interval 5
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 100kb/s --hashlimit-name g
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1000b/s --hashlimit-name h
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1000000b/s --hashlimit-burst 2000000 --hashlimit-name i
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1mb/s --hashlimit-burst 10mb --hashlimit-name j
iptables -t filter -A INPUT -m hashlimit --hashlimit-above 3/day --hashlimit-name k
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1000000/s --hashlimit-name l
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-burst 1000000 --hashlimit-name m
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-mode srcip --hashlimit-mode dstip --hashlimit-name n
iptables-save -t filter
iptables -t filter -L INPUT -n -v
iptables -t filter -L INPUT
iptables -t filter -F
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 100b/s --hashlimit-name a
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 15b/s --hashlimit-name aa
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1kb/s --hashlimit-name b
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 3mb/s --hashlimit-name c
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 999999b/s --hashlimit-name d
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 100mb/s --hashlimit-name e
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 4000mb/s --hashlimit-name f
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1mb/s --hashlimit-burst 1500kb --hashlimit-name g
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1mb/s --hashlimit-burst 1048576b --hashlimit-name h
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 3mb/s --hashlimit-burst 7mb --hashlimit-name h2
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 999999b/s --hashlimit-burst 2mb --hashlimit-name h3
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 7/min --hashlimit-burst 9 --hashlimit-name j --hashlimit-htable-gcinterval 1000 --hashlimit-htable-expire 10000 --hashlimit-srcmask 32
iptables -t filter -A INPUT -m hashlimit --hashlimit-above 3/min --hashlimit-mode dstport --hashlimit-name k --hashlimit-htable-expire 5
iptables -t filter -A INPUT -m hashlimit ! --hashlimit-upto 3/min --hashlimit-name l
iptables -t filter -A INPUT -m hashlimit ! --hashlimit-above 3/min --hashlimit-name m
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 20/hour --hashlimit-name n
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 30000/sec --hashlimit-name o
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-rate-match --hashlimit-name p
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-srcmask 0 --hashlimit-name s
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1/hour --hashlimit-name n1
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1/day --hashlimit-burst 1 --hashlimit-name n1
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5000mb/s --hashlimit-name n2
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 1000000/s --hashlimit-burst 1000000 --hashlimit-name n5
iptables-save -t filter
iptables -t filter -L INPUT -n -v
iptables -t filter -F
# What hashlimit refuses.
iptables -t filter -A INPUT -m hashlimit
iptables -t filter -A INPUT -m hashlimit --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 0/s --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto foo --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-above 5/s --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-mode foo --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-name ''
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-burst 0 --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-burst 1000001 --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-srcmask 33 --hashlimit-name x
iptables -t filter -A INPUT -m hashlimit --hashlimit-upto 5/s --hashlimit-htable-size x --hashlimit-name x
iptables-save -t filter
iptables -t filter -L INPUT -n -v
iptables -t filter -L INPUT
iptables -t filter -F
