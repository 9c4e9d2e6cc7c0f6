package inet_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"barewire/skb"
	"barewire/skb/header"
)

// until lets time pass until a message is sent and returns how long that took
// and the messages; limit and nothing if none was.
func (h mcHost) until(limit time.Duration) (time.Duration, []string) {
	h.Helper()
	const step = 20 * time.Millisecond
	for d := step; d <= limit; d += step {
		if m := h.after(step); len(m) > 0 {
			return d, m
		}
	}
	return limit, nil
}

// queryOf is query with robustness and interval of the querier.
func queryOf(group header.Addr, code, qrv, qqic uint8, srcs ...header.Addr) []byte {
	f := query(group, code, true, srcs...)
	p := f[34:]
	p[8], p[9] = qrv, qqic
	p[2], p[3] = 0, 0
	binary.BigEndian.PutUint16(p[2:], skb.CsumFold(skb.CsumPartial(p, 0)))
	return f
}

// querier is what /proc/net/igmp says of the device.
func (h mcHost) querier() string {
	show, _ := h.net.Proc().Lookup("igmp")
	for _, l := range strings.Split(string(show(nil)), "\n") {
		if f := strings.Fields(l); len(f) == 5 && f[1] == "eth0" {
			return f[4]
		}
	}
	return ""
}

func TestIGMP_responseTime_asTheCodeSays(t *testing.T) {
	for _, c := range []struct {
		what  string
		query func() []byte
		most  time.Duration
	}{
		{"v3, up to 127 tenths", func() []byte { return query(grp, 100, true) }, 10 * time.Second},
		{"v3, mantissa 15, exponent 0", func() []byte { return query(grp, 0x8f, true) }, 24800 * time.Millisecond},
		{"v3, mantissa 2, exponent 1", func() []byte { return query(grp, 0x92, true) }, 28800 * time.Millisecond},
		{"v3, general", func() []byte { return query(0, 0x8f, true) }, 24800 * time.Millisecond},
		{"v3, 0 is at once", func() []byte { return query(grp, 0, true) }, 10 * time.Millisecond},
		{"v2, tenths up to 255", func() []byte { return query(grp, 200, false) }, 20 * time.Second},
		{"v1, ten seconds", func() []byte { return query(0, 0, false) }, 10 * time.Second},
	} {
		mcBubble(t, func(t *testing.T, h mcHost) {
			s := h.sock()
			check(t, h.set(s, 35, be(grp), be(hostIP)))
			h.after(30 * time.Second)
			longest, shortest := time.Duration(0), time.Hour
			const tries = 25
			for range tries {
				h.inject(c.query())
				// Timers far away fire up to an eighth late.
				d, m := h.until(c.most + c.most/8 + 100*time.Millisecond)
				if len(m) != 1 {
					t.Fatalf("%s: no answer in %v", c.what, d)
				}
				longest, shortest = max(longest, d), min(shortest, d)
			}
			if c.most > time.Second && (longest < c.most/2 || shortest > c.most/2) {
				t.Errorf("%s: answers between %v and %v, want them spread over %v", c.what, shortest, longest, c.most)
			}
		})
	}
}

func TestIGMP_olderQuerier_believedForItsTime(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		h.after(10 * time.Second)
		want := func(what, v string) {
			t.Helper()
			if got := h.querier(); got != v {
				t.Errorf("%s: %s, want %s", what, got, v)
			}
		}
		want("nobody heard", "V3")
		// Robustness times query interval and one response interval (RFC 3376
		// section 8.12): 2 * 125 + 10 s.
		h.inject(query(0, 10, false))
		want("a version 2 query", "V2")
		time.Sleep(259 * time.Second)
		want("259 s later", "V2")
		time.Sleep(2 * time.Second)
		want("261 s later", "V3")
		// As the querier has it: 3 * 20 + 10 s.
		h.inject(queryOf(0, 10, 3, 20))
		h.inject(query(0, 10, false))
		time.Sleep(69 * time.Second)
		want("69 s later", "V2")
		time.Sleep(2 * time.Second)
		want("71 s later", "V3")
		// The oldest counts; the other is still there when it goes.
		h.inject(query(0, 0, false))
		time.Sleep(30 * time.Second)
		h.inject(query(0, 10, false))
		want("both", "V1")
		time.Sleep(41 * time.Second)
		want("version 1 gone", "V2")
		time.Sleep(30 * time.Second)
		want("both gone", "V3")
	})
}

