# Words by place.
iptables-restore <<R
*filter
-A FORWARD -m u32 --u32 "0>>22&0x3C@0>>16=1024:2030" -j DROP
-A FORWARD -m u32 --u32 "6&0xFF=17&&4&0x1FFF=0&&0>>22&0x3C@4>>16=28" -j REJECT
-A FORWARD -m u32 ! --u32 "8>>24=64,63,128"
-A FORWARD -m u32 --u32 "1000=0:4294967295"
-A FORWARD -m bpf --bytecode "4,48 0 0 9,21 0 1 17,6 0 0 1,6 0 0 0"
-A FORWARD -m bpf --bytecode "9,48 0 0 9,21 0 6 6,40 0 0 6,69 4 0 8191,177 0 0 0,72 0 0 2,21 0 1 443,6 0 0 65535,6 0 0 0" -j DROP
COMMIT
R
