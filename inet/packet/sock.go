package packet

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// Sock is a packet socket (Linux: struct packet_sock).
type Sock struct {
	sock.Sock
	sock.NoOps
	p   *Packet
	typ int // SOCK_RAW or SOCK_DGRAM

	// Guarded by Packet.mu.
	num     uint16          // ethertype it receives, host order
	dev     *napi.NetDevice // bound to; nil for any
	ifindex int32           // of dev, 0 for any, -1 when it is gone
	remove  func()          // the hook, nil while it is not in force
	members []membership
	version uint32 // PACKET_VERSION
	reserve uint32 // PACKET_RESERVE, bytes
	mapped  int    // times the ring is mapped
	fanout  *fanout

	kept map[int]uint32 // options by name

	vnetHdr    atomic.Int32 // PACKET_VNET_HDR: size of the header, 0 for none
	gone       atomic.Bool  // bound to a device that is gone
	auxdata    atomic.Bool
	origdev    atomic.Bool
	noOutgoing atomic.Bool
	packets    atomic.Uint32 // since PACKET_STATISTICS was read
	dropped    atomic.Uint32
	froze      atomic.Uint32 // times a ring of version 3 had no block
	loss       atomic.Bool   // PACKET_LOSS, of a transmit ring
	ring       atomic.Pointer[ring]
	tx         atomic.Pointer[ring]
	copyThresh atomic.Bool // PACKET_COPY_THRESH is not 0
	rollover   *rollover   // set before packets arrive through a group that needs it
	sending    sync.Mutex  // one sender empties the transmit ring at a time
}

// hook has packets arrive (Linux: register_prot_hook). The caller holds mu.
func (k *Sock) hook(dev *napi.NetDevice) {
	switch {
	case k.num == 0 || k.remove != nil:
	case k.fanout != nil:
		k.remove = k.fanout.link(k)
	default:
		k.remove = k.p.net.AddPack(k.num, dev, k.rcv)
	}
}

// unhook undoes hook and reports whether it was in force.
func (k *Sock) unhook() bool {
	if k.remove == nil {
		return false
	}
	k.remove()
	k.remove = nil
	return true
}

// Bind binds the socket to a device, 0 for any, and an ethertype, 0 for the one
// it has (Linux: packet_bind). EINVAL for a bad address, ENODEV. A device that
// is down is bound to, and the socket's error is ENETDOWN.
func (k *Sock) Bind(sa []byte) error {
	a, family, err := parseLL(sa)
	if err != nil {
		return err
	}
	if family != syscall.AF_PACKET {
		return syscall.EINVAL
	}
	var dev *napi.NetDevice
	if a.ifindex != 0 {
		if dev = k.p.net.DevByIndex(a.ifindex); dev == nil {
			return syscall.ENODEV
		}
	}
	k.p.mu.Lock()
	if k.fanout != nil {
		k.p.mu.Unlock()
		return syscall.EINVAL // all of a group are bound alike
	}
	if a.protocol == 0 {
		a.protocol = k.num
	}
	down := false
	if a.protocol != k.num || dev != k.dev || k.ifindex < 0 {
		k.unhook()
		k.num, k.dev, k.ifindex = a.protocol, dev, a.ifindex
		k.gone.Store(false)
		if dev == nil || dev.IsUp() {
			k.hook(dev)
		} else {
			down = k.num != 0
		}
	}
	k.p.mu.Unlock()
	if down {
		k.SetError(syscall.ENETDOWN)
	}
	return nil
}

// Getname returns what the socket is bound to (Linux: packet_getname).
func (k *Sock) Getname(peer bool, buf []byte) (int, error) {
	if peer {
		return 0, syscall.EOPNOTSUPP
	}
	k.p.mu.Lock()
	a := sockaddrLL{protocol: k.num, ifindex: max(k.ifindex, 0)}
	if k.dev != nil {
		a.hatype, a.halen = k.dev.Type, uint8(k.dev.AddrLen)
		h := k.dev.HardwareAddr()
		copy(a.addr[:], h[:])
	}
	k.p.mu.Unlock()
	var p [sizeofLL]byte
	a.put(&p)
	n := addrAt + int(a.halen)
	copy(buf, p[:n])
	return n, nil
}

