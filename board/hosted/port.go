package hosted

import (
	"hash/maphash"
	"sync"

	"barewire/napi"
	"barewire/skb"
)

// DefaultRing is how many received frames wait for NAPI at most.
const DefaultRing = 1024

// port is the receiving half of a device: bounded queues that NAPI empties.
type port struct {
	dev    *napi.NetDevice
	stack  *napi.Net
	limit  int
	queues []*portQueue
	seed   maphash.Seed // of the choice of the queue
}

// portQueue is a receive queue, polled on the processor of its number.
type portQueue struct {
	*port
	napi *napi.NAPI

	mu   sync.Mutex
	open bool
	ring skb.List

	work skb.List // taken off the ring; Poll's own
}

// newPort makes the device of ops, with so many queues each way, and registers it
// with the stack.
func newPort(stack *napi.Net, name string, addr [6]byte, ring, queues int, feat napi.Features, ops napi.Ops, p *port) error {
	if ring <= 0 {
		ring = DefaultRing
	}
	queues = max(queues, 1)
	p.stack, p.limit, p.seed = stack, ring, maphash.MakeSeed()
	p.dev = napi.AllocNetdev(name, ops, queues)
	napi.EtherSetup(p.dev)
	if err := p.dev.SetHardwareAddr(addr); err != nil {
		return err
	}
	p.dev.SetFeatures(feat)
	for i := range queues {
		q := &portQueue{port: p}
		q.napi = p.dev.AddNAPI(q, 0)
		q.napi.SetCPU(i)
		p.queues = append(p.queues, q)
	}
	return stack.RegisterNetdev(p.dev)
}

// start lets frames in.
func (p *port) start() {
	for _, q := range p.queues {
		q.napi.Enable()
		q.mu.Lock()
		q.open = true
		q.mu.Unlock()
	}
}

// stop keeps frames out and drops those that wait.
func (p *port) stop() {
	for _, q := range p.queues {
		var drop skb.List
		q.mu.Lock()
		q.open = false
		drop.Splice(&q.ring)
		q.mu.Unlock()
		q.napi.Disable()
		drop.Splice(&q.work)
		drop.Purge(skb.DevReady)
	}
}

func (p *port) isOpen() bool {
	q := p.queues[0]
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open
}

// deliver puts received frames on the rings, those of a flow on the same, and
// schedules NAPI. Frames that find no room are dropped as a full ring drops them.
// It empties l. Any context.
func (p *port) deliver(l *skb.List) {
	if len(p.queues) == 1 {
		p.queues[0].deliver(l)
		return
	}
	for b := l.PopFront(); b != nil; b = l.PopFront() {
		var one skb.List
		one.PushBack(b)
		p.queues[p.steer(b.Data())].deliver(&one)
	}
}

// steer chooses the queue of a frame by the addresses of an IPv4 packet, and its
// ports if it is whole (virtio 1.2, 5.1.6.4.3).
func (p *port) steer(f []byte) int {
	const ip, addrs, ports, end = 14, 14 + 12, 14 + 20, 14 + 24
	if len(f) < end || f[12] != 8 || f[13] != 0 {
		return 0
	}
	key := f[addrs:ports]
	if whole := f[ip+6]&0x3f|f[ip+7] == 0; whole && f[ip] == 0x45 {
		key = f[addrs:end]
	}
	return int(maphash.Bytes(p.seed, key) % uint64(len(p.queues)))
}

func (q *portQueue) deliver(l *skb.List) {
	q.mu.Lock()
	if !q.open {
		q.mu.Unlock()
		l.Purge(skb.DevReady)
		return
	}
	for n := min(l.Len(), q.limit-q.ring.Len()); n > 0; n-- {
		q.ring.PushBack(l.PopFront())
	}
	q.mu.Unlock()
	if l.Len() > 0 {
		q.dev.Stats.RxMissedErrors.Add(uint64(l.Len()))
		l.Purge(skb.FullRing)
	}
	q.napi.Schedule()
}

// Poll hands up to budget frames to the stack. There is no interrupt to unmask:
// a frame that is queued while CompleteDone runs schedules again, and NAPI
// notes that.
func (q *portQueue) Poll(n *napi.NAPI, budget int) int {
	done := 0
	for done < budget {
		b := q.work.PopFront()
		if b == nil {
			q.mu.Lock()
			q.work.Splice(&q.ring)
			q.mu.Unlock()
			if b = q.work.PopFront(); b == nil {
				n.CompleteDone(done)
				return done
			}
		}
		done++
		if napi.EthTypeTrans(b, q.dev) == 0 {
			q.dev.Stats.RxErrors.Add(1)
			q.dev.Stats.RxLengthErrors.Add(1)
			b.Free(skb.PktTooSmall)
			continue
		}
		n.Receive(b)
	}
	return done
}
