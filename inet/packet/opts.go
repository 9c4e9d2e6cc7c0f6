package packet

import (
	"encoding/binary"
	"syscall"

	"barewire/napi"
)

// solPacket is SOL_PACKET.
const solPacket = 263

// Options (Linux: include/uapi/linux/if_packet.h).
const (
	optAddMembership  = 1
	optDropMembership = 2
	optRxRing         = 5
	optStatistics     = 6
	optAuxdata        = 8
	optOrigdev        = 9
	optVersion        = 10
	optHdrlen         = 11
	optReserve        = 12
	optTxRing         = 13
	optLoss           = 14
	optCopyThresh     = 7
	optVnetHdr        = 15
	optTxTimestamp    = 16 // type of the error queue's control message
	optTimestamp      = 17
	optFanout         = 18
	optTxHasOff       = 19
	optQdiscBypass    = 20
	optRolloverStats  = 21
	optFanoutData     = 22
	optIgnoreOutgoing = 23
	optVnetHdrSize    = 24
)

// Types of membership (Linux: PACKET_MR_*).
const (
	mrMulticast = 0
	mrPromisc   = 1
	mrAllmulti  = 2
	mrUnicast   = 3
)

// maxMembers bounds the memberships of one socket; beyond it is ENOBUFS.
const maxMembers = 64

// membership is struct packet_mclist.
type membership struct {
	dev   *napi.NetDevice
	typ   uint16
	alen  uint16
	addr  [8]byte
	users int
}

// apply puts the membership in force (delta 1) or ends it (-1). The device
// keeps one address, so that one more unicast address means all frames, as
// with a card that cannot filter.
func (g *membership) apply(delta int) error {
	switch g.typ {
	case mrPromisc, mrUnicast:
		return g.dev.SetPromisc(delta)
	case mrAllmulti:
		return g.dev.SetAllMulti(delta)
	case mrMulticast:
		if g.addr[0]&1 == 0 {
			return nil // no group: the device's filter is what it was
		}
	default:
		return nil // as in Linux
	}
	a := [etherAddrs]byte(g.addr[:etherAddrs])
	if delta < 0 {
		return g.dev.DelMulticast(a)
	}
	return g.dev.AddMulticast(a)
}

// membership adds or drops one (Linux: packet_mc_add, packet_mc_drop).
func (k *Sock) membership(val []byte, add bool) error {
	if len(val) < 16 { // struct packet_mreq
		return syscall.EINVAL
	}
	index := int32(binary.LittleEndian.Uint32(val))
	g := membership{
		typ:  binary.LittleEndian.Uint16(val[4:]),
		alen: binary.LittleEndian.Uint16(val[6:]),
		addr: [8]byte(val[8:16]), users: 1,
	}
	if len(val) < 8+int(g.alen) {
		return syscall.EINVAL
	}
	if g.dev = k.p.net.DevByIndex(index); g.dev == nil && add {
		return syscall.ENODEV
	}
	if add && (g.alen > etherAddrs || (g.typ == mrMulticast || g.typ == mrUnicast) && g.alen != etherAddrs) {
		return syscall.EINVAL
	}
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	for i := range k.members {
		o := &k.members[i]
		if o.dev != g.dev || o.typ != g.typ || o.alen != g.alen || string(o.addr[:min(o.alen, 8)]) != string(g.addr[:min(g.alen, 8)]) {
			continue
		}
		if add {
			o.users++
		} else if o.users--; o.users == 0 {
			o.apply(-1)
			k.members = append(k.members[:i], k.members[i+1:]...)
		}
		return nil
	}
	if !add {
		return nil // as in Linux there is no telling
	}
	if len(k.members) >= maxMembers {
		return syscall.ENOBUFS
	}
	if err := g.apply(1); err != nil {
		return err
	}
	k.members = append(k.members, g)
	return nil
}

// dropMemberships ends those on dev, on all devices if it is nil. The caller
// holds Packet.mu.
func (k *Sock) dropMemberships(dev *napi.NetDevice) {
	keep := k.members[:0]
	for i := range k.members {
		if g := &k.members[i]; dev == nil || g.dev == dev {
			g.apply(-1)
		} else {
			keep = append(keep, *g)
		}
	}
	k.members = keep
}

