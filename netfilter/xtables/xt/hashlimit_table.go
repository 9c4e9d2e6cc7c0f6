package xt

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
	"sync"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// The kernel counts time in ticks of a millisecond and flows have credit, of
// which each tick brings some and each packet costs some. The numbers are those
// of Linux, which shows them in /proc/net/ipt_hashlimit.
const (
	hlHZ        = 1000
	hlTick      = 1e9 / hlHZ
	hlPerTick   = 1 << 37 // credit a tick, of packets
	hlBytesTick = 1 << 22 // credit a tick, of bytes
	hlBytesCap  = hlBytesTick * hlHZ

	hlDefaultSize = 8192 // buckets of a machine with more than a gigabyte
	hlMaxEntries  = 1 << 20
)

// hlCredits is user2credits: the low 64 bits, by which overflow is noticed.
func hlCredits(user uint64) uint64 {
	hi, lo := bits.Mul64(user, hlHZ*hlPerTick)
	n, _ := bits.Div64(hi%hlScale, lo, hlScale)
	return n
}

// hlByteCost is user2credits_byte.
func hlByteCost(avg uint64) uint64 { return avg * hlBytesCap >> 32 }

// Hashlimits are the tables of flows of one instance, by name. Rules with the
// same name share one, which is as the first of them wants it.
type Hashlimits struct {
	mu       sync.Mutex
	tables   map[string]*hlTable
	onChange func(name string, exists bool)
}

// HashlimitOf returns those of an instance.
func HashlimitOf(env *xtables.Env) *Hashlimits {
	return env.Shared.Get("hashlimit", func() any { return &Hashlimits{tables: map[string]*hlTable{}} }).(*Hashlimits)
}

// OnChange has fn called when a table comes or goes, for its file in
// /proc/net/ipt_hashlimit. To be called before there are any.
func (h *Hashlimits) OnChange(fn func(name string, exists bool)) { h.onChange = fn }

// Show appends the text of a table's file.
func (h *Hashlimits) Show(b []byte, name string, now int64) []byte {
	h.mu.Lock()
	t := h.tables[name]
	h.mu.Unlock()
	if t == nil {
		return b
	}
	return t.show(b, now)
}

// hlKey names a flow.
type hlKey struct {
	src, dst     header.Addr
	sport, dport uint16
}

// hlFlow is the state of one flow.
type hlFlow struct {
	key        hlKey
	next, prev *hlFlow // by the time of their last packets
	expires    int64   // ticks
	last       int64   // ticks, of the last recharge
	credit     uint64
	cap, cost  uint64
	over       bool   // with hlWindow: the last window was
	count      uint64 // in this window
}

// hlTable is the flows of one name. Entries that have been idle for the time of
// expiry go when the next packet comes; with max of them a packet of a new flow
// is dropped.
type hlTable struct {
	name string
	cfg  hlConfig
	max  int
	refs int // under Hashlimits.mu

	mu    sync.Mutex
	flows map[hlKey]*hlFlow
	order hlFlow // ring: order.next has been idle longest
	free  *hlFlow
}

func newHLTable(name string, cfg hlConfig) *hlTable {
	t := &hlTable{name: name, cfg: cfg, flows: map[hlKey]*hlFlow{}}
	size := cfg.size
	if size == 0 {
		size = hlDefaultSize
	}
	most := uint64(cfg.max)
	if most == 0 {
		most = 8 * uint64(size)
	}
	t.max = int(min(max(most, uint64(min(size, hlMaxEntries))), hlMaxEntries))
	t.order.next, t.order.prev = &t.order, &t.order
	return t
}

// Attach implements xtables.Attacher.
func (m *hashlimitMatch) Attach(c *xtables.CheckContext) error {
	h := HashlimitOf(c.Env)
	h.mu.Lock()
	t := h.tables[m.name]
	if t == nil {
		t = newHLTable(m.name, m.cfg)
		h.tables[m.name] = t
		if h.onChange != nil {
			h.onChange(m.name, true)
		}
	}
	t.refs++
	m.table, m.tables = t, h
	h.mu.Unlock()
	return nil
}

// Destroy implements xtables.Attacher.
func (m *hashlimitMatch) Destroy() {
	h := m.tables
	h.mu.Lock()
	if m.table.refs--; m.table.refs == 0 {
		delete(h.tables, m.name)
		if h.onChange != nil {
			h.onChange(m.name, false)
		}
	}
	h.mu.Unlock()
}

// key returns the flow of a packet (Linux: hashlimit_init_dst). False means that
// its ports are cut off.
func (m *hashlimitMatch) key(p *xtables.Packet) (k hlKey, ok bool) {
	if m.cfg.kind&hlSrcIP != 0 {
		k.src = p.Src & prefixMask(int(m.srcMask))
	}
	if m.cfg.kind&hlDstIP != 0 {
		k.dst = p.Dst & prefixMask(int(m.dstMask))
	}
	// As on Linux what stands in a later fragment is taken for ports.
	if m.cfg.kind&(hlSrcPort|hlDstPort) == 0 {
		return k, true
	}
	at := p.Off
	switch p.Proto {
	case header.ProtoTCP, header.ProtoUDP, header.ProtoUDPLite, protoSCTP, protoDCCP, 50:
	case 51:
		at += 4
	default:
		return k, true
	}
	h := p.Bytes(at, 4)
	if h == nil {
		return k, false
	}
	if m.cfg.kind&hlSrcPort != 0 {
		k.sport = binary.BigEndian.Uint16(h)
	}
	if m.cfg.kind&hlDstPort != 0 {
		k.dport = binary.BigEndian.Uint16(h[2:])
	}
	return k, true
}

