package net_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio/device"
	vnet "barewire/virtio/net"
)

const mqFeatures = device.AllFeatures | vnet.FeatMQ

// newPairs is a stack on so many processors with an open device.
func newPairs(t testing.TB, cfg device.Config, cpus int, kind string) *rig {
	t.Helper()
	r := newStackOn(t, cfg, cpus)
	r.probe(kind, r.options())
	r.open()
	return r
}

func TestPairs_frames_stayWithTheirProcessor(t *testing.T) {
	for _, c := range []struct{ cpus, pairs, want int }{{4, 4, 4}, {2, 4, 2}, {4, 3, 3}, {3, 8, 3}, {4, 1, 1}, {1, 4, 1}} {
		for _, kind := range []string{"pci-many", "pci-pairs", "pci-shared", "pci-intx", "mmio"} {
			t.Run(fmt.Sprintf("%d CPUs %d pairs %s", c.cpus, c.pairs, kind), func(t *testing.T) {
				var sent []int
				r := newPairs(t, device.Config{Features: mqFeatures, Pairs: c.pairs, TransmitOn: func(pair int, _ device.Hdr, _ []byte) {
					sent = append(sent, pair)
				}}, c.cpus, kind)
				if n := r.dev.Pairs(); n != c.want {
					t.Fatalf("device uses %d pairs, want %d", n, c.want)
				}
				var cpus []int
				r.stack.AddPack(testType, nil, func(b *skb.Buff, dev *napi.NetDevice) {
					cpus = append(cpus, int(b.CPU))
					b.Push(14)
					r.stack.DevQueueXmit(b)
				})
				for pair := range c.want {
					for range 3 {
						if !r.dev.InjectOn(pair, device.Hdr{}, r.frame(60, 0)) {
							t.Fatalf("no buffer on pair %d", pair)
						}
					}
					r.softirq()
				}
				for i := range 3 * c.want {
					if i >= len(cpus) || cpus[i] != i/3 || i >= len(sent) || sent[i] != i/3 {
						t.Fatalf("received by %v, sent on %v", cpus, sent)
					}
				}
			})
		}
	}
}

// A device that says the impossible, or will not do what it offers, works with one
// pair.
func TestPairs_hostileDevice_onePair(t *testing.T) {
	for name, c := range map[string]struct {
		max    int // max_virtqueue_pairs, -1 as it is
		refuse bool
		log    string
	}{
		"none":             {0, false, "0 pairs"},
		"one":              {1, false, ""},
		"the most allowed": {0x8000, false, "one pair"},
		"one more":         {0x8001, false, "32769 pairs"},
		"all bits":         {0xffff, false, "65535 pairs"},
		"more than it has": {5, false, "one pair"},
		"refuses":          {-1, true, "one pair"},
	} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			r := newStackOn(t, device.Config{Features: mqFeatures, Pairs: 4, Transmit: func(device.Hdr, []byte) { sent++ }}, 4)
			if c.max >= 0 {
				r.dev.Hostile().Config(8, byte(c.max))
				r.dev.Hostile().Config(9, byte(c.max>>8))
			}
			r.dev.Hostile().RefusePairs = c.refuse
			r.probe("pci-many", r.options())
			r.open()
			r.echo()
			for range 10 {
				r.dev.Inject(device.Hdr{}, r.frame(60, 0))
				r.softirq()
			}
			if sent != 10 || r.dev.Pairs() != 1 || r.nd.RealTxQueues() != 1 {
				t.Errorf("%d of 10 came back, %d pairs, %d transmit queues", sent, r.dev.Pairs(), r.nd.RealTxQueues())
			}
			if got := strings.Join(r.log, "\n"); !strings.Contains(got, c.log) || c.log == "" && got != "" {
				t.Errorf("log %q", got)
			}
		})
	}
}

func TestPairs_otherNumberAfterReset_notTaken(t *testing.T) {
	r := newPairs(t, device.Config{Features: mqFeatures, Pairs: 4}, 4, "pci-many")
	r.nd.Close()
	r.dev.Hostile().Config(8, 2)
	if err := r.nd.Open(); err == nil {
		t.Error("opened with 2 pairs of 4")
	}
	r.dev.Hostile().Config(8, 4)
	if err := r.nd.Open(); err != nil || r.dev.Pairs() != 4 {
		t.Errorf("%v, %d pairs", err, r.dev.Pairs())
	}
}

func TestPairs_broken_allComeBack(t *testing.T) {
	r := newPairs(t, device.Config{Features: mqFeatures, Pairs: 4}, 4, "pci-many")
	r.dev.Hostile().UsedIndex(2*3, 1000)
	r.dev.Hostile().Interrupt(2 * 3)
	r.settle(time.Second)
	if s := r.drv.Stats(); s.Broken != 1 || s.Recovered != 1 || r.dev.Pairs() != 4 {
		t.Errorf("%+v, %d pairs", s, r.dev.Pairs())
	}
}

