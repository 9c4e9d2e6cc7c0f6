package packet

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// Status bits of PACKET_AUXDATA and the ring (Linux: TP_STATUS_*).
const (
	tpKernel        = 0 // of the ring: free
	tpUser          = 1 << 0
	tpCopy          = 1 << 1
	tpLosing        = 1 << 2
	tpCsumNotReady  = 1 << 3
	tpVlanValid     = 1 << 4
	tpBlkTmo        = 1 << 5
	tpVlanTPIDValid = 1 << 6
	tpCsumValid     = 1 << 7
)

// RecvMsg receives one packet (Linux: packet_recvmsg). EINVAL for flags it does
// not know, ENODEV when the device is gone, the pending error, EAGAIN.
func (k *Sock) RecvMsg(m *sock.Msg, flags int) (int, error) {
	if flags&^(syscall.MSG_PEEK|syscall.MSG_DONTWAIT|syscall.MSG_TRUNC|syscall.MSG_ERRQUEUE) != 0 {
		return 0, syscall.EINVAL
	}
	if k.gone.Load() && k.FirstLen(0) == 0 {
		if err := k.TakeError(); err != nil {
			return 0, err
		}
		return 0, syscall.ENODEV
	}
	if flags&syscall.MSG_ERRQUEUE != 0 {
		return k.recvError(m)
	}
	b, err := k.RecvDatagram(flags)
	if b == nil {
		return 0, err
	}
	defer b.Consume()
	hdr := int(k.vnetHdr.Load())
	if hdr > 0 {
		if err := k.putVnetHdr(m, b, hdr); err != nil {
			return 0, err
		}
	}
	n, err := m.CopyDatagram(b, 0, flags)
	if err != nil {
		return 0, err
	}
	n += hdr
	k.RecvControl(m, b)
	a := sender(b)
	a.put((*[sizeofLL]byte)(m.Name[:]))
	m.NameLen = sizeofLL
	if k.auxdata.Load() {
		k.putAuxdata(m, b)
	}
	return n, nil
}

// sender is whom a packet is from, and where it came in.
func sender(b *skb.Buff) sockaddrLL {
	where, from := b.CB[cbWhere], b.CB[cbFrom]
	a := sockaddrLL{
		protocol: uint16(from),
		ifindex:  int32(where),
		hatype:   uint16(where >> 32),
		pkttype:  uint8(where >> 48),
		halen:    uint8(where >> 56),
	}
	for i := range etherAddrs {
		a.addr[i] = byte(from >> (16 + 8*i))
	}
	return a
}

// checksumStatus says what is known of a packet's checksum.
func checksumStatus(b *skb.Buff) uint32 {
	switch b.IPSummed {
	case skb.ChecksumPartial:
		return tpCsumNotReady
	case skb.ChecksumComplete, skb.ChecksumUnnecessary:
		if skb.PktType(b.CB[cbWhere]>>48) != skb.PacketOutgoing {
			return tpCsumValid
		}
	}
	return 0
}

// recvError is MSG_ERRQUEUE: when a packet was sent, with SO_TIMESTAMPING
// (Linux: sock_recv_errqueue).
func (k *Sock) recvError(m *sock.Msg) (int, error) {
	b, e := k.DequeueErr()
	if b == nil {
		return 0, syscall.EAGAIN
	}
	defer b.Consume()
	n, err := m.CopyDatagram(b, 0, 0)
	if err != nil {
		return 0, err
	}
	k.RecvTimestamp(m, b)
	var p [sock.ExtErrLen]byte
	e.Put(p[:])
	m.PutCmsg(solPacket, optTxTimestamp, p[:])
	m.Flags |= syscall.MSG_ERRQUEUE
	return n, nil
}

// putAuxdata adds struct tpacket_auxdata.
func (k *Sock) putAuxdata(m *sock.Msg, b *skb.Buff) {
	status := tpUser | checksumStatus(b)
	if b.VlanProto != 0 {
		status |= tpVlanValid | tpVlanTPIDValid
	}
	var p [20]byte
	le := binary.LittleEndian
	le.PutUint32(p[0:], status)
	le.PutUint32(p[4:], uint32(b.CB[cbLen]))
	le.PutUint32(p[8:], uint32(b.Len()))
	le.PutUint16(p[14:], uint16(max(b.NetworkOffset(), 0)))
	le.PutUint16(p[16:], b.VlanTCI)
	le.PutUint16(p[18:], b.VlanProto)
	m.PutCmsg(solPacket, optAuxdata, p[:])
}