// Release ends the socket (Linux: packet_release).
func (k *Sock) Release() error {
	k.p.mu.Lock()
	k.unhook()
	k.leaveFanout()
	k.dropRing(&k.ring)
	k.dropRing(&k.tx)
	k.dropMemberships(nil)
	k.p.socks = slices.DeleteFunc(k.p.socks, func(o *Sock) bool { return o == k })
	k.p.mu.Unlock()
	k.Destroy()
	return nil
}

// Poll is packet_poll.
func (k *Sock) Poll() uint16 {
	ev := k.DatagramPoll()
	if r := k.ring.Load(); r != nil && r.readable() {
		ev |= sock.EventIn | sock.EventRdNorm
	}
	if r := k.tx.Load(); r != nil && ev&sock.EventOut == 0 && r.sendable() {
		ev |= sock.EventOut | sock.EventWrNorm
	}
	return ev
}

// Ioctl is packet_ioctl.
func (k *Sock) Ioctl(cmd uint, arg []byte) error { return k.QueueIoctl(cmd, arg) }

// What rcv leaves for recvmsg in the control buffer; the first word is the sock
// layer's.
const (
	cbWhere = 1 // ifindex, hatype<<32, pkttype<<48, halen<<56
	cbFrom  = 2 // protocol, source address<<16
	cbLen   = 3 // length before the filter cut it
)

// rcv takes a packet (Linux: packet_rcv). Softirq context, or that of a sender.
func (k *Sock) rcv(b *skb.Buff, dev *napi.NetDevice) {
	own := b.Sk == any(&k.Sock)
	b.Sk = nil
	if b.PktType == skb.PacketLoopback || b.PktType == skb.PacketOutgoing && (own || k.noOutgoing.Load()) {
		b.Consume()
		return
	}
	b = b.ShareCheck()
	from := uint64(0)
	if b.MacHeaderWasSet() {
		if off := b.MacOffset(); off < 0 && k.typ == syscall.SOCK_RAW {
			b.Push(-off)
		} else if n := b.NetworkOffset(); off == 0 && n > 0 && k.typ == syscall.SOCK_DGRAM && b.PktType == skb.PacketOutgoing {
			b.Pull(n)
		}
		if h := b.MacHeader(); dev.HardHeaderLen == napi.EthHdrLen && len(h) >= napi.EthHdrLen {
			for i := range etherAddrs {
				from |= uint64(h[etherAddrs+i]) << (16 + 8*i)
			}
		}
	}
	n := b.Len()
	if n == 0 || !k.RunFilter(b, 0) {
		b.Consume() // not a drop: nobody asked for it; of nothing no filter keeps anything
		return
	}
	index := dev.Ifindex()
	if k.origdev.Load() && b.Iif != 0 {
		index = b.Iif
	}
	b.CB[cbWhere] = uint64(uint32(index)) | uint64(dev.Type)<<32 | uint64(b.PktType)<<48 | uint64(dev.AddrLen)<<56
	b.CB[cbFrom] = uint64(b.Protocol) | from
	b.CB[cbLen] = uint64(n)
	b.Dst, b.Dev = nil, nil
	if r := k.ring.Load(); r != nil {
		k.rcvRing(r, b)
		return
	}
	switch k.QueueRcv(b) {
	case sock.Queued:
		k.packets.Add(1)
	case sock.QueueDead:
		b.Free(skb.NoSocket)
	case sock.QueueMem:
		k.dropped.Add(1)
		b.Free(skb.ProtoMem)
	default:
		k.dropped.Add(1)
		b.Free(skb.SocketRcvbuff)
	}
}