func TestIGMP_olderQuerier_endsWhatWasToBeReported(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		h.setctl("net.ipv4.conf.eth0.igmpv3_unsolicited_report_interval", "600000") // the second is not among the first
		s := h.sock()
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		h.want("first", h.after(50*time.Millisecond), "v3 to 224.0.0.22 4(239.1.2.3)")
		h.inject(query(0, 10, false))
		h.want("an answer, no more of version 3", h.after(20*time.Second), "0x16 239.1.2.3 to 239.1.2.3")
		check(t, h.set(s, 35, be(grp+1), be(hostIP)))
		const join = "0x16 239.1.2.4 to 239.1.2.4"
		h.want("joined in version 2: as often as the robustness", h.after(30*time.Second), join, join)
	})
}

func TestIGMP_queriesMerge_theWiderAndTheSooner(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		check(t, h.set(s, 39, be(grp), be(hostIP), be(src1)))
		check(t, h.set(s, 39, be(grp), be(hostIP), be(src2)))
		check(t, h.set(s, 39, be(grp), be(hostIP), be(src2+1)))
		h.after(10 * time.Second)
		// Two queries of sources are answered together.
		h.inject(query(grp, 100, true, src1))
		h.inject(query(grp, 100, true, src2))
		_, m := h.until(12 * time.Second)
		h.want("two sources", m, "v3 to 224.0.0.22 1(239.1.2.3 10.0.0.1 10.0.0.2)")
		h.want("and only once", h.after(15*time.Second))
		// A query of the group takes in the sources, whichever comes first.
		h.inject(query(grp, 100, true, src1))
		h.inject(query(grp, 10, true))
		d, m := h.until(12 * time.Second)
		h.want("sources, then the group", m, "v3 to 224.0.0.22 1(239.1.2.3 10.0.0.1 10.0.0.2 10.0.0.3)")
		if d > 1300*time.Millisecond {
			t.Errorf("answered after %v, the sooner is one second", d)
		}
		h.inject(query(grp, 10, true))
		h.inject(query(grp, 100, true, src1))
		d, m = h.until(12 * time.Second)
		h.want("the group, then sources", m, "v3 to 224.0.0.22 1(239.1.2.3 10.0.0.1 10.0.0.2 10.0.0.3)")
		if d > 1300*time.Millisecond {
			t.Errorf("answered after %v: a later query puts it off", d)
		}
		h.want("and only once", h.after(15*time.Second))
		// General queries: the sooner.
		h.inject(query(0, 10, true))
		h.inject(query(0, 0x8f, true))
		if d, m = h.until(30 * time.Second); d > 1300*time.Millisecond || len(m) != 1 {
			t.Errorf("general queries: %q after %v", m, d)
		}
		h.want("and only once", h.after(40*time.Second))
	})
}