// SendMsg transmits one frame (Linux: packet_snd): with SOCK_RAW the data
// begins with the link header; with SOCK_DGRAM the header is made from the
// destination address, which then is needed. With a transmit ring the frames
// that are ready there are sent instead (txring.go). Errors: EINVAL for a bad
// address or a frame shorter than its header, ENXIO without a device, ENETDOWN,
// EMSGSIZE beyond the MTU, EAGAIN, ENOBUFS, and those of the device's queue.
func (k *Sock) SendMsg(m *sock.Msg, flags int) (int, error) {
	if r := k.tx.Load(); r != nil {
		return k.sendRing(r, m, flags)
	}
	dev, a, c, err := k.address(m)
	if err != nil {
		return 0, err
	}
	it := sock.Iter{Iov: m.Iov}
	if err := k.xmit(&it, m.Len(), dev, &a, &c, m.NameLen != 0, flags); err != nil {
		return 0, err
	}
	return m.Len(), nil
}

// xmit makes a frame of the n bytes of it and transmits it. named says that the
// program gave the address a.
func (k *Sock) xmit(it *sock.Iter, n int, dev *napi.NetDevice, a *sockaddrLL, c *sock.Cookie, named bool, flags int) (err error) {
	raw := k.typ == syscall.SOCK_RAW
	var csum vnetCsum
	if hdr := int(k.vnetHdr.Load()); hdr > 0 {
		if csum, n, err = takeVnetHdr(it, n, hdr); err != nil {
			return err
		}
	}
	room := dev.MTU()
	if raw {
		room += dev.HardHeaderLen
	}
	if n > room+4 {
		return syscall.EMSGSIZE
	}
	if err := k.WaitSendSpace(flags); err != nil {
		return err
	}
	b := it.NewPacket(k.p.net.SKB(), n, skb.MaxHeader)
	if b == nil {
		return syscall.ENOBUFS
	}
	b.Dev, b.Protocol = dev, a.protocol
	b.Priority, b.Mark = c.Priority, c.Mark
	if raw {
		if !b.MayPull(max(dev.HardHeaderLen, 1)) {
			b.Free(skb.PktTooSmall)
			return syscall.EINVAL
		}
		var typ uint16
		if dev.HardHeaderLen == napi.EthHdrLen {
			typ = binary.BigEndian.Uint16(b.Data()[12:])
		} else {
			typ = napi.IPVersionType(b)
		}
		if n > room && typ != napi.ETH_P_8021Q {
			b.Free(skb.PktTooBig)
			return syscall.EMSGSIZE
		}
		if a.protocol == 0 || a.protocol == napi.ETH_P_ALL {
			b.Protocol = typ
		}
		b.ResetMacHeader()
		b.SetNetworkHeader(dev.HardHeaderLen)
		if csum.want && !b.SetCsumPartial(csum.start, csum.offset) {
			b.Free(skb.PktTooSmall)
			return syscall.EINVAL
		}
	} else {
		if n > room {
			b.Free(skb.PktTooBig)
			return syscall.EMSGSIZE
		}
		b.ResetNetworkHeader()
		dst := [etherAddrs]byte(a.addr[:etherAddrs])
		if !named && dev.Flags()&(napi.IFF_LOOPBACK|napi.IFF_NOARP) == 0 {
			b.Free(skb.NotSpecified)
			return syscall.EINVAL // eth_header wants to know whom
		}
		dev.HardHeader(b, a.protocol, &dst, nil)
	}
	k.SetOwnerW(b)
	k.WantTimes(b, c)
	return k.p.net.DevQueueXmit(b)
}

// address is what a message says beside its data: where to, and its ancillary
// data.
func (k *Sock) address(m *sock.Msg) (dev *napi.NetDevice, a sockaddrLL, c sock.Cookie, err error) {
	if dev, a, err = k.destination(m); err == nil {
		c = k.InitCookie()
		err = k.ParseControl(&c, m.Control)
	}
	return dev, a, c, err
}

// destination finds the device and the address of a message.
func (k *Sock) destination(m *sock.Msg) (dev *napi.NetDevice, a sockaddrLL, err error) {
	if m.NameLen == 0 {
		k.p.mu.Lock()
		dev, a.protocol = k.dev, k.num
		k.p.mu.Unlock()
	} else {
		name := m.Name[:min(m.NameLen, sock.MaxAddr)]
		if a, _, err = parseLL(name); err != nil { // of any family, as in Linux
			return nil, a, err
		}
		if len(name) < addrAt+int(a.halen) {
			return nil, a, syscall.EINVAL
		}
		dev = k.p.net.DevByIndex(a.ifindex)
	}
	switch {
	case dev == nil:
		return nil, a, syscall.ENXIO
	case !dev.IsUp():
		return nil, a, syscall.ENETDOWN
	}
	return dev, a, nil
}