// Match implements xtables.Match (Linux: hashlimit_mt_common).
func (m *hashlimitMatch) Match(p *xtables.Packet) bool {
	k, ok := m.key(p)
	if !ok {
		p.Hotdrop = true
		return false
	}
	now := p.Env.Now() / hlTick
	t := m.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	f := t.flows[k]
	if f == nil {
		if f = t.add(k, now); f == nil {
			p.Hotdrop = true // as many flows as there may be
			return false
		}
	} else {
		f.unlink()
		t.recharge(f, now)
	}
	f.expires = now + int64(t.cfg.expire)*hlHZ/1000
	t.append(f)
	return t.take(f, p.B.Len()) != m.above
}

// take counts a packet and reports whether its flow is within the limit.
func (t *hlTable) take(f *hlFlow, n int) bool {
	if t.cfg.kind&hlWindow != 0 {
		if t.cfg.kind&hlBytes == 0 {
			n = 1
		}
		f.count += uint64(n)
		return !f.over && f.count <= t.cfg.burst
	}
	cost := f.cost
	if t.cfg.kind&hlBytes != 0 {
		cost = min((uint64(n)>>4+1)*f.cost, hlBytesCap)
		if f.credit < cost && f.cap > 0 {
			f.cap--
			f.credit = hlBytesCap
		}
	}
	if f.credit < cost {
		return false
	}
	f.credit -= cost
	return true
}

// recharge is rateinfo_recalc.
func (t *hlTable) recharge(f *hlFlow, now int64) {
	delta := uint64(max(now-f.last, 0))
	if delta == 0 {
		return
	}
	if t.cfg.kind&hlWindow != 0 {
		window := uint64(t.cfg.interval) * hlHZ
		if delta < window {
			return
		}
		f.last = now
		f.over = f.count*window > delta*t.rate()
		f.count = 0
		return
	}
	f.last = now
	per, most := uint64(hlPerTick), f.cap
	if t.cfg.kind&hlBytes != 0 {
		per, most = hlBytesTick, hlBytesCap
	}
	if f.credit >= most || delta > (most-f.credit)/per {
		f.credit = most
	} else {
		f.credit += delta * per
	}
}

// rate is what a window is compared with, in packets or bytes (Linux: the
// command multiplies avg, and the kernel takes it for a second's).
func (t *hlTable) rate() uint64 {
	if t.cfg.kind&hlBytes != 0 {
		return costToBytes(t.cfg.avg)
	}
	return hlScale / (t.cfg.avg * uint64(t.cfg.interval))
}

// add makes the state of a new flow, nil if there are too many.
func (t *hlTable) add(k hlKey, now int64) *hlFlow {
	if len(t.flows) >= t.max {
		return nil
	}
	f := t.free
	if f == nil {
		f = new(hlFlow)
	} else {
		t.free = f.next
	}
	*f = hlFlow{key: k, last: now}
	switch {
	case t.cfg.kind&hlWindow != 0:
	case t.cfg.kind&hlBytes != 0:
		f.credit, f.cost, f.cap = hlBytesCap, hlByteCost(t.cfg.avg), t.cfg.burst
	default:
		f.credit = hlCredits(t.cfg.avg * t.cfg.burst)
		f.cost, f.cap = hlCredits(t.cfg.avg), f.credit
	}
	t.flows[k] = f
	return f
}

// expire takes out the flows that have been idle for long.
func (t *hlTable) expire(now int64) {
	for f := t.order.next; f != &t.order && f.expires <= now; f = t.order.next {
		f.unlink()
		delete(t.flows, f.key)
		f.next = t.free
		t.free = f
	}
}

func (f *hlFlow) unlink() { f.next.prev, f.prev.next = f.prev, f.next }

func (t *hlTable) append(f *hlFlow) {
	f.next, f.prev = &t.order, t.order.prev
	f.prev.next, t.order.prev = f, f
}

// show is dl_seq_real_show for each flow.
func (t *hlTable) show(b []byte, now int64) []byte {
	now /= hlTick
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	l := make([]*hlFlow, 0, len(t.flows))
	for _, f := range t.flows {
		t.recharge(f, now)
		l = append(l, f)
	}
	slices.SortFunc(l, func(a, c *hlFlow) int {
		return cmp.Or(cmp.Compare(a.key.src, c.key.src), cmp.Compare(a.key.dst, c.key.dst),
			cmp.Compare(a.key.sport, c.key.sport), cmp.Compare(a.key.dport, c.key.dport))
	})
	for _, f := range l {
		b = append(strconv.AppendInt(b, (f.expires-now)/hlHZ, 10), ' ')
		b = strconv.AppendUint(append(appendAddr(b, f.key.src), ':'), uint64(f.key.sport), 10)
		b = append(b, "->"...)
		b = strconv.AppendUint(append(appendAddr(b, f.key.dst), ':'), uint64(f.key.dport), 10)
		for _, n := range [...]uint64{f.credit, f.cap, f.cost} {
			b = strconv.AppendUint(append(b, ' '), n, 10)
		}
		b = append(b, '\n')
	}
	return b
}
