package xt_test

import (
	"strings"
	"testing"

	"barewire/netfilter/xtables"
	"barewire/netfilter/xtables/xt"
)

// parse gives an extension options as they stand on a command line. ok is false
// when one is refused.
func parse(d *xtables.Def, words []string, proto uint8) (u *xtables.Use, ok bool) {
	u = d.NewUse()
	c := &xtables.ParseContext{Table: "filter", Proto: proto}
	invert := false
	for i := 0; i < len(words); i++ {
		if words[i] == "!" {
			invert = true
			continue
		}
		o, err := d.FindOption(strings.TrimPrefix(words[i], "--"))
		if o == nil || err != nil || i+o.Args >= len(words) {
			return u, false
		}
		if u.Set(c, o, words[i+1:i+1+o.Args], invert) != nil {
			return u, false
		}
		i += o.Args
		invert = false
	}
	return u, u.Finish(c) == nil
}

// unquote splits what Save appended into words.
func unquote(s string) (l []string) {
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		if s[0] != '"' {
			w, rest, _ := strings.Cut(s, " ")
			l, s = append(l, w), rest
			continue
		}
		var w strings.Builder
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			w.WriteByte(s[i])
		}
		l, s = append(l, w.String()), s[min(i+1, len(s)):]
	}
	return l
}

// FuzzOptions: any options are taken or refused, and what is saved of those taken
// is taken again and saved the same.
func FuzzOptions(f *testing.F) {
	for _, s := range []string{"tcp --dport 80", "tcp ! --tcp-flags SYN,ACK SYN", "multiport --dports 1,2:3", "conntrack --ctstate NEW --ctorigsrc 1.2.3.0/24",
		"hashlimit --hashlimit-upto 5/s --hashlimit-name x", "limit --limit 5/s", "comment --comment a\"b", "mac --mac-source 0:1:2:3:4:5",
		"LOG --log-prefix a'b", "DNAT --to-destination 1.2.3.4-1.2.3.5:80-90/5", "CT --zone-orig 5", "NFQUEUE --queue-balance 1:4",
		"TCPOPTSTRIP --strip-options 2,3", "CONNMARK --save-mark --mask 5", "icmp --icmp-type 3/4", "dscp --dscp-class EF", "string --string x --algo bm",
		"u32 --u32 0>>22&0x3C@0>>24=0", "time --timestart 10:00", "recent --set --name x", "addrtype --src-type LOCAL", "TOS --set-tos 1/2", "iprange --src-range 1.1.1.1-2.2.2.2"} {
		f.Add(s, uint8(6))
	}
	f.Fuzz(func(t *testing.T, line string, proto uint8) {
		w := strings.Split(line, " ")
		for _, d := range []*xtables.Def{xt.FindMatch(w[0]), xt.FindTarget(w[0])} {
			if d == nil {
				continue
			}
			u, ok := parse(d, w[1:], proto)
			if !ok {
				continue
			}
			saved := string(u.Ext.Save(nil))
			u.Ext.Print(nil, true)
			u.Ext.Print(nil, false)
			again, ok := parse(d, unquote(saved), proto)
			if !ok {
				t.Fatalf("%s: %q is saved as %q, which is refused", d.Name, line, saved)
			}
			if s := string(again.Ext.Save(nil)); s != saved {
				t.Fatalf("%s: %q is saved as %q, and that as %q", d.Name, line, saved, s)
			}
		}
	})
}
