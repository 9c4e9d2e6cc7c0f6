package qemu

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// randomPieces are the fragments of a datagram to the echo port or to the other side, in a random order, and often with one that overlaps,
// is there twice, is missing, ends elsewhere, or has other bits in its header.
func randomPieces(r *rand.Rand, mac MAC) (frames [][]byte) {
	src, dst := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr(pick(r, "10.1.0.1", "10.1.0.1", "10.1.0.1", "10.2.0.3"))
	data := make([]byte, pick(r, 16, 100, 1000, 1480, 2000, 3000, 9000))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	whole := IPv4{Proto: 17, ID: uint16(r.Uint32()), Src: src, Dst: dst, TTL: 64, TOS: pick[uint8](r, 0, 0, 1, 2, 3), DF: r.IntN(6) == 0,
		Payload: UDP{Src: uint16(1 + r.IntN(60000)), Dst: pick[uint16](r, 7, 7, 9), Payload: data}.Marshal(src, dst)}
	if r.IntN(8) == 0 {
		whole.Options = pick(r, []byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{1, 1, 1, 1}, []byte{148, 4, 0, 0})
	}
	n := len(whole.Payload)
	add := func(from, to int, more bool, change func(p *IPv4)) {
		from, to = max(0, from), min(to, n)
		if from >= to {
			return
		}
		p := whole
		p.FragOff, p.MF, p.Payload = from, more, whole.Payload[from:to]
		if change != nil {
			change(&p)
		}
		frames = append(frames, Ethernet(mac, MAC{2, 0, 0, 0, 0, 2}, EtherIPv4, p.Marshal()))
	}
	// Not too many: what a piece costs in memory is not the same in both.
	step := 8 * max(n/8/60, 1+r.IntN(min(180, n/8)))
	for off := 0; off < n; off += step {
		add(off, off+step, off+step < n, nil)
	}
	odd := r.IntN(14)
	at := 8 * r.IntN(n/8+1)
	switch odd {
	case 0:
		add(at, at+8*(1+r.IntN(20)), true, nil) // overlaps, or is there already
	case 1:
		frames = append(frames, pick(r, frames...)) // twice
	case 2:
		frames = slices.Delete(frames, len(frames)-1, len(frames)) // no end
	case 3:
		add(at, at+8, false, nil) // another end
	case 4:
		add(at, at+5, true, nil) // not a multiple of eight
	case 5:
		add(at, at+16, true, func(p *IPv4) { p.TOS ^= 3 })
	case 6:
		add(0, 8, true, func(p *IPv4) { p.FragOff = 65528; p.MF = r.IntN(2) == 0 }) // beyond the longest datagram
	case 7:
		add(at, at+16, true, func(p *IPv4) { p.Proto = 1 }) // another datagram's
	case 8:
		add(0, 0, true, nil)
	}
	if r.IntN(2) == 0 {
		r.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
	}
	return frames
}

// Random fragments are put together, or not, as by Linux, counted so, and passed on as they are.
func TestForward_randomFragmentsAsLinux(t *testing.T) {
	pair := twins(t)
	r := rand.New(rand.NewPCG(3, 9))
	before := [2]map[string]int{pair[0].counters(), pair[1].counters()}
	heard, wrong := 0, 0
	for i := range 60 {
		var frames [][]byte
		for range 4 {
			frames = append(frames, randomPieces(r, pair[0].mac)...)
		}
		want := pair[1].try(t, 0, 0, frames...)
		got := pair[0].try(t, 0, len(want), frames...)
		if heard += len(want); !slices.Equal(got, want) {
			if wrong++; wrong <= 3 {
				var in strings.Builder
				for _, f := range frames {
					p, _ := ParseFrame(f)
					fmt.Fprintf(&in, "to %v id %04x proto %d at %d len %d mf %v df %v tos %d options % x\n", p.IP.Dst, p.IP.ID, p.IP.Proto, p.IP.FragOff, len(p.IP.Payload), p.IP.MF, p.IP.DF, p.IP.TOS, p.IP.Options)
				}
				t.Errorf("%d: in\n%sthe image:\n%.3000s\nLinux:\n%.3000s", i, &in, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	compareCounters(t, pair, before)
	t.Logf("%d packets out", heard)
}
