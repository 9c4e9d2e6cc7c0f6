package napi

import (
	"sync/atomic"
	"syscall"

	"barewire/skb"
)

// Tun is a device whose wire is a program (Linux: drivers/net/tun.c): what the
// stack transmits goes to a function, and what the program writes arrives as
// from a wire. A tun carries bare IP packets, a tap Ethernet frames.
//
// The device may outlive the program: without one its carrier is off, and what is
// sent to it is dropped.
type Tun struct {
	dev  *NetDevice
	tap  bool
	xmit atomic.Pointer[func(b *skb.Buff)] // nil: nobody is there
}

// NewTun makes and registers a tun, or with tap a tap device. The name may end
// in %d. xmit takes over each packet that leaves, Data at its first byte; it may
// be called from any context and must not block. Errors are those of
// RegisterNetdev. The device is down; a tun is a point-to-point link without
// addresses (Linux: tun_net_initialize).
func NewTun(n *Net, name string, tap bool, xmit func(b *skb.Buff)) (*Tun, error) {
	t := &Tun{tap: tap}
	t.xmit.Store(&xmit)
	d := AllocNetdev(name, t, 1)
	if EtherSetup(d); tap {
		d.randomAddr(n)
	} else {
		d.Type, d.AddrLen, d.HardHeaderLen, d.Broadcast = ARPHRD_NONE, 0, 0, [6]byte{}
		d.SetFlags(IFF_POINTOPOINT|IFF_NOARP, IFF_BROADCAST)
		d.TxQueueLen = 500 // Linux: TUN_READQ_SIZE
	}
	d.Priv, t.dev = t, d
	return t, n.RegisterNetdev(d)
}

// Dev returns the device.
func (t *Tun) Dev() *NetDevice { return t.dev }

// Tap reports whether the packets are Ethernet frames.
func (t *Tun) Tap() bool { return t.tap }

// Attach puts another program at the wire's end, false if there is one.
func (t *Tun) Attach(xmit func(b *skb.Buff)) bool {
	if !t.xmit.CompareAndSwap(nil, &xmit) {
		return false
	}
	t.dev.CarrierOn()
	return true
}

// Detach takes the program off, so that the device waits for another.
func (t *Tun) Detach() {
	t.xmit.Store(nil)
	t.dev.CarrierOff()
}

// Close takes the device away.
func (t *Tun) Close() {
	if n := t.dev.Net(); n != nil {
		n.UnregisterNetdev(t.dev)
	}
}

// Open implements Ops.
func (*Tun) Open(*NetDevice) error { return nil }

// Stop implements Ops.
func (*Tun) Stop(*NetDevice) error { return nil }

// StartXmit implements Ops (Linux: tun_net_xmit).
func (t *Tun) StartXmit(_ *NetDevice, _ *TxQueue, batch []*skb.Buff) int {
	xmit := t.xmit.Load()
	for _, b := range batch {
		if xmit == nil {
			t.dev.Stats.TxDropped.Add(1)
			b.Free(skb.DevReady)
			continue
		}
		b.Orphan() // the program may never read it
		(*xmit)(b)
	}
	return len(batch)
}

// Receive has the packet b arrive (Linux: tun_get_user). Consumes b. Errors: EIO
// while the device is down, EINVAL for what is no IP packet or too short for a
// frame; a packet beyond the backlog's bound is a counted drop and no error.
// Process context.
func (t *Tun) Receive(b *skb.Buff) error {
	d := t.dev
	if !d.IsUp() {
		b.Free(skb.DevReady)
		return syscall.EIO
	}
	size := uint64(b.Len())
	if t.tap {
		if EthTypeTrans(b, d) == 0 {
			d.Stats.RxErrors.Add(1)
			d.Stats.RxFrameErrors.Add(1)
			b.Free(skb.HdrTrunc)
			return syscall.EINVAL
		}
	} else {
		if b.Protocol = IPVersionType(b); b.Protocol == 0 {
			d.Stats.RxDropped.Add(1)
			b.Free(skb.InvalidProto)
			return syscall.EINVAL
		}
		b.Dev = d
		b.ResetMacHeader()
		b.PktType = skb.PacketHost
	}
	multicast := b.PktType == skb.PacketMulticast
	if d.Net().NetifRx(b) {
		d.Stats.RxPackets.Add(1)
		d.Stats.RxBytes.Add(size)
		if multicast {
			d.Stats.Multicast.Add(1)
		}
	}
	return nil
}

// IPVersionType returns the ethertype of a bare IP packet by its first byte, 0
// if it is none (Linux: ip_tunnel_parse_protocol).
func IPVersionType(b *skb.Buff) uint16 {
	if !b.MayPull(1) {
		return 0
	}
	switch b.Data()[0] >> 4 {
	case 4:
		return ETH_P_IP
	case 6:
		return ETH_P_IPV6
	}
	return 0
}
