package nfnetlink

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// Messages and attributes of nfnetlink_log (Linux:
// include/uapi/linux/netfilter/nfnetlink_log.h).
const (
	logPacket = 0
	logConfig = 1

	nfulaPacketHdr = 1
	nfulaMark      = 2
	nfulaTimestamp = 3
	nfulaInDev     = 4
	nfulaOutDev    = 5
	nfulaHWAddr    = 8
	nfulaPayload   = 9
	nfulaPrefix    = 10
	nfulaSeq       = 12
	nfulaSeqGlobal = 13

	nfulaCfgCmd      = 1
	nfulaCfgMode     = 2
	nfulaCfgNlbufsiz = 3
	nfulaCfgTimeout  = 4
	nfulaCfgQThresh  = 5
	nfulaCfgFlags    = 6

	cfgBind   = 1 // of both NFLOG and NFQUEUE
	cfgUnbind = 2
	cfgPFBind = 3

	logFlagSeq       = 1
	logFlagSeqGlobal = 2

	copyNone   = 0
	copyMeta   = 1
	copyPacket = 2
)

// maxCopy is how much of a packet is copied at most: an attribute holds no more.
const maxCopy = 0xffff - netlink.AttrLen

// maxGroups bounds how many groups of NFLOG, and queues of NFQUEUE, may be bound.
const maxGroups = 256

// logTable is the groups of NFLOG.
type logTable struct {
	mu     sync.Mutex
	groups map[uint16]*logGroup // copied when it changes
	snap   atomic.Pointer[map[uint16]*logGroup]
	seq    atomic.Uint32
}

// logGroup is a group somebody is bound to (Linux: struct nfulnl_instance). Each
// packet is a message of its own: nothing waits for others.
type logGroup struct {
	port  uint32
	mode  atomic.Uint32 // copyMeta, copyPacket or copyNone
	most  atomic.Uint32
	flags atomic.Uint32
	seq   atomic.Uint32
}

var logPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	nfulaCfgCmd: {Kind: netlink.Unspec, Len: 1}, nfulaCfgMode: {Kind: netlink.Unspec, Len: 6},
	nfulaCfgNlbufsiz: {Kind: netlink.U32}, nfulaCfgTimeout: {Kind: netlink.U32},
	nfulaCfgQThresh: {Kind: netlink.U32}, nfulaCfgFlags: {Kind: netlink.U16},
}}

func (t *Table) logCommands() map[uint8]command {
	return map[uint8]command{logConfig: {policy: logPolicy, do: t.configLog}, logPacket: {policy: logPolicy}}
}

// edit changes the groups; packets see the old ones or the new.
func (l *logTable) edit(fn func(m map[uint16]*logGroup)) (empty bool) {
	next := make(map[uint16]*logGroup, len(l.groups)+1)
	for k, g := range l.groups {
		next[k] = g
	}
	fn(next)
	l.groups = next
	l.snap.Store(&next)
	return len(next) == 0
}

// configLog is nfulnl_recv_config.
func (t *Table) configLog(r *request) error {
	a, l := r.attrs, &t.log
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[r.resID]
	if g != nil && g.port != r.Port() {
		return syscall.EPERM
	}
	if a.Has(nfulaCfgCmd) {
		switch cmd := a.U8(nfulaCfgCmd); cmd {
		case cfgBind:
			if g != nil {
				return syscall.EBUSY
			}
			if len(l.groups) >= maxGroups {
				return syscall.ENOMEM
			}
			g = &logGroup{port: r.Port()}
			g.mode.Store(copyPacket)
			g.most.Store(maxCopy)
			l.edit(func(m map[uint16]*logGroup) { m[r.resID] = g })
			t.nf.SetNFLog(t.logPacket)
		case cfgUnbind:
			if g == nil {
				return syscall.ENODEV
			}
			if l.edit(func(m map[uint16]*logGroup) { delete(m, r.resID) }) {
				t.nf.SetNFLog(nil)
			}
			return nil
		case cfgPFBind, cfgPFBind + 1:
			return nil // of old; who binds a group gets its packets
		default:
			return syscall.EOPNOTSUPP
		}
	} else if g == nil {
		return syscall.ENODEV
	}
	if a.Has(nfulaCfgMode) {
		most, mode := binary.BigEndian.Uint32(a[nfulaCfgMode]), a[nfulaCfgMode][4]
		if mode > copyPacket {
			return syscall.EINVAL
		}
		if mode == copyPacket && (most == 0 || most > maxCopy) {
			most = maxCopy
		}
		g.most.Store(most)
		g.mode.Store(uint32(mode))
	}
	if a.Has(nfulaCfgFlags) {
		g.flags.Store(uint32(be16(a[nfulaCfgFlags])))
	}
	return nil
}

