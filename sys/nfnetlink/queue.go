package nfnetlink

import (
	"encoding/binary"
	"slices"
	"sync"
	"syscall"

	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// queueMaxLen is how many packets wait for a verdict by default (Linux:
// NFQNL_QMAX_DEFAULT). Beyond it a packet is dropped, or goes on with
// queueFailOpen. queueMaxMax bounds what a program may ask for: packets hold
// pages.
const (
	queueMaxLen = 1024
	queueMaxMax = 65536
)

// queueTable is the queues of NFQUEUE.
type queueTable struct {
	mu     sync.Mutex
	queues map[uint16]*queue
	done   []decided // packets whose verdict came
	timer  napi.Timer
	ready  bool // timer is set up
}

// queue is one a program is bound to (Linux: struct nfqnl_instance). Guarded by
// the table's lock.
type queue struct {
	port    uint32
	mode    uint8
	most    uint32
	flags   uint32
	maxLen  int
	nextID  uint32
	waiting map[uint32]queued
	dropped uint64
}

// queued is a packet that waits for its verdict (Linux: struct nf_queue_entry).
type queued struct {
	b  *skb.Buff
	s  netfilter.State
	at netfilter.Place
}

// decided is one that has it.
type decided struct {
	queued
	v netfilter.Verdict
}

func (t *Table) queueCommands() map[uint8]command {
	return map[uint8]command{
		queuePacket:       {policy: queuePolicy},
		queueConfig:       {policy: queuePolicy, do: t.configQueue},
		queueVerdict:      {policy: verdictPolicy, do: t.verdict},
		queueVerdictBatch: {policy: verdictPolicy, do: t.verdictBatch},
	}
}

// configQueue is nfqnl_recv_config.
func (t *Table) configQueue(r *request) error {
	a, q := r.attrs, &t.queue
	if a.Has(nfqaCfgCmd) {
		switch cmd := a[nfqaCfgCmd][0]; cmd {
		case cfgPFBind, cfgPFBind + 1:
			return nil // of old
		}
	}
	if a.Has(nfqaCfgFlags) {
		if !a.Has(nfqaCfgMask) {
			return syscall.EINVAL
		}
		if set := a.BE32(nfqaCfgFlags) & a.BE32(nfqaCfgMask); set&^queueFlagsAll != 0 || set&^queueFlagsOK != 0 {
			return syscall.EOPNOTSUPP
		}
	}
	q.mu.Lock()
	i := q.queues[r.resID]
	if i != nil && i.port != r.Port() {
		q.mu.Unlock()
		return syscall.EPERM
	}
	if a.Has(nfqaCfgCmd) {
		switch a[nfqaCfgCmd][0] {
		case cfgBind:
			if i != nil {
				q.mu.Unlock()
				return syscall.EBUSY
			}
			if len(q.queues) >= maxGroups {
				q.mu.Unlock()
				return syscall.ENOMEM
			}
			if !q.ready {
				if err := t.nf.IP.Hooks.SetQueueHandler(t.enqueue); err != nil {
					q.mu.Unlock()
					return err
				}
				q.queues = make(map[uint16]*queue)
				q.timer.Init(t.nf.IP.Dev.Timers(), func(*napi.Timer) { t.reinject() })
				q.ready = true
			}
			i = &queue{port: r.Port(), mode: copyNone, most: maxCopy, maxLen: queueMaxLen, waiting: make(map[uint32]queued)}
			q.queues[r.resID] = i
		case cfgUnbind:
			q.mu.Unlock()
			if i == nil {
				return syscall.ENODEV
			}
			t.endQueues(func(n uint16, _ *queue) bool { return n == r.resID })
			return nil
		default:
			q.mu.Unlock()
			return syscall.EOPNOTSUPP
		}
	}
	defer q.mu.Unlock()
	if i == nil {
		return syscall.ENODEV
	}
	if a.Has(nfqaCfgParams) {
		p := a[nfqaCfgParams]
		if p[4] > copyPacket {
			return syscall.EINVAL
		}
		i.mode, i.most = p[4], binary.BigEndian.Uint32(p)
		if i.most == 0 || i.most > maxCopy {
			i.most = maxCopy
		}
	}
	if a.Has(nfqaCfgMaxLen) {
		i.maxLen = int(min(a.BE32(nfqaCfgMaxLen), queueMaxMax))
	}
	if a.Has(nfqaCfgFlags) {
		mask := a.BE32(nfqaCfgMask)
		i.flags = i.flags&^mask | a.BE32(nfqaCfgFlags)&mask
	}
	return nil
}

// enqueue is the queue handler of the hooks (Linux: nfqnl_enqueue_packet).
func (t *Table) enqueue(b *skb.Buff, s netfilter.State, at netfilter.Place, v netfilter.Verdict) bool {
	q := &t.queue
	q.mu.Lock()
	i := q.queues[v.QueueNum()]
	if i == nil {
		q.mu.Unlock()
		return false
	}
	if len(i.waiting) >= i.maxLen {
		i.dropped++
		open := i.flags&queueFailOpen != 0
		q.mu.Unlock()
		if open {
			t.nf.IP.Hooks.Reinject(b, s, at, netfilter.Accept)
		} else {
			b.Free(skb.NetfilterDrop)
		}
		return true
	}
	if i.mode == copyPacket && !b.IsGSO() && !b.ChecksumHelp() {
		q.mu.Unlock()
		return false
	}
	i.nextID++
	id, port := i.nextID, i.port
	msg := t.queueMessage(i, v.QueueNum(), id, b, s)
	i.waiting[id] = queued{b, s, at}
	q.mu.Unlock()
	// The packet is not ours any more: a quick program may have decided.
	if t.nl.Unicast(syscall.NETLINK_NETFILTER, port, msg) == nil {
		return true
	}
	q.mu.Lock()
	_, still := i.waiting[id]
	delete(i.waiting, id)
	i.dropped++
	q.mu.Unlock()
	if still {
		b.Free(skb.NetfilterDrop)
	}
	return true
}

// judged reads a verdict and takes the packets it is for out of their queue, as
// choose says of each ID (Linux: verdict_instance_lookup). ENODEV and EPERM for a
// queue that is not the requester's, ENOENT when there are no such packets.
func (t *Table) judged(r *request, choose func(waiting map[uint32]queued, id uint32) []uint32) (v netfilter.Verdict, l []queued, err error) {
	v, id, err := verdictOf(r.attrs)
	if err != nil {
		return 0, nil, err
	}
	q := &t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.queues[r.resID]
	switch {
	case i == nil:
		return 0, nil, syscall.ENODEV
	case i.port != r.Port():
		return 0, nil, syscall.EPERM
	}
	for _, id := range choose(i.waiting, id) {
		l = append(l, i.waiting[id])
		delete(i.waiting, id)
	}
	if len(l) == 0 {
		return 0, nil, syscall.ENOENT
	}
	return v, l, nil
}

// verdictOf reads NFQA_VERDICT_HDR.
func verdictOf(a netlink.Attrs) (v netfilter.Verdict, id uint32, err error) {
	if !a.Has(nfqaVerdictHdr) {
		return 0, 0, syscall.EINVAL
	}
	v, id = netfilter.Verdict(a.BE32(nfqaVerdictHdr)), binary.BigEndian.Uint32(a[nfqaVerdictHdr][4:])
	switch v.Kind() {
	case netfilter.Drop, netfilter.Accept, netfilter.Repeat, netfilter.Queue:
		return v, id, nil
	}
	return 0, 0, syscall.EINVAL
}

// verdict is nfqnl_recv_verdict: what becomes of a packet, with another mark or
// other bytes perhaps. It goes on in softirq context.
func (t *Table) verdict(r *request) error {
	v, l, err := t.judged(r, func(waiting map[uint32]queued, id uint32) []uint32 {
		if _, ok := waiting[id]; !ok {
			return nil
		}
		return []uint32{id}
	})
	if err != nil {
		return err
	}
	p := l[0]
	if r.attrs.Has(nfqaPayload) && v.Kind() != netfilter.Drop {
		if n := t.mangle(p.b, r.attrs[nfqaPayload]); n != nil {
			p.b = n
		} else {
			v = netfilter.Drop
		}
	}
	t.decide(r, v, p)
	return nil
}

// verdictBatch is nfqnl_recv_verdict_batch: one verdict for all up to a number.
func (t *Table) verdictBatch(r *request) error {
	v, l, err := t.judged(r, func(waiting map[uint32]queued, most uint32) (ids []uint32) {
		for id := range waiting {
			if int32(id-most) <= 0 {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, func(a, b uint32) int { return int(int32(a - b)) }) // as they came
		return ids
	})
	if err != nil {
		return err
	}
	t.decide(r, v, l...)
	return nil
}

// mangle makes a packet with other bytes (Linux: nfqnl_mangle). Nil, with the old
// one left, when they are no packet or memory ran out.
func (t *Table) mangle(b *skb.Buff, data []byte) *skb.Buff {
	h, ok := header.ParseIPv4(data)
	if !ok || h.TotalLen() > len(data) {
		return nil
	}
	n := b.Cache().Alloc(skb.MaxHeader + len(data))
	if n == nil {
		return nil
	}
	n.CopyMeta(b)
	n.IPSummed = skb.ChecksumNone
	n.Reserve(skb.MaxHeader)
	n.PutData(data)
	n.ResetNetworkHeader()
	n.SetTransportHeader(h.HeaderLen())
	n.Sk = nil
	b.Consume()
	return n
}

// decide has packets go on from softirq context, with the mark of the request if
// it has one.
func (t *Table) decide(r *request, v netfilter.Verdict, l ...queued) {
	q := &t.queue
	q.mu.Lock()
	for _, p := range l {
		if r.attrs.Has(nfqaMark) {
			p.b.Mark = r.attrs.BE32(nfqaMark)
		}
		q.done = append(q.done, decided{p, v})
	}
	q.mu.Unlock()
	q.timer.Mod(t.nf.IP.Dev.Clock().Now())
}

// reinject has them go on.
func (t *Table) reinject() {
	q := &t.queue
	q.mu.Lock()
	l := q.done
	q.done = nil
	q.mu.Unlock()
	for _, p := range l {
		if gone(p.s.In) || gone(p.s.Out) {
			p.b.Free(skb.DevReady)
			continue
		}
		if p.v.Kind() == netfilter.Queue {
			if !t.enqueue(p.b, p.s, p.at, p.v) {
				p.b.Free(skb.NetfilterDrop)
			}
			continue
		}
		p.b.CPU = 0 // whose softirq runs timers
		t.nf.IP.Hooks.Reinject(p.b, p.s, p.at, p.v.Kind())
	}
}

// gone reports whether a device went away or down while a packet waited (Linux:
// nfqnl_dev_drop).
func gone(d skb.Device) bool {
	dev, ok := d.(*napi.NetDevice)
	return ok && (dev.Net() == nil || !dev.IsUp())
}

// endQueues ends the queues for which match says so, and drops what waits there
// (Linux: instance_destroy).
func (t *Table) endQueues(match func(num uint16, i *queue) bool) {
	q := &t.queue
	var l []*skb.Buff
	q.mu.Lock()
	for num, i := range q.queues {
		if match(num, i) {
			for _, p := range i.waiting {
				l = append(l, p.b)
			}
			delete(q.queues, num)
		}
	}
	q.mu.Unlock()
	for _, b := range l {
		b.Free(skb.NetfilterDrop)
	}
}

func (t *Table) queueClosed(port uint32) {
	t.endQueues(func(_ uint16, i *queue) bool { return i.port == port })
}

func (t *Table) closeQueue() {
	t.endQueues(func(uint16, *queue) bool { return true })
	q := &t.queue
	q.mu.Lock()
	ready, l := q.ready, q.done
	q.ready, q.done = false, nil
	q.mu.Unlock()
	for _, p := range l {
		p.b.Free(skb.NetfilterDrop)
	}
	if ready {
		q.timer.Del()
		t.nf.IP.Hooks.SetQueueHandler(nil)
	}
}
