package inet_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/skb/header"
)

// wait lets time pass and everything due happen.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// asked tells the requests sent since the last call: how many to the neighbour
// alone and how many to everybody.
func (h *host) asked() (ucast, bcasts int) {
	for _, f := range h.port.take() {
		switch e := header.Ethernet(f); {
		case e.Type() != header.EthPARP:
		case e.Dst() == bcast:
			bcasts++
		default:
			ucast++
		}
	}
	return
}

// set is a request of the administrator about the peer.
func (h *host) neigh(state uint8, flags uint32, hw *[6]byte) {
	h.Helper()
	why, err := h.IP().Neigh.Set(&neigh.Request{Dev: h.port.dev, Addr: peerIP, HW: hw, State: state, Flags: flags, Create: true, Replace: true})
	if err != nil {
		h.Fatal(why, err)
	}
}

func (h *host) wantState(what string, want uint32) {
	h.Helper()
	if st := h.stateOf(peerIP); st != want {
		h.Errorf("%s: state %#x, want %#x", what, st, want)
	}
}

func TestNeigh_incomplete_askedByEverybodyAsOftenAsSet(t *testing.T) {
	for _, c := range []struct{ mcast, app, want int }{{3, 0, 3}, {1, 0, 1}, {5, 0, 5}, {2, 3, 2}, {0, 2, 0}} {
		bubble(t, func(t *testing.T, h *host) {
			h.setctl("net.ipv4.neigh.eth0.mcast_solicit", fmt.Sprint(c.mcast))
			h.setctl("net.ipv4.neigh.eth0.app_solicit", fmt.Sprint(c.app))
			var asked atomic.Int32
			h.IP().Neigh.AppSolicit = func(neigh.Entry) { asked.Add(1) }
			s := h.udpSocket(0, 0)
			if _, err := sendTo(s, nil, peerIP, 9); err != nil {
				t.Fatal(err)
			}
			wait(time.Duration(c.mcast+c.app-1)*time.Second + 500*time.Millisecond)
			h.wantState("while it asks", neigh.NUDIncomplete)
			wait(time.Second)
			h.wantState("after", neigh.NUDFailed)
			if u, b := h.asked(); u != 0 || b != c.want || int(asked.Load()) != c.app {
				t.Errorf("%+v: asked %d by unicast, %d everybody, %d the program", c, u, b, asked.Load())
			}
		})
	}
}

func TestNeigh_nobodyMayBeAsked_failsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.setctl("net.ipv4.neigh.eth0.mcast_solicit", "0")
		s := h.udpSocket(0, 0)
		sendTo(s, nil, peerIP, 9)
		h.wantState("at once", neigh.NUDFailed)
	})
}

func TestNeigh_probe_unicastThenProgramThenEverybodyAgain(t *testing.T) {
	for _, c := range []struct{ ucast, app, again int }{{3, 0, 0}, {1, 0, 2}, {2, 2, 3}, {0, 0, 1}} {
		bubble(t, func(t *testing.T, h *host) {
			h.setctl("net.ipv4.neigh.eth0.ucast_solicit", fmt.Sprint(c.ucast))
			h.setctl("net.ipv4.neigh.eth0.app_solicit", fmt.Sprint(c.app))
			h.setctl("net.ipv4.neigh.eth0.mcast_resolicit", fmt.Sprint(c.again))
			h.setctl("net.ipv4.neigh.eth0.delay_first_probe_time", "2")
			var asked atomic.Int32
			h.IP().Neigh.AppSolicit = func(neigh.Entry) { asked.Add(1) }
			h.neigh(neigh.NUDStale, 0, &peerMAC)
			s := h.udpSocket(0, 0)
			sendTo(s, nil, peerIP, 9)
			h.wantState("used", neigh.NUDDelay)
			wait(1900 * time.Millisecond)
			h.wantState("within delay_first_probe_time", neigh.NUDDelay)
			wait(400 * time.Millisecond) // the wheel is coarse
			if c.ucast+c.app+c.again > 1 {
				h.wantState("after it", neigh.NUDProbe)
			}
			wait(time.Duration(c.ucast+c.app+c.again) * 1200 * time.Millisecond)
			h.wantState("unanswered", neigh.NUDFailed)
			if u, b := h.asked(); u != c.ucast || b != c.again || int(asked.Load()) != c.app {
				t.Errorf("%+v: asked %d by unicast, %d everybody, %d the program", c, u, b, asked.Load())
			}
		})
	}
}

