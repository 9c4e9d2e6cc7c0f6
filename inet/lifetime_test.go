package inet_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/fib"
	"barewire/inet/ip"
)

// eventLog is what listeners heard; timers tell them from goroutines of their own.
type eventLog struct {
	mu    sync.Mutex
	heard []string
}

// addrLog notes what listeners hear of addresses.
func addrLog(h *host) *eventLog {
	log := new(eventLog)
	h.Cleanup(h.IP().RegisterRTNotifier(func(ev ip.RTEvent) {
		switch ev.Kind {
		case ip.AddrNew, ip.AddrDel:
			what := map[ip.RTEventKind]string{ip.AddrNew: "new", ip.AddrDel: "del"}[ev.Kind]
			if ev.Addr.Flags&ip.IFAFDeprecated != 0 {
				what += " deprecated"
			}
			if ev.Addr.Secondary {
				what += " secondary"
			}
			log.mu.Lock()
			log.heard = append(log.heard, fmt.Sprint(what, " ", ev.Addr.Local))
			log.mu.Unlock()
		}
	}))
	return log
}

// wantLog compares what was heard, of timers too that are due now: time that is
// slept away says nothing of whether they have run yet.
func (h *host) wantLog(log *eventLog, want ...string) {
	h.Helper()
	synctest.Wait()
	log.mu.Lock()
	defer log.mu.Unlock()
	if !slices.Equal(log.heard, want) {
		h.Errorf("heard %q, want %q", log.heard, want)
	}
	log.heard = nil
}

func (h *host) addrs() (l []string) {
	for _, a := range h.IP().InDev(h.port.dev.Ifindex()).Addrs() {
		l = append(l, a.Local.String())
	}
	return l
}

func TestAddr_lifetimesOver_deprecatedThenGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		n, dev := h.IP(), h.port.dev
		log := addrLog(h)
		a := ip.AddrConfig{Local: ip4(198, 51, 100, 1), Bits: 24, ValidLft: 100, PreferredLft: 40}
		check(t, n.NewAddr(dev, a, fib.FlagCreate|fib.FlagExcl))
		h.wantLog(log, "new 198.51.100.1")
		time.Sleep(39 * time.Second)
		h.wantLog(log)
		time.Sleep(2 * time.Second)
		h.wantLog(log, "new deprecated 198.51.100.1")
		if rt, err := n.RouteOutput(&fib.Flow{Dst: ip4(198, 51, 100, 9)}); err != 0 || rt.Gateway != 0 {
			t.Errorf("a deprecated address has no subnet: %v", err)
		}
		time.Sleep(58 * time.Second)
		h.wantLog(log)
		time.Sleep(2 * time.Second)
		h.wantLog(log, "del deprecated 198.51.100.1")
		f := fib.Flow{Dst: ip4(198, 51, 100, 9)}
		if rt, err := n.RouteOutput(&f); err != 0 || rt.Gateway != peerIP || f.Src != hostIP {
			t.Errorf("the subnet outlives its address: %v", err)
		}
		if !slices.Equal(h.addrs(), []string{"192.0.2.1"}) {
			t.Errorf("%v", h.addrs())
		}
	})
}

