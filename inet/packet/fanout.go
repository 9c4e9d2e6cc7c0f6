package packet

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync/atomic"
	"syscall"

	"barewire/inet/bpf"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// Fanout (Linux: PACKET_FANOUT, packet_rcv_fanout): sockets join a group, and of
// the packets each would have received one gets each. Which one is a matter of
// the group's type.
const (
	fanoutHash     = 0 // by flow, both directions alike
	fanoutLB       = 1 // in turn
	fanoutCPU      = 2
	fanoutRollover = 3 // one until it is full, then the next
	fanoutRnd      = 4
	fanoutQM       = 5 // by receive queue
	fanoutCBPF     = 6 // by a program's answer
	fanoutEBPF     = 7 // programs of that kind cannot be loaded: the first gets all

	fanoutFlagRollover = 0x10 // the next when the chosen one is full
	fanoutFlagUnique   = 0x20
	fanoutFlagOutgoing = 0x40 // ignore what is sent
	fanoutFlagDefrag   = 0x80

	fanoutDefaultMax = 256
	fanoutMax        = 1 << 16
)

// fanout is a group. What is not atomic is fixed, or guarded by Packet.mu.
type fanout struct {
	p     *Packet
	id    uint16
	typ   uint8
	flags uint8
	num   uint16 // what all members are bound to
	dev   *napi.NetDevice
	max   int
	users int    // sockets that joined
	hook  func() // takes the group off the device, while a member is running

	key     uint64
	members atomic.Pointer[[]*Sock] // those running
	turn    atomic.Uint32
	prog    atomic.Pointer[bpf.Program]
}

// rollover is what a member knows of those it passed packets on to.
type rollover struct {
	next    atomic.Uint32
	history [16]atomic.Uint32 // flows of late
	all     atomic.Uint64     // packets passed on
	huge    atomic.Uint64     // of them because their flow took most of the room
	failed  atomic.Uint64     // everyone was full
}

// joinFanout is PACKET_FANOUT: id, type and flags, and perhaps how many may join
// (Linux: fanout_add). EINVAL for a type that is none, a socket that receives
// nothing, and one that differs from the group; EALREADY in a group, ENOSPC when
// it is full.
func (k *Sock) joinFanout(val []byte) error {
	if len(val) != 4 && len(val) != 8 {
		return syscall.EINVAL
	}
	id, typ, flags, most := binary.LittleEndian.Uint16(val), val[2], val[3], uint32(0)
	if len(val) == 8 {
		most = binary.LittleEndian.Uint32(val[4:])
	}
	if typ > fanoutEBPF || typ == fanoutRollover && flags&fanoutFlagRollover != 0 || flags&fanoutFlagDefrag != 0 {
		return syscall.EINVAL // datagrams are not put together here
	}
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	if k.fanout != nil {
		return syscall.EALREADY
	}
	if flags&fanoutFlagUnique != 0 {
		if id != 0 {
			return syscall.EINVAL
		}
		var ok bool
		if id, ok = k.p.freeFanout(); !ok {
			return syscall.ENOMEM
		}
		flags &^= fanoutFlagUnique
	}
	f := k.p.fanouts[id]
	if f == nil {
		if most > fanoutMax {
			return syscall.EINVAL
		}
		if most == 0 {
			most = fanoutDefaultMax
		}
		f = &fanout{p: k.p, id: id, typ: typ, flags: flags, num: k.num, dev: k.dev, max: int(most)}
		var b [8]byte
		k.p.net.Rand(b[:])
		f.key = binary.LittleEndian.Uint64(b[:]) | 1
		f.members.Store(new([]*Sock))
	} else if f.flags != flags || most != 0 && int(most) != f.max {
		return syscall.EINVAL
	}
	switch {
	case k.num == 0 || k.ifindex < 0 || f.typ != typ || f.num != k.num || f.dev != k.dev:
		return syscall.EINVAL
	case f.users >= f.max:
		return syscall.ENOSPC
	}
	if typ == fanoutRollover || flags&fanoutFlagRollover != 0 {
		k.rollover = new(rollover)
	}
	running := k.unhook()
	f.users++
	if k.p.fanouts == nil {
		k.p.fanouts = make(map[uint16]*fanout)
	}
	k.p.fanouts[id] = f
	k.fanout = f
	if running {
		k.hook(k.dev)
	}
	return nil
}

