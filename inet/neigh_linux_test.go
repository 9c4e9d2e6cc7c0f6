package inet_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/neigh"
	"barewire/skb/header"
)

// questions are the settings that decide how a neighbour is asked for.
type questions struct{ ucast, mcast, app, again int }

func (q questions) set(ctl func(name, v string)) {
	for _, c := range []struct {
		name string
		v    int
	}{{"ucast_solicit", q.ucast}, {"mcast_solicit", q.mcast}, {"app_solicit", q.app}, {"mcast_resolicit", q.again}, {"retrans_time_ms", 20}} {
		ctl(c.name, fmt.Sprint(c.v))
	}
}

// TestLinuxNeigh_sameSettings_sameQuestions sends a datagram to a neighbour that
// never answers, one not known and one not heard of for long, and compares whom
// both kernels ask, how often, and what becomes of the neighbour.
func TestLinuxNeigh_sameSettings_sameQuestions(t *testing.T) {
	t.Parallel() // most of it is waiting
	l := newLinux(t)
	silent := peerIP + 7
	ask := func(f []byte) string {
		if len(f) < 42 || header.Ethernet(f).Type() != header.EthPARP {
			return ""
		}
		a, ok := header.ParseARP(f[14:])
		if !ok || a.TargetIP() != silent {
			return ""
		}
		d := header.Ethernet(f).Dst()
		return fmt.Sprintf("op %d to %x for %v from %v; ", a.Op(), d, a.TargetIP(), a.SenderIP())
	}
	linux := func(q questions, stale bool) (out string) {
		q.set(func(name, v string) { check(t, l.ns.Sysctl("ipv4/neigh/tap0/"+name, v)) })
		check(t, l.ns.IP("ntable", "change", "name", "arp_cache", "dev", "tap0", "delay_probe", "20"))
		l.ns.IP("neigh", "del", silent.String(), "dev", "tap0") // it may not be there
		if stale {
			check(t, l.ns.IP("neigh", "replace", silent.String(), "lladdr", "02:00:00:00:00:09", "dev", "tap0", "nud", "stale"))
		}
		check(t, l.ns.Do(func() error {
			c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: silent.Netip().AsSlice(), Port: 9})
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("x"))
			return err
		}))
		time.Sleep(time.Duration(q.ucast+q.mcast+q.app+q.again)*25*time.Millisecond + 80*time.Millisecond)
		for b := make([]byte, 2000); ; {
			l.tap.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			n, err := l.tap.Read(b)
			if err != nil {
				break
			}
			out += ask(b[:n])
		}
		s, err := l.ns.Run(10*time.Second, "ip", "neigh", "show", silent.String(), "dev", "tap0")
		check(t, err)
		f := strings.Fields(s)
		return out + f[len(f)-1]
	}
	own := func(q questions, stale bool) (out string) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			stop := make(chan struct{})
			go h.net.SoftNet().Run(stop)
			q.set(func(name, v string) { h.setctl("net.ipv4.neigh.eth0."+name, v) })
			h.IP().Neigh.Parms(h.port.dev).DelayProbeTime.Store(20e6)
			if stale {
				check(t, h.IP().Neigh.Add(h.port.dev, silent, []byte{2, 0, 0, 0, 0, 9}, neigh.NUDStale, 0))
			}
			if _, err := sendTo(h.udpSocket(0, 0), []byte("x"), silent, 9); err != nil {
				t.Error(err)
			}
			wait(3 * time.Second)
			for _, f := range h.port.take() {
				out += ask(f)
			}
			names := map[uint32]string{neigh.NUDFailed: "FAILED", neigh.NUDStale: "STALE", neigh.NUDProbe: "PROBE", neigh.NUDDelay: "DELAY", neigh.NUDIncomplete: "INCOMPLETE"}
			out += names[h.stateOf(silent)]
			close(stop)
			synctest.Wait()
		})
		return out
	}
	for _, q := range []questions{{3, 3, 0, 0}, {1, 1, 0, 0}, {0, 2, 0, 0}, {2, 0, 0, 1}, {0, 0, 2, 0}, {2, 1, 1, 2}, {0, 1, 0, 3}, {1, 0, 0, 0}} {
		for _, stale := range []bool{false, true} {
			if a, b := linux(q, stale), own(q, stale); a != b {
				t.Errorf("%+v, known before %v:\nLinux %s\n   we %s", q, stale, a, b)
			}
		}
	}
}