func TestIGMP_robustness_ofTheQuerierOrTheSetting(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		next := grp
		count := func(what string, want int) {
			t.Helper()
			next++
			check(t, h.set(s, 35, be(next), be(hostIP)))
			if got := h.after(20 * time.Second); len(got) != want {
				t.Errorf("%s: %d reports %q, want %d", what, len(got), got, want)
			}
		}
		count("by default", 2)
		h.inject(queryOf(0, 10, 5, 125))
		h.after(2 * time.Second)
		count("the querier says five", 5)
		if err := h.net.Sysctl().Set("net.ipv4.igmp_qrv", "0"); err != syscall.EINVAL {
			t.Errorf("igmp_qrv 0: %v", err)
		}
		h.setctl("net.ipv4.igmp_qrv", "3")
		h.inject(queryOf(0, 10, 0, 125))
		h.after(2 * time.Second)
		count("the querier does not say", 3)
		// A device that comes up begins with the setting.
		h.inject(queryOf(0, 10, 6, 125))
		h.after(2 * time.Second)
		h.setctl("net.ipv4.igmp_qrv", "1")
		h.port.dev.Close()
		check(t, h.port.dev.Open())
		h.after(10 * time.Second)
		count("up again", 1)
	})
}

func TestIGMP_unsolicited_withinTheInterval(t *testing.T) {
	for _, c := range []struct {
		version, interval string
		most              time.Duration
	}{{"3", "8000", 8 * time.Second}, {"3", "100", 100 * time.Millisecond}, {"2", "6000", 6 * time.Second}, {"2", "0", 10 * time.Millisecond}} {
		mcBubble(t, func(t *testing.T, h mcHost) {
			if c.version == "2" {
				h.setctl("net.ipv4.conf.all.force_igmp_version", "2")
			}
			h.setctl("net.ipv4.conf.eth0.igmpv"+c.version+"_unsolicited_report_interval", c.interval)
			s := h.sock()
			var all []time.Duration
			for i := range 20 {
				check(t, h.set(s, 35, be(grp+header.Addr(i)), be(hostIP)))
				if d, m := h.until(time.Second); d > 40*time.Millisecond || len(m) == 0 {
					t.Fatalf("%+v: the first after %v", c, d)
				} else if len(m) > 1 {
					all = append(all, 0) // both within a step
					continue
				}
				d, m := h.until(c.most + c.most/8 + 60*time.Millisecond)
				if len(m) != 1 {
					t.Fatalf("%+v: no second report in %v", c, d)
				}
				all = append(all, d)
			}
			if l := slices.Max(all); c.most > time.Second && l < c.most/2 {
				t.Errorf("%+v: the second after at most %v", c, l)
			}
		})
	}
}

func TestIGMP_leave_byVersion(t *testing.T) {
	for _, c := range []struct{ version, want string }{
		{"1", "[]"}, {"2", "[0x17 239.1.2.3 to 224.0.0.2]"}, {"0", "[v3 to 224.0.0.22 3(239.1.2.3) v3 to 224.0.0.22 3(239.1.2.3)]"},
	} {
		mcBubble(t, func(t *testing.T, h mcHost) {
			h.setctl("net.ipv4.conf.eth0.force_igmp_version", c.version)
			s := h.sock()
			check(t, h.set(s, 35, be(grp), be(hostIP)))
			h.after(20 * time.Second)
			check(t, h.set(s, 36, be(grp), be(hostIP)))
			if got := fmt.Sprint(h.after(20 * time.Second)); got != c.want {
				t.Errorf("version %s: %s, want %s", c.version, got, c.want)
			}
		})
	}
}

func TestIGMP_linkLocal_queriedOnlyAsSet(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		const mdns header.Addr = 0xe00000fb
		s := h.sock()
		check(t, h.set(s, 35, be(mdns), be(hostIP)))
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		h.after(10 * time.Second)
		h.inject(query(0, 10, true))
		h.want("on", h.after(2*time.Second), "v3 to 224.0.0.22 2(239.1.2.3) 2(224.0.0.251)")
		h.setctl("net.ipv4.igmp_link_local_mcast_reports", "0")
		h.inject(query(0, 10, true))
		h.want("off", h.after(2*time.Second), "v3 to 224.0.0.22 2(239.1.2.3)")
		h.inject(query(mdns, 10, true))
		h.want("off, asked for", h.after(2*time.Second))
		h.inject(query(header.AddrAllHosts, 10, true))
		h.want("all hosts, asked for", h.after(2*time.Second))
	})
}
