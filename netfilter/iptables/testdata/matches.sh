# Extensions, each line by itself: what is printed of it and why it is refused.
ipset create s1 hash:ip
ipset create s2 hash:ip,port counters
iptables -A FORWARD -m recent --set
iptables -S
iptables -nL
iptables -D FORWARD -m recent --set
iptables -F
iptables -A FORWARD -m recent --name foo --rcheck --seconds 60 --hitcount 4 --rttl
iptables -S
iptables -nL
iptables -D FORWARD -m recent --name foo --rcheck --seconds 60 --hitcount 4 --rttl
iptables -F
iptables -A FORWARD -m recent --update --reap --seconds 5 --rdest --mask 255.255.255.0
iptables -S
iptables -nL
iptables -D FORWARD -m recent --update --reap --seconds 5 --rdest --mask 255.255.255.0
iptables -F
iptables -A FORWARD -m recent ! --remove --rsource
iptables -S
iptables -nL
iptables -D FORWARD -m recent ! --remove --rsource
iptables -F
iptables -A FORWARD -m recent --rcheck --hitcount 999
iptables -S
iptables -nL
iptables -D FORWARD -m recent --rcheck --hitcount 999
iptables -F
iptables -A FORWARD -m recent --rcheck --reap
iptables -S
iptables -nL
iptables -D FORWARD -m recent --rcheck --reap
iptables -F
iptables -A FORWARD -m recent --set --rcheck
iptables -S
iptables -nL
iptables -D FORWARD -m recent --set --rcheck
iptables -F
iptables -A FORWARD -m recent --seconds 5
iptables -S
iptables -nL
iptables -D FORWARD -m recent --seconds 5
iptables -F
iptables -A FORWARD -m recent
iptables -S
iptables -nL
iptables -D FORWARD -m recent
iptables -F
iptables -A FORWARD -m recent --name x ! --rcheck --rttl
iptables -S
iptables -nL
iptables -D FORWARD -m recent --name x ! --rcheck --rttl
iptables -F
iptables -A FORWARD -m recent --set --rttl
iptables -S
iptables -nL
iptables -D FORWARD -m recent --set --rttl
iptables -F
iptables -A FORWARD -m string --algo bm --string foo
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --string foo
iptables -F
iptables -A FORWARD -m string --algo kmp --string 'a "b" \c' --from 5 --to 100
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo kmp --string 'a "b" \c' --from 5 --to 100
iptables -F
iptables -A FORWARD -m string --algo bm --hex-string '|de ad be ef|GET |20|' --icase
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --hex-string '|de ad be ef|GET |20|' --icase
iptables -F
iptables -A FORWARD -m string ! --algo bm --string x
iptables -S
iptables -nL
iptables -D FORWARD -m string ! --algo bm --string x
iptables -F
iptables -A FORWARD -m string --algo bm ! --string x
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm ! --string x
iptables -F
iptables -A FORWARD -m string --string x
iptables -S
iptables -nL
iptables -D FORWARD -m string --string x
iptables -F
iptables -A FORWARD -m string --algo foo --string x
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo foo --string x
iptables -F
iptables -A FORWARD -m string --algo bm
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm
iptables -F
iptables -A FORWARD -m string --algo bm --string a --hex-string b
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --string a --hex-string b
iptables -F
iptables -A FORWARD -m string --algo bm --hex-string '|zz|'
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --hex-string '|zz|'
iptables -F
iptables -A FORWARD -m string --algo bm --hex-string '|de'
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --hex-string '|de'
iptables -F
iptables -A FORWARD -m string --algo bm --hex-string 'ab\|c'
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --hex-string 'ab\|c'
iptables -F
iptables -A FORWARD -m string --algo bm --string '' 
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --string '' 
iptables -F
iptables -A FORWARD -m string --algo bm --string é
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --string é
iptables -F
iptables -A FORWARD -m string --algo bm --hex-string '|0d0a|'
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --hex-string '|0d0a|'
iptables -F
iptables -A FORWARD -m string --algo bm --string x --from 70000
iptables -S
iptables -nL
iptables -D FORWARD -m string --algo bm --string x --from 70000
iptables -F
iptables -A FORWARD -m statistic --mode random --probability 0.5
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode random --probability 0.5
iptables -F
iptables -A FORWARD -m statistic --mode random ! --probability 0.123456
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode random ! --probability 0.123456
iptables -F
iptables -A FORWARD -m statistic --mode nth --every 3
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode nth --every 3
iptables -F
iptables -A FORWARD -m statistic --mode nth --every 3 --packet 2
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode nth --every 3 --packet 2
iptables -F
iptables -A FORWARD -m statistic --mode nth ! --every 3 --packet 3
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode nth ! --every 3 --packet 3
iptables -F
iptables -A FORWARD -m statistic --mode nth
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode nth
iptables -F
iptables -A FORWARD -m statistic --mode foo
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode foo
iptables -F
iptables -A FORWARD -m statistic --mode random --probability 1.1
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode random --probability 1.1
iptables -F
iptables -A FORWARD -m statistic --mode random --every 3
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode random --every 3
iptables -F
iptables -A FORWARD -m statistic --mode nth --every 0
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode nth --every 0
iptables -F
iptables -A FORWARD -m statistic
iptables -S
iptables -nL
iptables -D FORWARD -m statistic
iptables -F
iptables -A FORWARD -m statistic --mode random --probability 0
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode random --probability 0
iptables -F
iptables -A FORWARD -m statistic --mode random --probability 1
iptables -S
iptables -nL
iptables -D FORWARD -m statistic --mode random --probability 1
iptables -F
iptables -A FORWARD -m pkttype --pkt-type unicast
iptables -S
iptables -nL
iptables -D FORWARD -m pkttype --pkt-type unicast
iptables -F
iptables -A FORWARD -m pkttype ! --pkt-type broadcast
iptables -S
iptables -nL
iptables -D FORWARD -m pkttype ! --pkt-type broadcast
iptables -F
iptables -A FORWARD -m pkttype --pkt-type multicast
iptables -S
iptables -nL
iptables -D FORWARD -m pkttype --pkt-type multicast
iptables -F
iptables -A FORWARD -m pkttype --pkt-type host
iptables -S
iptables -nL
iptables -D FORWARD -m pkttype --pkt-type host
iptables -F
iptables -A FORWARD -m pkttype --pkt-type foo
iptables -S
iptables -nL
iptables -D FORWARD -m pkttype --pkt-type foo
iptables -F
iptables -A FORWARD -m pkttype
iptables -S
iptables -nL
iptables -D FORWARD -m pkttype
iptables -F
iptables -A FORWARD -m u32 --u32 '6 & 0xFF = 1'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 --u32 '6 & 0xFF = 1'
iptables -F
iptables -A FORWARD -m u32 --u32 '0>>22&0x3C@0>>24=0'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 --u32 '0>>22&0x3C@0>>24=0'
iptables -F
iptables -A FORWARD -m u32 ! --u32 '4&0x3FFF=0 && 0>>22&0x3C@0=0x0:0xff,5'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 ! --u32 '4&0x3FFF=0 && 0>>22&0x3C@0=0x0:0xff,5'
iptables -F
iptables -A FORWARD -m u32 --u32 '0=1:2,3:4'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 --u32 '0=1:2,3:4'
iptables -F
iptables -A FORWARD -m u32 --u32 '0'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 --u32 '0'
iptables -F
iptables -A FORWARD -m u32 --u32 'foo'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 --u32 'foo'
iptables -F
iptables -A FORWARD -m u32 --u32 '0=1 &'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 --u32 '0=1 &'
iptables -F
iptables -A FORWARD -m u32 --u32 '0x0=0x0&&0x0=0x1'
iptables -S
iptables -nL
iptables -D FORWARD -m u32 --u32 '0x0=0x0&&0x0=0x1'
iptables -F
iptables -A FORWARD -m u32
iptables -S
iptables -nL
iptables -D FORWARD -m u32
iptables -F
iptables -A FORWARD -m time --timestart 01:00 --timestop 02:30:15
iptables -S
iptables -nL
iptables -D FORWARD -m time --timestart 01:00 --timestop 02:30:15
iptables -F
iptables -A FORWARD -m time --datestart 2023-01-02T03:04:05 --datestop 2030
iptables -S
iptables -nL
iptables -D FORWARD -m time --datestart 2023-01-02T03:04:05 --datestop 2030
iptables -F
iptables -A FORWARD -m time --weekdays Mon,Tue --monthdays 1,31 
iptables -S
iptables -nL
iptables -D FORWARD -m time --weekdays Mon,Tue --monthdays 1,31 
iptables -F
iptables -A FORWARD -m time ! --weekdays Sa,7 ! --monthdays 5
iptables -S
iptables -nL
iptables -D FORWARD -m time ! --weekdays Sa,7 ! --monthdays 5
iptables -F
iptables -A FORWARD -m time --timestart 23:00 --timestop 01:00 --contiguous
iptables -S
iptables -nL
iptables -D FORWARD -m time --timestart 23:00 --timestop 01:00 --contiguous
iptables -F
iptables -A FORWARD -m time --kerneltz --timestart 5:00
iptables -S
iptables -nL
iptables -D FORWARD -m time --kerneltz --timestart 5:00
iptables -F
iptables -A FORWARD -m time --utc --timestart 5:00
iptables -S
iptables -nL
iptables -D FORWARD -m time --utc --timestart 5:00
iptables -F
iptables -A FORWARD -m time --weekdays foo
iptables -S
iptables -nL
iptables -D FORWARD -m time --weekdays foo
iptables -F
iptables -A FORWARD -m time --monthdays 32
iptables -S
iptables -nL
iptables -D FORWARD -m time --monthdays 32
iptables -F
iptables -A FORWARD -m time --timestart 25:00
iptables -S
iptables -nL
iptables -D FORWARD -m time --timestart 25:00
iptables -F
iptables -A FORWARD -m time --datestart foo
iptables -S
iptables -nL
iptables -D FORWARD -m time --datestart foo
iptables -F
iptables -A FORWARD -m time
iptables -S
iptables -nL
iptables -D FORWARD -m time
iptables -F
iptables -A FORWARD -m time --weekdays Mon,Tue,Wed,Thu,Fri,Sat,Sun
iptables -S
iptables -nL
iptables -D FORWARD -m time --weekdays Mon,Tue,Wed,Thu,Fri,Sat,Sun
iptables -F
iptables -A FORWARD -m connlimit --connlimit-above 3
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-above 3
iptables -F
iptables -A FORWARD -m connlimit --connlimit-upto 3 --connlimit-mask 24
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-upto 3 --connlimit-mask 24
iptables -F
iptables -A FORWARD -m connlimit --connlimit-above 3 --connlimit-daddr
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-above 3 --connlimit-daddr
iptables -F
iptables -A FORWARD -m connlimit --connlimit-above 3 --connlimit-saddr --connlimit-mask 0
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-above 3 --connlimit-saddr --connlimit-mask 0
iptables -F
iptables -A FORWARD -m connlimit --connlimit-above 3 --connlimit-mask 33
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-above 3 --connlimit-mask 33
iptables -F
iptables -A FORWARD -m connlimit --connlimit-above 3 --connlimit-upto 3
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-above 3 --connlimit-upto 3
iptables -F
iptables -A FORWARD -m connlimit ! --connlimit-above 3
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit ! --connlimit-above 3
iptables -F
iptables -A FORWARD -m connlimit
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit
iptables -F
iptables -A FORWARD -m connlimit --connlimit-mask 8
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-mask 8
iptables -F
iptables -A FORWARD -m connlimit --connlimit-above -1
iptables -S
iptables -nL
iptables -D FORWARD -m connlimit --connlimit-above -1
iptables -F
iptables -A FORWARD -m connbytes --connbytes 10 --connbytes-dir both --connbytes-mode bytes
iptables -S
iptables -nL
iptables -D FORWARD -m connbytes --connbytes 10 --connbytes-dir both --connbytes-mode bytes
iptables -F
iptables -A FORWARD -m connbytes --connbytes 10:20 --connbytes-dir original --connbytes-mode packets
iptables -S
iptables -nL
iptables -D FORWARD -m connbytes --connbytes 10:20 --connbytes-dir original --connbytes-mode packets
iptables -F
iptables -A FORWARD -m connbytes ! --connbytes :20 --connbytes-dir reply --connbytes-mode avgpkt
iptables -S
iptables -nL
iptables -D FORWARD -m connbytes ! --connbytes :20 --connbytes-dir reply --connbytes-mode avgpkt
iptables -F
iptables -A FORWARD -m connbytes --connbytes 20:10 --connbytes-dir reply --connbytes-mode avgpkt
iptables -S
iptables -nL
iptables -D FORWARD -m connbytes --connbytes 20:10 --connbytes-dir reply --connbytes-mode avgpkt
iptables -F
iptables -A FORWARD -m connbytes --connbytes 10
iptables -S
iptables -nL
iptables -D FORWARD -m connbytes --connbytes 10
iptables -F
iptables -A FORWARD -m connbytes --connbytes 10 --connbytes-dir foo --connbytes-mode avgpkt
iptables -S
iptables -nL
iptables -D FORWARD -m connbytes --connbytes 10 --connbytes-dir foo --connbytes-mode avgpkt
iptables -F
iptables -A FORWARD -m connbytes --connbytes 10 --connbytes-dir reply --connbytes-mode foo
iptables -S
iptables -nL
iptables -D FORWARD -m connbytes --connbytes 10 --connbytes-dir reply --connbytes-mode foo
iptables -F
iptables -t raw -A PREROUTING -m rpfilter
iptables -t raw -S
iptables -t raw -nL
iptables -t raw -F
iptables -A INPUT -m rpfilter
iptables -t raw -A PREROUTING -m rpfilter --loose --validmark --accept-local --invert
iptables -t raw -S
iptables -t raw -nL
iptables -t raw -F
iptables -A INPUT -m rpfilter --loose --validmark --accept-local --invert
iptables -t raw -A PREROUTING -m rpfilter --invert
iptables -t raw -S
iptables -t raw -nL
iptables -t raw -F
iptables -A INPUT -m rpfilter --invert
iptables -A FORWARD -m bpf --bytecode '4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0'
iptables -S
iptables -F
iptables -A FORWARD -m bpf --bytecode '4,48 0 0 9,21 0 1 6,6 0 0 1'
iptables -S
iptables -F
iptables -A FORWARD -m bpf --bytecode '1,6 0 0 1'
iptables -S
iptables -F
iptables -A FORWARD -m bpf --bytecode ''
iptables -S
iptables -F
iptables -A FORWARD -m bpf --bytecode 'foo'
iptables -S
iptables -F
iptables -A FORWARD -m bpf
iptables -S
iptables -F
iptables -A FORWARD -p ah -m ah --ahspi 5
iptables -S
iptables -nL
iptables -D FORWARD -p ah -m ah --ahspi 5
iptables -F
iptables -A FORWARD -p ah -m ah --ahspi 5:10
iptables -S
iptables -nL
iptables -D FORWARD -p ah -m ah --ahspi 5:10
iptables -F
iptables -A FORWARD -p ah -m ah ! --ahspi 5:
iptables -S
iptables -nL
iptables -D FORWARD -p ah -m ah ! --ahspi 5:
iptables -F
iptables -A FORWARD -p ah -m ah
iptables -S
iptables -nL
iptables -D FORWARD -p ah -m ah
iptables -F
iptables -A FORWARD -p ah --ahspi 0
iptables -S
iptables -nL
iptables -D FORWARD -p ah --ahspi 0
iptables -F
iptables -A FORWARD -m ah --ahspi 5
iptables -S
iptables -nL
iptables -D FORWARD -m ah --ahspi 5
iptables -F
iptables -A FORWARD -p esp -m esp --espspi 5
iptables -S
iptables -nL
iptables -D FORWARD -p esp -m esp --espspi 5
iptables -F
iptables -A FORWARD -p esp --espspi 0:5
iptables -S
iptables -nL
iptables -D FORWARD -p esp --espspi 0:5
iptables -F
iptables -A FORWARD -p esp -m esp ! --espspi 5:10
iptables -S
iptables -nL
iptables -D FORWARD -p esp -m esp ! --espspi 5:10
iptables -F
iptables -A FORWARD -p esp -m esp ! --espspi 0:4294967295
iptables -S
iptables -nL
iptables -D FORWARD -p esp -m esp ! --espspi 0:4294967295
iptables -F
iptables -A FORWARD -m ecn --ecn-ip-ect 1
iptables -S
iptables -nL
iptables -D FORWARD -m ecn --ecn-ip-ect 1
iptables -F
iptables -A FORWARD -p tcp -m ecn --ecn-tcp-cwr
iptables -S
iptables -nL
iptables -D FORWARD -p tcp -m ecn --ecn-tcp-cwr
iptables -F
iptables -A FORWARD -p tcp -m ecn ! --ecn-tcp-ece ! --ecn-ip-ect 3
iptables -S
iptables -nL
iptables -D FORWARD -p tcp -m ecn ! --ecn-tcp-ece ! --ecn-ip-ect 3
iptables -F
iptables -A FORWARD -m ecn --ecn-tcp-cwr
iptables -S
iptables -nL
iptables -D FORWARD -m ecn --ecn-tcp-cwr
iptables -F
iptables -A FORWARD -m ecn --ecn-ip-ect 4
iptables -S
iptables -nL
iptables -D FORWARD -m ecn --ecn-ip-ect 4
iptables -F
iptables -A FORWARD -m ecn
iptables -S
iptables -nL
iptables -D FORWARD -m ecn
iptables -F
iptables -A FORWARD -p tcp -m tcpmss --mss 1000
iptables -S
iptables -nL
iptables -D FORWARD -p tcp -m tcpmss --mss 1000
iptables -F
iptables -A FORWARD -p tcp -m tcpmss ! --mss 1000:1500
iptables -S
iptables -nL
iptables -D FORWARD -p tcp -m tcpmss ! --mss 1000:1500
iptables -F
iptables -A FORWARD -m tcpmss --mss 1000
iptables -S
iptables -nL
iptables -D FORWARD -m tcpmss --mss 1000
iptables -F
iptables -A FORWARD -p tcp -m tcpmss --mss 5:1
iptables -S
iptables -nL
iptables -D FORWARD -p tcp -m tcpmss --mss 5:1
iptables -F
iptables -A FORWARD -p tcp -m tcpmss
iptables -S
iptables -nL
iptables -D FORWARD -p tcp -m tcpmss
iptables -F
iptables -A FORWARD -m helper --helper ftp
iptables -S
iptables -nL
iptables -D FORWARD -m helper --helper ftp
iptables -F
iptables -A FORWARD -m helper ! --helper ftp-2121
iptables -S
iptables -nL
iptables -D FORWARD -m helper ! --helper ftp-2121
iptables -F
iptables -A FORWARD -m helper
iptables -S
iptables -nL
iptables -D FORWARD -m helper
iptables -F
iptables -A FORWARD -m helper --helper 'a b'
iptables -S
iptables -nL
iptables -D FORWARD -m helper --helper 'a b'
iptables -F
iptables -A FORWARD -m quota --quota 1000
iptables -S
iptables -nL
iptables -D FORWARD -m quota --quota 1000
iptables -F
iptables -A FORWARD -m quota ! --quota 1000
iptables -S
iptables -nL
iptables -D FORWARD -m quota ! --quota 1000
iptables -F
iptables -A FORWARD -m quota
iptables -S
iptables -nL
iptables -D FORWARD -m quota
iptables -F
iptables -A FORWARD -m quota --quota x
iptables -S
iptables -nL
iptables -D FORWARD -m quota --quota x
iptables -F
iptables -A FORWARD -p sctp -m sctp --dport 80
iptables -S
iptables -nL
iptables -D FORWARD -p sctp -m sctp --dport 80
iptables -F
iptables -A FORWARD -p sctp --sport 1:2 ! --dport 5
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --sport 1:2 ! --dport 5
iptables -F
iptables -A FORWARD -p sctp --chunk-types any INIT
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --chunk-types any INIT
iptables -F
iptables -A FORWARD -p sctp --chunk-types all DATA:BE,INIT
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --chunk-types all DATA:BE,INIT
iptables -F
iptables -A FORWARD -p sctp ! --chunk-types only SACK,HEARTBEAT
iptables -S
iptables -nL
iptables -D FORWARD -p sctp ! --chunk-types only SACK,HEARTBEAT
iptables -F
iptables -A FORWARD -p sctp --chunk-types any ABORT:T
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --chunk-types any ABORT:T
iptables -F
iptables -A FORWARD -p sctp --chunk-types all NONE
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --chunk-types all NONE
iptables -F
iptables -A FORWARD -p sctp --chunk-types all ALL
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --chunk-types all ALL
iptables -F
iptables -A FORWARD -p sctp --chunk-types foo ALL
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --chunk-types foo ALL
iptables -F
iptables -A FORWARD -p sctp --chunk-types any FOO
iptables -S
iptables -nL
iptables -D FORWARD -p sctp --chunk-types any FOO
iptables -F
iptables -A FORWARD -p dccp --dport 80
iptables -S
iptables -nL
iptables -D FORWARD -p dccp --dport 80
iptables -F
iptables -A FORWARD -p dccp -m dccp --sport 5:6 ! --dport 8
iptables -S
iptables -nL
iptables -D FORWARD -p dccp -m dccp --sport 5:6 ! --dport 8
iptables -F
iptables -A FORWARD -p dccp --dccp-types REQUEST,RESET
iptables -S
iptables -nL
iptables -D FORWARD -p dccp --dccp-types REQUEST,RESET
iptables -F
iptables -A FORWARD -p dccp ! --dccp-types DATA
iptables -S
iptables -nL
iptables -D FORWARD -p dccp ! --dccp-types DATA
iptables -F
iptables -A FORWARD -p dccp --dccp-option 5
iptables -S
iptables -nL
iptables -D FORWARD -p dccp --dccp-option 5
iptables -F
iptables -A FORWARD -p dccp --dccp-types FOO
iptables -S
iptables -nL
iptables -D FORWARD -p dccp --dccp-types FOO
iptables -F
iptables -A FORWARD -p dccp --dccp-types INVALID
iptables -S
iptables -nL
iptables -D FORWARD -p dccp --dccp-types INVALID
iptables -F
iptables -A FORWARD -m connlabel --label 40
iptables -S
iptables -nL
iptables -D FORWARD -m connlabel --label 40
iptables -F
iptables -A FORWARD -m connlabel ! --label 4 --set
iptables -S
iptables -nL
iptables -D FORWARD -m connlabel ! --label 4 --set
iptables -F
iptables -A FORWARD -m connlabel --label foo
iptables -S
iptables -nL
iptables -D FORWARD -m connlabel --label foo
iptables -F
iptables -A FORWARD -m connlabel
iptables -S
iptables -nL
iptables -D FORWARD -m connlabel
iptables -F
iptables -A INPUT -m devgroup --src-group 5
iptables -S
iptables -nL
iptables -D INPUT -m devgroup --src-group 5
iptables -F
iptables -A FORWARD -m devgroup ! --dst-group 0x5/0xff
iptables -S
iptables -nL
iptables -D FORWARD -m devgroup ! --dst-group 0x5/0xff
iptables -F
iptables -A FORWARD -m devgroup --src-group 1 --dst-group 2
iptables -S
iptables -nL
iptables -D FORWARD -m devgroup --src-group 1 --dst-group 2
iptables -F
iptables -A FORWARD -m devgroup
iptables -S
iptables -nL
iptables -D FORWARD -m devgroup
iptables -F
iptables -A FORWARD -m set --match-set s1 src
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s1 src
iptables -F
iptables -A FORWARD -m set ! --match-set s1 dst
iptables -S
iptables -nL
iptables -D FORWARD -m set ! --match-set s1 dst
iptables -F
iptables -A FORWARD -m set --match-set s2 src,dst
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s2 src,dst
iptables -F
iptables -A FORWARD -m set --match-set s2 src,dst --return-nomatch
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s2 src,dst --return-nomatch
iptables -F
iptables -A FORWARD -m set --match-set s2 src,dst ! --update-counters --packets-gt 5
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s2 src,dst ! --update-counters --packets-gt 5
iptables -F
iptables -A FORWARD -m set --match-set s2 src,dst ! --update-subcounters ! --bytes-eq 5 --packets-eq 0
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s2 src,dst ! --update-subcounters ! --bytes-eq 5 --packets-eq 0
iptables -F
iptables -A FORWARD -m set --match-set s2 src,dst --packets-lt 5 --bytes-lt 7 --bytes-gt 8
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s2 src,dst --packets-lt 5 --bytes-lt 7 --bytes-gt 8
iptables -F
iptables -A FORWARD -m set --match-set nope src
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set nope src
iptables -F
iptables -A FORWARD -m set --match-set s1 foo
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s1 foo
iptables -F
iptables -A FORWARD -m set --match-set s1
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s1
iptables -F
iptables -A FORWARD -m set
iptables -S
iptables -nL
iptables -D FORWARD -m set
iptables -F
iptables -A FORWARD -m set --match-set s1 src,src,src,src,src,src,src
iptables -S
iptables -nL
iptables -D FORWARD -m set --match-set s1 src,src,src,src,src,src,src
iptables -F
iptables -A FORWARD -j SET --add-set s1 src
iptables -S
iptables -nL
iptables -D FORWARD -j SET --add-set s1 src
iptables -F
iptables -A FORWARD -j SET --add-set s2 src,dst --exist --timeout 30
iptables -S
iptables -nL
iptables -D FORWARD -j SET --add-set s2 src,dst --exist --timeout 30
iptables -F
iptables -A FORWARD -j SET --del-set s1 dst
iptables -S
iptables -nL
iptables -D FORWARD -j SET --del-set s1 dst
iptables -F
iptables -A FORWARD -j SET --add-set s1 src --del-set s2 dst,src
iptables -S
iptables -nL
iptables -D FORWARD -j SET --add-set s1 src --del-set s2 dst,src
iptables -F
iptables -A FORWARD -j SET --exist
iptables -S
iptables -nL
iptables -D FORWARD -j SET --exist
iptables -F
iptables -A FORWARD -j SET
iptables -S
iptables -nL
iptables -D FORWARD -j SET
iptables -F
iptables -A FORWARD -j SET --add-set nope src
iptables -S
iptables -nL
iptables -D FORWARD -j SET --add-set nope src
iptables -F
