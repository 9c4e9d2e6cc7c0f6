package inet_test

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"barewire/skb/header"
)

// TestLinuxIGMP_sameCalls_sameReports makes the same membership calls on this
// stack and on the Linux kernel behind a TAP device, sends both the same
// queries, and compares the errors, the messages on the link, /proc/net/igmp
// and /proc/net/mcfilter after each step.
func TestLinuxIGMP_sameCalls_sameReports(t *testing.T) {
	t.Parallel() // most of it is waiting
	l := newLinux(t)
	h := mcHost{newHost(t)}
	const interval = "igmpv3_unsolicited_report_interval"
	check(t, l.ns.Sysctl("ipv4/conf/tap0/"+interval, "20"))
	h.setctl("net.ipv4.conf.eth0."+interval, "20")
	igmpOf := func(f []byte) (string, bool) {
		if len(f) < 34 || header.Ethernet(f).Type() != header.EthPIP {
			return "", false
		}
		p, ok := header.ParseIPv4(f[14:])
		if !ok || p.Protocol() != header.ProtoIGMP {
			return "", false
		}
		d := describe(f)
		return strings.SplitN(d, ": ", 2)[0] + " " + describeIGMP(p.Dst(), f[14+p.HeaderLen():14+p.TotalLen()]), true
	}
	linux := func(wait time.Duration) (out []string) {
		b := make([]byte, 2048)
		l.tap.SetReadDeadline(time.Now().Add(wait))
		for {
			n, err := l.tap.Read(b)
			if err != nil {
				return out
			}
			if s, ok := igmpOf(b[:n]); ok {
				out = append(out, s)
			}
		}
	}
	own := func() (out []string) {
		h.run()
		for _, f := range h.port.take() {
			if s, ok := igmpOf(f); ok {
				out = append(out, s)
			}
		}
		return out
	}
	// proc is the part of a file that is about the device under test.
	groups := func(text, dev string) string {
		var out []string
		in := false
		for _, s := range strings.Split(text, "\n") {
			f := strings.Fields(s)
			switch {
			case len(f) > 1 && f[1] == dev:
				in = true
				out = append(out, strings.Join(f[2:], " "))
			case !strings.HasPrefix(s, "\t"):
				in = false
			case in:
				out = append(out, s)
			}
		}
		return strings.Join(out, "\n")
	}
	type pair struct {
		fd  int
		own func(name int, val []byte) error
	}
	newPair := func() *pair {
		p := &pair{}
		check(t, l.ns.Do(func() (err error) {
			p.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
			return
		}))
		t.Cleanup(func() { syscall.Close(p.fd) })
		s := h.sock()
		p.own = func(name int, val []byte) error { return h.set(s, name, val) }
		return p
	}
	step := func(what string, act func() (linux, own error)) {
		t.Helper()
		a, b := act()
		if a != b {
			t.Errorf("%s: Linux %v, we %v", what, a, b)
		}
		var want, got []string
		for range 4 {
			want = append(want, linux(60*time.Millisecond)...)
			got = append(got, own()...)
		}
		// Timers of several groups are random.
		slices.Sort(want)
		slices.Sort(got)
		if strings.Join(want, "\n") != strings.Join(got, "\n") {
			t.Errorf("%s:\nLinux sends\n%s\nwe send\n%s", what, strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
		for _, f := range []string{"igmp", "mcfilter"} {
			var text []byte
			check(t, l.ns.Do(func() (err error) { text, err = os.ReadFile("/proc/thread-self/net/" + f); return }))
			show, _ := h.net.Proc().Lookup(f)
			// Linux shows no filter of a device whose newest group has none
			// (igmp_mcf_get_first looks at the first group only). We do.
			if a, b := groups(string(text), "tap0"), groups(string(show(nil)), "eth0"); a != b && (f != "mcfilter" || a != "") {
				t.Errorf("%s: /proc/net/%s:\nLinux\n%s\nwe\n%s", what, f, a, b)
			}
		}
	}
	call := func(p *pair, what string, name int, val ...[]byte) {
		t.Helper()
		step(what, func() (error, error) {
			v := concat(val...)
			var a error
			if err := syscall.SetsockoptString(p.fd, syscall.SOL_IP, name, string(v)); err != nil {
				a = err
			}
			return a, p.own(name, v)
		})
	}
	feed := func(what string, f []byte) {
		t.Helper()
		step(what, func() (error, error) {
			if _, err := l.tap.Write(f); err != nil {
				t.Fatal(err)
			}
			h.inject(f)
			return nil, nil
		})
	}
	linux(200 * time.Millisecond)
	own()
	a, b := newPair(), newPair()
	call(a, "join", 35, be(grp), be(hostIP))
	call(a, "join twice", 35, be(grp), be(hostIP))
	call(b, "second user", 35, be(grp), be(hostIP))
	call(a, "block", 38, be(grp), be(hostIP), be(src1))
	call(b, "block too", 38, be(grp), be(hostIP), be(src1))
	call(b, "block another", 38, be(grp), be(hostIP), be(src2))
	call(a, "unblock", 37, be(grp), be(hostIP), be(src1))
	call(a, "include in an excluding filter", 39, be(grp), be(hostIP), be(src2))
	call(a, "filter to include", 41, be(grp), be(hostIP), le(1), le(2), be(src1), be(src2))
	call(b, "leave", 36, be(grp), be(hostIP))
	call(b, "leave twice", 36, be(grp), be(hostIP))
	call(b, "join a source", 39, be(grp), be(hostIP), be(src1+8))
	feed("general query", query(0, 1, true))
	feed("query of the group", query(grp, 1, true))
	feed("query of sources", query(grp, 1, true, src1, src1+50))
	feed("query of no source of ours", query(grp, 1, true, src1+50))
	call(a, "drop source", 40, be(grp), be(hostIP), be(src1))
	call(a, "drop the last source", 40, be(grp), be(hostIP), be(src2))
	call(a, "filter without membership", 41, be(grp), be(hostIP), le(0), le(0))
	call(b, "filter to exclude", 41, be(grp), be(hostIP), le(0), le(1), be(src2))
	call(b, "mDNS", 35, be(0xe00000fb), be(hostIP))
	call(b, "by route", 35, be(grp+1), be(0))
	call(b, "no such address", 35, be(grp+2), be(peerIP))
	call(b, "all hosts", 35, be(header.AddrAllHosts), be(hostIP))
	feed("version 2 query of the group", query(grp, 1, false))
	call(b, "leave in version 2", 36, be(grp), be(hostIP))
	feed("version 2 general query", query(0, 1, false))
}
