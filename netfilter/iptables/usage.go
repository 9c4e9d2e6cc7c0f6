package iptables

import (
	"fmt"
	"io"
	"strings"
)

// usage prints what -h asks for.
func (c *command) usage(w io.Writer) {
	fmt.Fprintf(w, "iptables v%s (legacy)\n\n%s", Version, usageText)
	for _, u := range c.uses {
		kind := "match"
		if u.def.IsTarget() {
			kind = "target"
		}
		fmt.Fprintf(w, "\n%s %s options:\n", u.def.Name, kind)
		for _, o := range u.def.Options {
			not := "   "
			if o.Invert {
				not = "[!]"
			}
			fmt.Fprintf(w, "%s --%s%s\n", not, o.Name, strings.Repeat(" VALUE", o.Args))
		}
	}
}

const usageText = `Commands:
  -A CHAIN RULE          append            -C CHAIN RULE       is it there?
  -I CHAIN [NUMBER] RULE insert            -R CHAIN NUMBER RULE replace
  -D CHAIN RULE|NUMBER   delete            -P CHAIN ACCEPT|DROP policy
  -L [CHAIN [NUMBER]]    list              -S [CHAIN [NUMBER]] print as commands
  -F [CHAIN]             delete all rules  -Z [CHAIN [NUMBER]] zero counters
  -N CHAIN               new chain         -X [CHAIN]          delete chain
  -E CHAIN NAME          rename chain
Rule:
  [!] -p PROTOCOL  [!] -s ADDRESS[/MASK][,...]  [!] -d ADDRESS[/MASK][,...]
  [!] -i DEVICE[+] [!] -o DEVICE[+]  [!] -f  -m MATCH [options]
  -j TARGET [options] | -g CHAIN   -c PACKETS BYTES
Options:
  -t TABLE  -n numeric  -v verbose  -x exact numbers  --line-numbers  -4
`