func TestNeigh_progressAbove_noProbe(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.neigh(neigh.NUDStale, 0, &peerMAC)
		s := h.udpSocket(0, 0)
		raw := h.rawSocket(200)
		send := func(s *sock.Socket, flags int) {
			m := &sock.Msg{Iov: [][]byte{[]byte("x")}}
			m.NameLen = copy(m.Name[:], sockaddr(peerIP, 9))
			if _, err := s.SendMsg(m, flags|syscall.MSG_DONTWAIT); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []*sock.Socket{s, raw} {
			send(c, 0)
			h.wantState("used", neigh.NUDDelay)
			wait(3 * time.Second)
			send(c, syscall.MSG_CONFIRM)
			wait(3 * time.Second)
			h.wantState("confirmed by who sends", neigh.NUDReachable)
			if u, b := h.asked(); u+b != 0 {
				t.Errorf("asked %d times all the same", u+b)
			}
			h.neigh(neigh.NUDStale, 0, &peerMAC)
		}
		// Without, it is asked.
		send(s, 0)
		wait(6 * time.Second)
		if u, _ := h.asked(); u == 0 {
			t.Error("not asked")
		}
	})
}

func TestNeigh_use_resolvesWithoutAPacket(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.neigh(neigh.NUDNone, neigh.NTFUse, nil)
		h.wantState("asked for", neigh.NUDIncomplete)
		if u, b := h.asked(); u != 0 || b != 1 {
			t.Errorf("asked %d, %d", u, b)
		}
		h.inject(arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP))
		h.wantState("answered", neigh.NUDReachable)
		h.neigh(neigh.NUDPermanent, 0, nil)
		// A request to use it takes the permanence away, and keeps the address.
		h.neigh(neigh.NUDNone, neigh.NTFUse, nil)
		if n := h.Neighbours()[0]; n.State == neigh.NUDPermanent || n.HW != peerMAC {
			t.Errorf("%+v", n)
		}
	})
}

func TestNeigh_managed_keptResolved(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.setctl("net.ipv4.neigh.default.interval_probe_time_ms", "2000")
		h.neigh(neigh.NUDNone, neigh.NTFManaged, nil)
		if _, b := h.asked(); b != 1 {
			t.Errorf("asked %d times", b)
		}
		answer := arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP)
		h.inject(answer)
		h.wantState("answered", neigh.NUDReachable)
		// It would be STALE for ever; so it is asked, nobody sending.
		asked := 0
		for range 200 {
			wait(time.Second)
			u, b := h.asked()
			if asked += u + b; u+b > 0 {
				h.inject(answer)
			}
			if st := h.stateOf(peerIP); st == neigh.NUDFailed || st == neigh.NUDNone {
				t.Fatalf("state %#x", st)
			}
		}
		if asked < 3 {
			t.Errorf("asked %d times in 200 s", asked)
		}
		h.neigh(neigh.NUDStale, 0, &peerMAC) // no longer managed
		h.asked()
		wait(60 * time.Second)
		if u, b := h.asked(); u+b != 0 {
			t.Errorf("asked %d times after it", u+b)
		}
	})
}

func TestNeigh_validatedElsewhere_neverFailsNorGoes(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.setctl("net.ipv4.neigh.default.gc_thresh1", "0")
		h.neigh(neigh.NUDStale, neigh.NTFExtValidated, &peerMAC)
		s := h.udpSocket(0, 0)
		sendTo(s, nil, peerIP, 9)
		wait(12 * time.Second)
		h.wantState("unanswered", neigh.NUDStale)
		wait(300 * time.Second)
		h.wantState("unused", neigh.NUDStale)
	})
}

func TestNeigh_noARP_neitherAskedNorLearnt(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.neigh(neigh.NUDNoARP, 0, &peerMAC)
		h.inject(arpFrame(header.ARPRequest, bcast, [6]byte{2, 7, 7, 7, 7, 7}, peerIP, [6]byte{}, hostIP))
		h.port.take()
		s := h.udpSocket(0, 0)
		sendTo(s, nil, peerIP, 9)
		if r := h.one(); r.eth.Dst() != peerMAC {
			t.Errorf("sent to %x", r.eth.Dst())
		}
		wait(100 * time.Second)
		h.wantState("later", neigh.NUDNoARP)
		if u, b := h.asked(); u+b != 0 {
			t.Errorf("asked %d times", u+b)
		}
		arp, _ := h.net.Proc().Lookup("arp")
		if n := len(arp(nil)); n != 79 {
			t.Errorf("listed in /proc/net/arp, which has no such entries: %s", arp(nil))
		}
	})
}

