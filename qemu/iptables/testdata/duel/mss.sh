# The MSS of TCP.
iptables-restore <<R
*mangle
-A FORWARD -p tcp --tcp-flags SYN,RST SYN -m tcpmss --mss 1000:1500 -s 10.0.0.0/24 -j TCPMSS --set-mss 900
-A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A FORWARD -p tcp --syn -m tcpmss ! --mss 0:600
-A FORWARD -p tcp --tcp-flags SYN SYN -d 10.0.0.0/24 -j TCPOPTSTRIP --strip-options sack-permitted
COMMIT
R
