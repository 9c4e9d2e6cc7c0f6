package ip

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"barewire/napi"
	"barewire/skb/header"
)

// identTable chooses the identification of packets that may be fragmented
// (Linux: ip_idents). Counters are shared by hash of the flow under a secret
// key, and jump by a random amount after a pause, so that an outsider can
// neither predict the next one nor count what is sent to others (RFC 7739).
type identTable struct {
	clock napi.Clock
	key   uint64
	rnd   atomic.Uint64
	slots [512]struct {
		id   atomic.Uint32
		last atomic.Uint32 // time of the last use, 1/128 s
	}
}

func (t *identTable) init(dev *napi.Net) {
	t.clock = dev.Clock()
	var k [16]byte
	dev.Rand(k[:])
	t.key = binary.LittleEndian.Uint64(k[:]) | 1
	t.rnd.Store(binary.LittleEndian.Uint64(k[8:]))
	for i := range t.slots {
		t.slots[i].id.Store(uint32(t.random()))
	}
}

// random is a splitmix64 step: enough to blur a counter.
func (t *identTable) random() uint64 {
	z := t.rnd.Add(0x9e3779b97f4a7c15)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// next returns an identification for a packet (Linux: ip_idents_reserve).
func (t *identTable) next(src, dst header.Addr, proto uint8) uint16 {
	hi, lo := bits.Mul64((uint64(src)<<32|uint64(dst))^t.key, 0x9e3779b97f4a7c15+uint64(proto)<<1)
	s := &t.slots[(hi^lo)%uint64(len(t.slots))]
	now := uint32(t.clock.Now() >> 23)
	var jump uint32
	if old := s.last.Load(); old != now && s.last.CompareAndSwap(old, now) {
		jump = uint32(t.random() % uint64(now-old))
	}
	return uint16(s.id.Add(1 + jump))
}

// Random returns a number nobody outside can guess from what they see, for
// choices that need no cryptographic strength.
func (n *Net) Random() uint64 { return n.idents.random() }