// freeFanout returns a number no group has. Packet.mu is held.
func (p *Packet) freeFanout() (uint16, bool) {
	for range 1 << 16 {
		id := p.nextFanout
		p.nextFanout++
		if p.fanouts[id] == nil {
			return id, true
		}
	}
	return 0, false
}

// leaveFanout ends the membership of a socket that is not hooked (Linux:
// fanout_release). Packet.mu is held.
func (k *Sock) leaveFanout() {
	f := k.fanout
	if f == nil {
		return
	}
	k.fanout = nil
	if f.users--; f.users == 0 {
		delete(k.p.fanouts, f.id)
	}
}

// link has a member receive, and returns what undoes it (Linux: __fanout_link,
// __fanout_unlink). Packet.mu is held.
func (f *fanout) link(k *Sock) func() {
	f.change(append(slices.Clone(*f.members.Load()), k))
	return func() {
		l := slices.Clone(*f.members.Load())
		if i := slices.Index(l, k); i >= 0 {
			l[i] = l[len(l)-1]
			f.change(l[:len(l)-1])
		}
	}
}

func (f *fanout) change(l []*Sock) {
	f.members.Store(&l)
	switch {
	case len(l) == 0 && f.hook != nil:
		f.hook()
		f.hook = nil
	case len(l) > 0 && f.hook == nil:
		f.hook = f.p.net.AddPack(f.num, f.dev, f.rcv)
	}
}

// setFanoutProgram is PACKET_FANOUT_DATA: insns is an array of struct
// sock_filter. EINVAL for a socket in no group, or in one of a type without a
// program.
func (k *Sock) setFanoutProgram(insns []byte) error {
	k.p.mu.Lock()
	f := k.fanout
	k.p.mu.Unlock()
	switch {
	case f == nil || f.typ != fanoutCBPF:
		return syscall.EINVAL
	case k.Flag(sock.FlagFilterLocked):
		return syscall.EPERM
	}
	l, err := bpf.Parse(insns)
	if err != nil {
		return err
	}
	prog, err := bpf.New(l)
	if err == nil {
		f.prog.Store(prog)
	}
	return err
}

// rcv gives a packet to a member. Softirq context, or that of a sender.
func (f *fanout) rcv(b *skb.Buff, dev *napi.NetDevice) {
	l := *f.members.Load()
	if len(l) == 0 {
		b.Consume()
		return
	}
	if b.PktType == skb.PacketOutgoing {
		if f.flags&fanoutFlagOutgoing != 0 || b.Sk != nil && f.sentByMember(l, b.Sk) {
			b.Consume()
			return
		}
	}
	n := uint32(len(l))
	i := uint32(0)
	switch f.typ {
	case fanoutLB:
		i = f.turn.Add(1) % n
	case fanoutCPU: // there is one
	case fanoutRnd:
		i = scale(uint32(mix(f.key, uint64(f.turn.Add(1)))>>32), n)
	case fanoutQM:
		i = uint32(b.QueueMapping) % n
	case fanoutCBPF:
		if p := f.prog.Load(); p != nil {
			i = p.Run(b) % n
		}
	case fanoutHash:
		i = scale(f.flow(b), n)
	}
	if f.typ == fanoutRollover {
		i = f.passOn(l, b, 0, false)
	} else if f.flags&fanoutFlagRollover != 0 {
		i = f.passOn(l, b, i, true)
	}
	l[i].rcv(b, dev)
}

func (f *fanout) sentByMember(l []*Sock, sk any) bool {
	for _, k := range l {
		if sk == any(&k.Sock) {
			return true
		}
	}
	return false
}

