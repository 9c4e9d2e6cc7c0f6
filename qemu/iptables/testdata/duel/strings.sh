# Words in packets.
iptables-restore <<R
*filter
-A FORWARD -m string --algo bm --string "GET /" -j DROP
-A FORWARD -m string --algo kmp --string needle --from 20 --to 200 -j REJECT
-A FORWARD -m string --algo kmp --string needle --icase
-A FORWARD -m string --algo bm --hex-string "|de ad be ef|" --to 60 -j DROP
-A FORWARD -m string --algo bm ! --string "e"
COMMIT
R
