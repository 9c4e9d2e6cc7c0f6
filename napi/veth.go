package napi

import (
	"sync"
	"sync/atomic"

	"barewire/skb"
)

// veth is one end of a pair of devices joined back to back (Linux:
// drivers/net/veth.c): what one end transmits the other receives, in the
// softirq of the other's namespace.
//
// A frame is handed over as it is while its sender has plenty of memory, and
// copied into packet memory of the receiving namespace otherwise, so that one
// that does not read its packets cannot starve the other. What is known about
// the packet beside its bytes stays behind, as Linux scrubs it, and whatever
// becomes of it is counted where it went.
type veth struct {
	dev  *NetDevice
	peer *veth
	pair *sync.Mutex // carrier of both ends
	open atomic.Bool
	// going: both ends are being taken away, and nobody is told of the carrier
	// that one loses by the other.
	going atomic.Bool
}

// NewVethPair makes a pair of devices and registers one end in a, the other in
// b, which may be the same namespace. Both are down, with random addresses.
// Names may end in %d. Errors are those of RegisterNetdev, in which case nothing
// stays. Either end may be moved; UnregisterVeth takes both away.
func NewVethPair(a *Net, nameA string, b *Net, nameB string) (devA, devB *NetDevice, err error) {
	return NewVethPairAt(Place{Net: a, Name: nameA}, Place{Net: b, Name: nameB})
}

// Place is where a new device shall be: its namespace, its name, which may end
// in %d, and its index, 0 for any.
type Place struct {
	Net   *Net
	Name  string
	Index int32
}

// NewVethPairAt is NewVethPair with wishes for the indexes. EBUSY when one is
// taken.
func NewVethPairAt(a, b Place) (devA, devB *NetDevice, err error) {
	var mu sync.Mutex
	x, y := &veth{pair: &mu}, &veth{pair: &mu}
	x.peer, y.peer = y, x
	for _, e := range []struct {
		v *veth
		Place
	}{{x, a}, {y, b}} {
		d := AllocNetdev(e.Name, e.v, 1)
		d.ifindex.Store(e.Index)
		EtherSetup(d)
		d.SetFeatures(FeatureSG | FeatureFragList | FeatureHWCsum)
		d.randomAddr(e.Net)
		d.noLink.Store(true)
		d.watched.Store(true)
		d.downs.Store(1) // Linux turns it off when it is registered already
		d.Priv, e.v.dev = e.v, d
	}
	// The peer first, so that it has the lower index (veth_newlink).
	if err := b.Net.RegisterNetdev(y.dev); err != nil {
		return nil, nil, err
	}
	if err := a.Net.RegisterNetdev(x.dev); err != nil {
		b.Net.UnregisterNetdev(y.dev)
		return nil, nil, err
	}
	return x.dev, y.dev, nil
}

// UnregisterVeth takes away a pair, given either end (Linux: veth_dellink). It
// does nothing for another device. Process context.
func UnregisterVeth(dev *NetDevice) {
	v, ok := dev.Priv.(*veth)
	if !ok {
		return
	}
	v.going.Store(true)
	v.peer.going.Store(true)
	for _, e := range []*veth{v, v.peer} {
		if n := e.dev.Net(); n != nil {
			n.UnregisterNetdev(e.dev)
		}
	}
}

// VethPeer returns the other end of a pair, nil if dev is none.
func VethPeer(dev *NetDevice) *NetDevice {
	if v, ok := dev.Priv.(*veth); ok {
		return v.peer.dev
	}
	return nil
}

// randomAddr gives d a locally administered address (Linux:
// eth_hw_addr_random).
func (d *NetDevice) randomAddr(n *Net) {
	var a [6]byte
	n.Rand(a[:])
	a[0] = a[0]&^1 | 2
	d.addr.Store(mac48(a[:]))
	d.addrAssign.Store(addrRandom)
}

// Open implements Ops. There is a link once both ends are open.
func (v *veth) Open(*NetDevice) error { v.set(true); return nil }

// Stop implements Ops.
func (v *veth) Stop(*NetDevice) error { v.set(false); return nil }

func (v *veth) set(open bool) {
	v.pair.Lock()
	defer v.pair.Unlock()
	v.open.Store(open)
	if v.going.Load() {
		v.dev.noLink.Store(true)
		v.peer.dev.noLink.Store(true)
		return
	}
	link := open && v.peer.open.Load()
	v.dev.setCarrier(link)
	v.peer.dev.setCarrier(link)
}

