# How often, by address and port.
iptables-restore <<R
*filter
-A FORWARD -p udp -m hashlimit --hashlimit-above 1/hour --hashlimit-burst 5 --hashlimit-mode srcip,dstport --hashlimit-name u -j DROP
-A FORWARD -p tcp -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 3 --hashlimit-mode srcip --hashlimit-name t --hashlimit-srcmask 31
COMMIT
R