// passOn returns the member to get a packet that is for number i, which is
// asked first with self: it, or one that has more room (Linux:
// fanout_demux_rollover).
func (f *fanout) passOn(l []*Sock, b *skb.Buff, i uint32, self bool) uint32 {
	chosen := l[i]
	room := roomNone
	if self {
		if room = chosen.room(b); room == roomNormal || room == roomLow && !chosen.rollover.huge16(f.flow(b)) {
			return i
		}
	}
	n := uint32(len(l))
	start := min(chosen.rollover.next.Load(), n-1)
	for j := range n {
		at := (start + j) % n
		if self && l[at] == chosen || l[at].room(b) != roomNormal {
			continue
		}
		if j > 0 {
			chosen.rollover.next.Store(at)
		}
		chosen.rollover.all.Add(1)
		if room == roomLow {
			chosen.rollover.huge.Add(1)
		}
		return at
	}
	chosen.rollover.failed.Add(1)
	return i
}

// huge16 notes a flow and reports whether more than half of the last packets
// were of it (Linux: fanout_flow_is_huge).
func (r *rollover) huge16(flow uint32) bool {
	n := 0
	for i := range r.history {
		if r.history[i].Load() == flow {
			n++
		}
	}
	r.history[mix(uint64(flow), r.all.Load()+r.failed.Load()+uint64(n))%uint64(len(r.history))].Store(flow)
	return n > len(r.history)/2
}

// How much room a member has (Linux: ROOM_*).
const (
	roomNone = iota
	roomLow
	roomNormal // more than a quarter is free
)

// room is __packet_rcv_has_room.
func (k *Sock) room(b *skb.Buff) int {
	if r := k.ring.Load(); r != nil {
		return r.roomLeft()
	}
	size := k.RcvBuf()
	switch left := size - k.RmemAlloc() - b.Truesize(); {
	case left > size/4:
		return roomNormal
	case left > 0:
		return roomLow
	}
	return roomNone
}

func (r *ring) roomLeft() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	free := func(ahead uint32) bool {
		if r.version == tpacketV3 {
			return r.blockStatus((r.head+ahead)%r.blocks) == tpKernel
		}
		return r.frameStatus((r.head+ahead)%r.frames) == tpKernel
	}
	quarter := r.frames / 4
	if r.version == tpacketV3 {
		quarter = r.blocks / 4
	}
	switch {
	case free(quarter):
		return roomNormal
	case free(0):
		return roomLow
	}
	return roomNone
}

// flow is a hash of a packet's addresses, ports and protocol that is the same
// for both directions (Linux: __skb_get_hash_symmetric). Fragments have no
// ports, so that those of one datagram stay together.
func (f *fanout) flow(b *skb.Buff) uint32 {
	h := mix(f.key, uint64(b.Protocol))
	var p [60]byte
	off := b.NetworkOffset()
	if b.Protocol != napi.ETH_P_IP || off < 0 || b.CopyBits(off, p[:20]) < 20 || p[0]>>4 != 4 {
		return uint32(h >> 32)
	}
	be := binary.BigEndian
	src, dst := be.Uint32(p[12:]), be.Uint32(p[16:])
	h = mix(h, uint64(min(src, dst))<<32|uint64(max(src, dst)))
	h = mix(h, uint64(p[9]))
	ihl := int(p[0]&15) * 4
	switch p[9] {
	case syscall.IPPROTO_TCP, syscall.IPPROTO_UDP, syscall.IPPROTO_UDPLITE:
		if be.Uint16(p[6:])&0x3fff == 0 && ihl >= 20 && b.CopyBits(off+ihl, p[20:24]) == 4 {
			s, d := be.Uint16(p[20:]), be.Uint16(p[22:])
			h = mix(h, uint64(min(s, d))<<16|uint64(max(s, d)))
		}
	}
	return uint32(h >> 32)
}

// mix hashes a word into h.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^v, 0x9e3779b97f4a7c15)
	return hi ^ lo ^ bits.RotateLeft64(h, 29)
}

// scale spreads a hash over n (Linux: reciprocal_scale).
func scale(h, n uint32) uint32 { return uint32(uint64(h) * uint64(n) >> 32) }