func TestAddr_lifetimesRenewed_goesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		n, dev := h.IP(), h.port.dev
		log := addrLog(h)
		a := ip.AddrConfig{Local: ip4(198, 51, 100, 1), Bits: 24, ValidLft: 100, PreferredLft: 40, Label: "eth0:a"}
		check(t, n.NewAddr(dev, a, fib.FlagCreate|fib.FlagExcl))
		time.Sleep(50 * time.Second)
		a.Label = ""
		check(t, n.NewAddr(dev, a, fib.FlagReplace))
		h.wantLog(log, "new 198.51.100.1", "new deprecated 198.51.100.1", "new 198.51.100.1")
		time.Sleep(60 * time.Second) // beyond the first end
		h.wantLog(log, "new deprecated 198.51.100.1")
		if l := n.InDev(dev.Ifindex()).Addrs(); len(l) != 2 || l[1].Label != "eth0:a" {
			t.Errorf("%+v", l)
		}
		a.ValidLft, a.PreferredLft = ip.Forever, ip.Forever
		check(t, n.NewAddr(dev, a, fib.FlagReplace))
		h.wantLog(log, "new 198.51.100.1")
		time.Sleep(1000 * time.Hour)
		h.wantLog(log)
		a.PreferredLft = 0
		check(t, n.NewAddr(dev, a, fib.FlagReplace))
		h.wantLog(log, "new deprecated 198.51.100.1")
		// Valid forever is permanent.
		a.PreferredLft = 10
		check(t, n.NewAddr(dev, a, fib.FlagReplace))
		h.wantLog(log, "new 198.51.100.1")
		time.Sleep(time.Hour)
		h.wantLog(log)
		for _, bad := range [][2]uint32{{10, 20}, {0, 5}} {
			a.ValidLft, a.PreferredLft = bad[0], bad[1]
			if err := n.NewAddr(dev, a, fib.FlagReplace); bad[0] != 0 && err != syscall.EINVAL {
				t.Errorf("valid %d preferred %d: %v", bad[0], bad[1], err)
			}
		}
	})
}

func TestAddr_firstOfSubnetExpires_nextPromotedOrGone(t *testing.T) {
	for _, promote := range []string{"0", "1"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			n, dev := h.IP(), h.port.dev
			check(t, h.net.Sysctl().Set("net.ipv4.conf.eth0.promote_secondaries", promote))
			log := addrLog(h)
			for i, lft := range []uint32{10, 20, 0} {
				check(t, n.NewAddr(dev, ip.AddrConfig{Local: ip4(198, 51, 100, byte(i+1)), Bits: 24, ValidLft: lft, PreferredLft: lft}, fib.FlagCreate))
			}
			h.wantLog(log, "new 198.51.100.1", "new secondary 198.51.100.2", "new secondary 198.51.100.3")
			src := func() string {
				f := fib.Flow{Dst: ip4(198, 51, 100, 99)}
				if _, err := n.RouteOutput(&f); err != 0 {
					return err.Error()
				}
				return f.Src.String()
			}
			time.Sleep(11 * time.Second)
			if promote == "0" {
				h.wantLog(log, "del secondary 198.51.100.2", "del secondary 198.51.100.3", "del 198.51.100.1")
				return
			}
			h.wantLog(log, "del 198.51.100.1", "new 198.51.100.2")
			if src() != "198.51.100.2" {
				t.Error(src())
			}
			time.Sleep(10 * time.Second)
			h.wantLog(log, "del 198.51.100.2", "new 198.51.100.3")
			if src() != "198.51.100.3" {
				t.Error(src())
			}
			check(t, h.DelAddr(dev, netip.MustParsePrefix("198.51.100.3/24")))
		})
	}
}

func TestAddr_order_primariesByScopeBeforeSecondaries(t *testing.T) {
	h := newHost(t)
	n, dev := h.IP(), h.port.dev
	add := func(a ip.AddrConfig) error { return n.NewAddr(dev, a, fib.FlagCreate|fib.FlagExcl) }
	check(t, add(ip.AddrConfig{Local: hostIP + 8, Bits: 24}))
	check(t, add(ip.AddrConfig{Local: ip4(10, 0, 0, 1), Bits: 8}))
	check(t, add(ip.AddrConfig{Local: ip4(169, 254, 0, 1), Bits: 16, Scope: fib.ScopeLink}))
	if err := add(ip.AddrConfig{Local: ip4(10, 0, 0, 2), Bits: 8, Scope: fib.ScopeLink}); err != syscall.EINVAL {
		t.Errorf("another scope in the same subnet: %v", err)
	}
	if l := h.addrs(); !slices.Equal(l, []string{"169.254.0.1", "192.0.2.1", "10.0.0.1", "192.0.2.9"}) {
		t.Errorf("%v", l)
	}
}