// StartXmit implements Ops (Linux: veth_xmit).
func (v *veth) StartXmit(_ *NetDevice, _ *TxQueue, batch []*skb.Buff) int {
	to := v.peer.dev
	n := to.Net()
	from := v.dev.net.Load()
	lends := from != nil && n != nil && from.cache.Pool().Lends(n.cache.Pool())
	for _, b := range batch {
		if n == nil || from == nil || !to.IsUp() {
			v.dev.Stats.TxDropped.Add(1)
			b.Free(skb.DevReady)
			continue
		}
		by := from.softOf(b)
		c := b
		if !lends || !b.HandOver(n.cache) {
			if c = n.copyIn(b); c == nil {
				v.dev.Stats.TxDropped.Add(1)
				b.Free(skb.NoMem)
				continue
			}
			b.Consume()
		}
		bytes := uint64(c.Len())
		if EthTypeTrans(c, to) == 0 {
			to.Stats.RxLengthErrors.Add(1)
			to.Stats.RxErrors.Add(1)
			c.Free(skb.HdrTrunc)
			continue
		}
		multicast := c.PktType == skb.PacketMulticast
		if n.netifRx(c, n.softs[by.cpu%len(n.softs)], by) {
			to.Stats.RxPackets.Add(1)
			to.Stats.RxBytes.Add(bytes)
			if multicast {
				to.Stats.Multicast.Add(1)
			}
		}
	}
	return len(batch)
}

// copyIn makes a copy of another namespace's frame in packet memory of this
// one: a page, and page fragments for what does not fit it. A checksum left to
// the device stays so, and passes as right: no wire was in between. Nil when
// memory ran out.
func (n *Net) copyIn(b *skb.Buff) *skb.Buff {
	pool := n.cache.Pool()
	c := n.cache.Alloc(min(skb.Pad+b.Len(), pool.PageSize()))
	if c == nil {
		return nil
	}
	c.Reserve(skb.Pad)
	off := min(b.Len(), c.Tailroom())
	b.CopyBits(0, c.Put(off))
	for off < b.Len() {
		p := pool.Alloc()
		if p == nil {
			c.Free(skb.NoMem)
			return nil
		}
		size := min(b.Len()-off, len(p.Bytes()))
		b.CopyBits(off, p.Bytes()[:size])
		if !c.AddFrag(p, 0, size, len(p.Bytes())) {
			p.Put()
			c.Free(skb.NoMem)
			return nil
		}
		off += size
	}
	if b.IPSummed == skb.ChecksumPartial && !c.SetCsumPartial(b.CsumStartOffset(), int(b.CsumOffset)) {
		c.Free(skb.NotSpecified)
		return nil
	}
	return c
}

// dummy is a device that drops what it is given (Linux: drivers/net/dummy.c).
type dummy struct{}

func (dummy) Open(*NetDevice) error { return nil }
func (dummy) Stop(*NetDevice) error { return nil }

// StartXmit implements Ops.
func (dummy) StartXmit(_ *NetDevice, _ *TxQueue, batch []*skb.Buff) int {
	for _, b := range batch {
		b.Consume()
	}
	return len(batch)
}

// ChangeCarrier implements [CarrierChanger]: there is no wire to ask.
func (dummy) ChangeCarrier(dev *NetDevice, on bool) error {
	dev.setCarrier(on)
	return nil
}

// NewDummy makes and registers a dummy device: it has an address and counts,
// and what is sent to it is gone. The name may end in %d. Errors are those of
// RegisterNetdev.
func NewDummy(n *Net, name string) (*NetDevice, error) { return NewDummyAt(Place{Net: n, Name: name}) }

// NewDummyAt is NewDummy with a wish for the index. EBUSY when it is taken.
func NewDummyAt(p Place) (*NetDevice, error) {
	d := AllocNetdev(p.Name, dummy{}, 1)
	d.ifindex.Store(p.Index)
	EtherSetup(d)
	d.MinMTU, d.MaxMTU = 0, 0
	d.SetFlags(IFF_NOARP, 0)
	d.SetFeatures(FeatureSG | FeatureFragList | FeatureHWCsum)
	d.randomAddr(p.Net)
	if err := p.Net.RegisterNetdev(d); err != nil {
		return nil, err
	}
	return d, nil
}