// SetSockOpt is packet_setsockopt. ENOPROTOOPT for options and levels it does
// not know; EBUSY for what a ring depends on while there is one.
func (k *Sock) SetSockOpt(level, name int, val []byte) error {
	if level != solPacket {
		return syscall.ENOPROTOOPT
	}
	switch name {
	case optAddMembership, optDropMembership:
		return k.membership(val, name == optAddMembership)
	case optFanout:
		return k.joinFanout(val)
	case optFanoutData:
		return k.setFanoutProgram(val)
	case optRxRing, optTxRing:
		return k.setRing(val, name == optTxRing)
	case optVersion, optReserve, optLoss:
		if len(val) != 4 {
			return syscall.EINVAL
		}
	case optCopyThresh, optTimestamp, optTxHasOff, optQdiscBypass, optIgnoreOutgoing:
		if len(val) != 4 {
			return syscall.EINVAL
		}
	case optVnetHdr, optVnetHdrSize:
		if k.typ != syscall.SOCK_RAW {
			return syscall.EINVAL
		}
	case optAuxdata, optOrigdev:
	default:
		return syscall.ENOPROTOOPT
	}
	if len(val) < 4 {
		return syscall.EINVAL
	}
	v := int32(binary.LittleEndian.Uint32(val))
	switch name {
	case optAuxdata:
		k.auxdata.Store(v != 0)
	case optOrigdev:
		k.origdev.Store(v != 0)
	case optIgnoreOutgoing:
		if v < 0 || v > 1 {
			return syscall.EINVAL
		}
		k.noOutgoing.Store(v != 0)
	case optCopyThresh, optTimestamp, optTxHasOff, optQdiscBypass:
		k.p.mu.Lock()
		defer k.p.mu.Unlock()
		return k.setKept(name, v)
	case optVnetHdr, optVnetHdrSize:
		k.p.mu.Lock()
		defer k.p.mu.Unlock()
		return k.setVnetHdr(name, v)
	case optVersion, optReserve, optLoss:
		if v < 0 && name != optLoss || v > tpacketV3 && name == optVersion {
			return syscall.EINVAL
		}
		k.p.mu.Lock()
		defer k.p.mu.Unlock()
		if k.ring.Load() != nil || k.tx.Load() != nil {
			return syscall.EBUSY
		}
		switch name {
		case optVersion:
			k.version = uint32(v)
		case optReserve:
			k.reserve = uint32(v)
		default:
			k.loss.Store(v != 0)
		}
	}
	return nil
}

// setKept keeps an option that changes nothing here, as no clock of a card is
// read and every device's queue is a plain FIFO, or that is read elsewhere:
// PACKET_TX_HAS_OFF where a ring is sent, and it is not changed while there is
// one, PACKET_COPY_THRESH where a ring is filled. Packet.mu is held.
func (k *Sock) setKept(name int, v int32) error {
	if name == optTxHasOff && (k.ring.Load() != nil || k.tx.Load() != nil) {
		return nil // as in Linux, without a word
	}
	if name == optTxHasOff || name == optQdiscBypass {
		if v != 0 {
			v = 1
		}
	}
	if k.kept == nil {
		k.kept = map[int]uint32{}
	}
	k.kept[name] = uint32(v)
	if name == optCopyThresh {
		k.copyThresh.Store(v != 0)
	}
	return nil
}

// GetSockOpt is packet_getsockopt.
func (k *Sock) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level != solPacket {
		return 0, syscall.ENOPROTOOPT
	}
	var p [24]byte
	n := 4
	v := uint32(0)
	flag := func(on bool) {
		if on {
			v = 1
		}
	}
	switch name {
	case optStatistics:
		// Read and cleared; the dropped ones count as seen.
		drops := k.dropped.Swap(0)
		v = k.packets.Swap(0) + drops
		binary.LittleEndian.PutUint32(p[4:], drops)
		n = 8
		k.p.mu.Lock()
		if k.version == tpacketV3 {
			binary.LittleEndian.PutUint32(p[8:], k.froze.Swap(0))
			n = 12
		}
		k.p.mu.Unlock()
	case optReserve:
		k.p.mu.Lock()
		v = k.reserve
		k.p.mu.Unlock()
	case optLoss:
		flag(k.loss.Load())
	case optAuxdata:
		flag(k.auxdata.Load())
	case optOrigdev:
		flag(k.origdev.Load())
	case optIgnoreOutgoing:
		flag(k.noOutgoing.Load())
	case optVersion:
		k.p.mu.Lock()
		v = k.version
		k.p.mu.Unlock()
	case optCopyThresh, optTimestamp, optTxHasOff, optQdiscBypass:
		k.p.mu.Lock()
		v = k.kept[name]
		k.p.mu.Unlock()
	case optVnetHdr:
		flag(k.vnetHdr.Load() != 0)
	case optVnetHdrSize:
		v = uint32(k.vnetHdr.Load())
	case optFanout:
		k.p.mu.Lock()
		if f := k.fanout; f != nil {
			v = uint32(f.id) | uint32(f.typ)<<16 | uint32(f.flags)<<24
		}
		k.p.mu.Unlock()
	case optRolloverStats:
		k.p.mu.Lock()
		r := k.rollover
		k.p.mu.Unlock()
		if r == nil {
			return 0, syscall.EINVAL
		}
		for i, c := range []uint64{r.all.Load(), r.huge.Load(), r.failed.Load()} {
			binary.LittleEndian.PutUint64(p[8*i:], c)
		}
		return copy(buf, p[:]), nil
	case optHdrlen:
		// Which version is asked for stands in the buffer.
		if len(buf) < 4 {
			return 0, syscall.EINVAL
		}
		version := binary.LittleEndian.Uint32(buf)
		if version > tpacketV3 {
			return 0, syscall.EINVAL
		}
		v = tpacketHdrSize[version]
	default:
		return 0, syscall.ENOPROTOOPT
	}
	binary.LittleEndian.PutUint32(p[:], v)
	return copy(buf, p[:n]), nil
}
