// Package rules is what a measured router filters by: masquerading on its second
// card, and a hundred rules that a packet passes without matching, before the one
// that asks connection tracking and lets it through.
package rules

import (
	"fmt"
	"strings"
)

// Count is how many rules a packet passes.
const Count = 100

// Save returns the rules as iptables-save writes them.
func Save() string {
	var b strings.Builder
	b.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o eth1 -j MASQUERADE\nCOMMIT\n")
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n")
	for i := range Count {
		fmt.Fprintf(&b, "-A FORWARD -s 10.200.%d.0/24 -j DROP\n", i)
	}
	b.WriteString("-A FORWARD -m conntrack --ctstate NEW,RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n")
	return b.String()
}
