package helper

import (
	"bytes"
	"strings"
	"testing"

	"barewire/netfilter/conntrack"
	"barewire/skb/header"
)

func TestParseFTP_lines(t *testing.T) {
	own := header.Addr(0x0a000001)
	const o, r = conntrack.Original, conntrack.Reply
	for _, c := range []struct {
		line  string
		dir   conntrack.Dir
		found finding
		addr  header.Addr
		port  uint16
		text  string // what is replaced
	}{
		{"PORT 10,0,0,1,4,1\r\n", o, whole, own, 1025, "10,0,0,1,4,1"},
		{"port 10,0,0,2,255,255\r\n", o, whole, 0x0a000002, 65535, "10,0,0,2,255,255"},
		{"PORT 10,0,0,1,4,1", o, partial, 0, 0, ""},
		{"PORT 10,0,0,1,4,1\n", o, partial, 0, 0, ""},
		{"PORT 10,0,0,256,4,1\r\n", o, partial, 0, 0, ""},
		{"PORT 10,0,0,1,4\r\n", o, partial, 0, 0, ""},
		{"PORT 10,0,0,1,4,1,9\r\n", o, partial, 0, 0, ""},
		{"POR", o, partial, 0, 0, ""},
		{"PORT", o, partial, 0, 0, ""},
		{"USER anonymous\r\n", o, absent, 0, 0, ""},
		{"PORT 10,0,0,1,4,1\r\n", r, absent, 0, 0, ""},
		{"EPRT |1|10.0.0.1|1025|\r\n", o, whole, own, 1025, "|1|10.0.0.1|1025|"},
		{"EPRT !1!10.0.0.3!99!\r\n", o, whole, 0x0a000003, 99, "!1!10.0.0.3!99!"},
		{"EPRT |2|10.0.0.1|1025|\r\n", o, partial, 0, 0, ""},
		{"EPRT |1|10.0.0.1|0|\r\n", o, partial, 0, 0, ""},
		{"EPRT |1|10.0.0.1|65536|\r\n", o, partial, 0, 0, ""},
		{"EPRT |1|10.0.0.1|1025\r\n", o, partial, 0, 0, ""},
		{"227 Entering Passive Mode (10,0,0,1,4,1).\r\n", r, whole, own, 1025, "10,0,0,1,4,1"},
		{"227 =10,0,0,1,4,1\r\n", r, whole, own, 1025, "10,0,0,1,4,1"},
		{"227 nothing\r\n", r, partial, 0, 0, ""},
		{"229 Extended Passive (|||1025|)\r\n", r, whole, own, 1025, "|||1025|"},
		{"229 Extended Passive |||1025|\r\n", r, partial, 0, 0, ""},
		{"220 hello\r\n", r, absent, 0, 0, ""},
		{"22", r, partial, 0, 0, ""},
	} {
		a := parseFTP([]byte(c.line), c.dir, own)
		if a.found != c.found {
			t.Errorf("%q: found %d, want %d", c.line, a.found, c.found)
			continue
		}
		if a.found == whole && (a.addr != c.addr || a.port != c.port || c.line[a.at:a.at+a.len] != c.text) {
			t.Errorf("%q: %v port %d, %q", c.line, a.addr, a.port, c.line[a.at:a.at+a.len])
		}
	}
}

// FuzzParseFTP: what is found lies in the line, and what is written in its place
// says the same when it is read again.
func FuzzParseFTP(f *testing.F) {
	for _, s := range []string{"PORT 1,2,3,4,5,6\r\n", "EPRT |1|1.2.3.4|5|\r\n", "227 (1,2,3,4,5,6)\r\n", "229 (|||7|)\r\n", "PORT", "229 ("} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, p []byte, reply bool) {
		d := conntrack.Original
		if reply {
			d = conntrack.Reply
		}
		a := parseFTP(p, d, 1)
		if a.found != whole {
			return
		}
		if a.at < 0 || a.len <= 0 || a.at+a.len > len(p) {
			t.Fatalf("%d+%d of %d bytes", a.at, a.len, len(p))
		}
		q := bytes.Join([][]byte{p[:a.at], a.kind.format(a.addr, max(a.port, 1)), p[a.at+a.len:]}, nil)
		b := parseFTP(q, d, 1)
		if b.found != whole || b.port != max(a.port, 1) || b.addr != a.addr {
			t.Fatalf("%q, written %q, reads as %v", p, q, b)
		}
		if !strings.HasPrefix(string(q), string(p[:a.at])) {
			t.Fatal("what is in front changed")
		}
	})
}