func TestPairs_numberChanged_underTraffic(t *testing.T) {
	var mu sync.Mutex
	seen := map[int]int{}
	r := newPairs(t, device.Config{Features: mqFeatures, Pairs: 4, TransmitOn: func(pair int, _ device.Hdr, _ []byte) {
		mu.Lock()
		seen[pair]++
		mu.Unlock()
	}}, 4, "pci-many")
	stop := make(chan struct{})
	var all sync.WaitGroup
	for cpu := range 4 {
		all.Go(func() { r.stack.SoftNetOf(cpu).Run(stop) })
	}
	r.echo()
	f := r.frame(60, 0)
	for pair := range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r.dev.InjectOn(pair, device.Hdr{}, f)
					time.Sleep(10 * time.Microsecond)
				}
			}
		})
	}
	for _, n := range []int{1, 4, 2, 3, 4, 1, 2} {
		if err := r.drv.SetChannels(r.nd, n); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		if most, now := r.drv.Channels(r.nd); most != 4 || now != n || r.dev.Pairs() != n || r.nd.RealTxQueues() != n {
			t.Errorf("%d of %d channels, device %d, stack %d, want %d", now, most, r.dev.Pairs(), r.nd.RealTxQueues(), n)
		}
	}
	r.dev.Hostile().RefusePairs = true
	if err := r.drv.SetChannels(r.nd, 4); err == nil || r.nd.RealTxQueues() != 2 {
		t.Errorf("refused: %v, %d queues", err, r.nd.RealTxQueues())
	}
	for _, n := range []int{0, -1, 5} {
		if r.drv.SetChannels(r.nd, n) == nil {
			t.Errorf("%d channels taken", n)
		}
	}
	r.dev.Hostile().RefusePairs = false
	close(stop)
	all.Wait()
	for pair := range 4 {
		if seen[pair] == 0 {
			t.Errorf("nothing was sent on pair %d", pair)
		}
	}
}

// udpFlow is a datagram of a flow, with its number in it.
func udpFlow(r *rig, flow, seq int) *skb.Buff {
	f := r.frame(60, 0)
	ip := f[14:]
	copy(ip, []byte{0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	f[12], f[13] = 8, 0
	binary.BigEndian.PutUint16(ip[20:], uint16(1000+flow))
	binary.BigEndian.PutUint16(ip[22:], 9)
	binary.BigEndian.PutUint16(ip[24:], 26)
	binary.BigEndian.PutUint32(ip[28:], uint32(seq))
	b := r.buff(f, len(f))
	if b != nil {
		b.Protocol = napi.ETH_P_IP
		b.SetNetworkHeader(14)
	}
	return b
}

// Several senders, several flows each: a flow uses one queue and stays in order, and
// the flows use all queues.
func TestPairs_flows_inOrderOverAllQueues(t *testing.T) {
	const senders, flows, each = 4, 8, 300
	var mu sync.Mutex
	next, pairOf, seen := map[int]int{}, map[int]int{}, map[int]int{}
	r := newPairs(t, device.Config{Features: mqFeatures, Pairs: 4, TransmitOn: func(pair int, _ device.Hdr, f []byte) {
		flow, seq := int(binary.BigEndian.Uint16(f[34:]))-1000, int(binary.BigEndian.Uint32(f[42:]))
		mu.Lock()
		defer mu.Unlock()
		if p, ok := pairOf[flow]; seq != next[flow] || ok && p != pair {
			t.Errorf("flow %d: number %d on pair %d, want %d on %d", flow, seq, pair, next[flow], p)
		}
		next[flow], pairOf[flow] = seq+1, pair
		seen[pair]++
	}}, 4, "pci-many")
	stop := make(chan struct{})
	var soft, send sync.WaitGroup
	for cpu := range 4 {
		soft.Go(func() { r.stack.SoftNetOf(cpu).Run(stop) })
	}
	for s := range senders {
		send.Go(func() {
			for seq := range each {
				for k := range flows {
					// A queue may be full for a while.
					for r.stack.DevQueueXmit(udpFlow(r, s*flows+k, seq)) != nil {
						time.Sleep(100 * time.Microsecond)
					}
				}
			}
		})
	}
	send.Wait()
	close(stop)
	soft.Wait()
	r.softirq()
	total := 0
	for _, n := range seen {
		total += n
	}
	if total != senders*flows*each || len(seen) != 4 {
		t.Errorf("%d packets by pair %v", total, seen)
	}
}