// ask makes n neighbours known by their requests, STALE and never used.
func (h *host) strangers(from, n int) {
	for i := range n {
		h.inject(arpFrame(header.ARPRequest, bcast, peerMAC, 0xc0000200+header.Addr(from+i), [6]byte{}, hostIP))
	}
	h.port.take()
}

func TestNeigh_thresholds_heldToTheEntry(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.setctl("net.ipv4.neigh.default.gc_thresh1", "4")
		h.setctl("net.ipv4.neigh.default.gc_thresh2", "8")
		h.setctl("net.ipv4.neigh.default.gc_thresh3", "12")
		count := func() int { return len(h.Neighbours()) }
		// Below the first threshold nothing is collected, however old.
		h.strangers(10, 3)
		wait(10 * time.Minute)
		if count() != 3 {
			t.Errorf("%d entries below gc_thresh1", count())
		}
		// At it, what is older than gc_stale_time goes.
		h.strangers(20, 1)
		wait(40 * time.Second)
		if n := count(); n != 1 || h.stateOf(0xc0000214) != neigh.NUDStale {
			t.Errorf("%d entries at gc_thresh1, want the young one", n)
		}
		// Up to the second nothing is forced out, with the one that crosses it
		// the table is cleaned if that was not done for five seconds.
		h.strangers(30, 7)
		if runs := h.MIB().ARP.ForcedGCRuns.Load(); count() != 8 || runs != 0 {
			t.Errorf("%d entries at gc_thresh2, %d forced runs", count(), runs)
		}
		h.strangers(40, 1)
		if runs := h.MIB().ARP.ForcedGCRuns.Load(); runs != 1 {
			t.Errorf("%d forced runs", runs)
		}
		// Those of unanswered questions cannot go: the table fills to the third
		// and then refuses.
		h.IP().Neigh.FlushDev(h.port.dev, false)
		h.setctl("net.ipv4.neigh.eth0.mcast_solicit", "1000")
		s := h.udpSocket(0, 0)
		check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_RECVERR, []byte{1, 0, 0, 0})) // or a lost packet is no error
		for i := range 12 {
			if _, err := sendTo(s, nil, 0xc0000264+header.Addr(i), 9); err != nil {
				t.Fatalf("neighbour %d: %v", i, err)
			}
		}
		if _, err := sendTo(s, nil, 0xc0000296, 9); err != syscall.ENOBUFS {
			t.Errorf("neighbour 13: %v, want ENOBUFS", err)
		}
		if full := h.MIB().ARP.TableFulls.Load(); count() != 12 || full != 1 {
			t.Errorf("%d entries, table_fulls %d", count(), full)
		}
	})
}

func TestNeigh_ages_asListed(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.neigh(neigh.NUDReachable, 0, &peerMAC)
		wait(3 * time.Second)
		s := h.udpSocket(0, 0)
		sendTo(s, nil, peerIP, 9) // reachable: no look at the state
		h.neigh(neigh.NUDStale, 0, &peerMAC)
		wait(4 * time.Second)
		sendTo(s, nil, peerIP, 9)
		wait(2 * time.Second)
		n := h.Neighbours()[0]
		if n.Confirmed != int64(9*time.Second) || n.Used != int64(2*time.Second) || n.Updated != int64(2*time.Second) {
			t.Errorf("confirmed %v, used %v, updated %v ago", time.Duration(n.Confirmed), time.Duration(n.Used), time.Duration(n.Updated))
		}
	})
}

func TestNeigh_table_growsUnderReaders(t *testing.T) {
	const most = 20000
	h := newHost(t)
	tb := h.IP().Neigh
	var done atomic.Bool
	var added atomic.Int32
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; !done.Load(); i++ {
				if n := added.Load(); n > 0 {
					// Missed while the table grows, an entry is found by who
					// would make it.
					a := 0x0a000000 + header.Addr(int32(i)%n)
					if e, err := tb.Get(h.port.dev, a); err != nil || e.Addr() != a || e.State() != neigh.NUDPermanent {
						t.Errorf("%v: %v, %v", a, e, err)
						return
					}
				}
			}
		})
	}
	for i := range most {
		check(t, tb.Add(h.port.dev, 0x0a000000+header.Addr(i), peerMAC[:], neigh.NUDPermanent, 0))
		added.Add(1)
	}
	done.Store(true)
	readers.Wait()
	if n := h.MIB().ARP.HashGrows.Load(); n != 12 { // 8 chains, 16, … 32768
		t.Errorf("grew %d times", n)
	}
	for i := range most {
		check(t, tb.Delete(h.port.dev, 0x0a000000+header.Addr(i)))
	}
	if n := tb.Len(); n != 0 {
		t.Errorf("%d entries left", n)
	}
}