// logPacket hands a copy of a packet to a group (Linux: nfulnl_log_packet). size
// limits the copy unless it is negative.
func (t *Table) logPacket(b *skb.Buff, s netfilter.State, group uint16, prefix string, size int) {
	m := t.log.snap.Load()
	if m == nil {
		return
	}
	g := (*m)[group]
	if g == nil {
		return
	}
	n := 0
	if g.mode.Load() == copyPacket {
		n = min(b.Len(), int(g.most.Load()))
		if size >= 0 {
			n = min(n, size)
		}
	}
	var w netlink.Builder
	begin(&w, subLog, logPacket, 0, syscall.AF_INET, group)
	w.Attr(nfulaPacketHdr, header.EthPIP>>8, header.EthPIP&0xff, byte(s.Point), 0)
	if prefix != "" {
		w.AttrString(nfulaPrefix, prefix)
	}
	t.putMeta(&w, b, s, metaAttrs{nfulaInDev, nfulaOutDev, nfulaMark, nfulaHWAddr, nfulaTimestamp})
	flags := g.flags.Load()
	if flags&logFlagSeq != 0 {
		w.AttrBE32(nfulaSeq, g.seq.Add(1)-1)
	}
	if flags&logFlagSeqGlobal != 0 {
		w.AttrBE32(nfulaSeqGlobal, t.log.seq.Add(1)-1)
	}
	if n > 0 {
		putPayload(&w, nfulaPayload, b, n)
	}
	w.End()
	t.nl.Unicast(syscall.NETLINK_NETFILTER, g.port, w.Bytes()) // who does not read loses it
}

// metaAttrs are the types that logs and queues have for the same things.
type metaAttrs struct{ in, out, mark, hw, time uint16 }

// putMeta appends what is known of a packet beside its bytes.
func (t *Table) putMeta(w *netlink.Builder, b *skb.Buff, s netfilter.State, a metaAttrs) {
	if s.In != nil {
		w.AttrBE32(a.in, uint32(s.In.Ifindex()))
		putHWAddr(w, a.hw, b)
	}
	if s.Out != nil {
		w.AttrBE32(a.out, uint32(s.Out.Ifindex()))
	}
	if b.Mark != 0 {
		w.AttrBE32(a.mark, b.Mark)
	}
	if s.Point <= netfilter.Forward {
		t.putTime(w, a.time)
	}
}

// putPayload appends the first n bytes of a packet.
func putPayload(w *netlink.Builder, typ uint16, b *skb.Buff, n int) {
	p := make([]byte, n)
	b.CopyBits(0, p)
	w.Attr(typ, p...)
}

// putHWAddr appends the sender's link address of a received packet.
func putHWAddr(w *netlink.Builder, typ uint16, b *skb.Buff) {
	if h := b.MacHeader(); b.MacHeaderWasSet() && b.MacLen() == header.EthHLen && len(h) >= header.EthHLen {
		var p [12]byte
		p[1] = 6
		copy(p[4:], h[6:12])
		w.Attr(typ, p[:]...)
	}
}

// putTime appends the time of day as seconds and microseconds.
func (t *Table) putTime(w *netlink.Builder, typ uint16) {
	now := uint64(napi.WallNow(t.nf.IP.Dev.Clock()))
	var p [16]byte
	binary.BigEndian.PutUint64(p[:], now/1e9)
	binary.BigEndian.PutUint64(p[8:], now/1e3%1e6)
	w.Attr(typ, p[:]...)
}

// logClosed ends the groups of a port.
func (t *Table) logClosed(port uint32) {
	l := &t.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, g := range l.groups {
		if g.port != port {
			continue
		}
		if l.edit(func(m map[uint16]*logGroup) { delete(m, k) }) {
			t.nf.SetNFLog(nil)
		}
	}
}

func (t *Table) closeLog() {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	t.log.edit(func(m map[uint16]*logGroup) { clear(m) })
	t.nf.SetNFLog(nil)
}
