package hosted

import (
	"sync"

	"barewire/napi"
	"barewire/skb"
)

// DefaultRing is how many received frames wait for NAPI at most.
const DefaultRing = 1024

// port is the receiving half of a device: a bounded queue that NAPI empties.
type port struct {
	dev   *napi.NetDevice
	stack *napi.Net
	napi  *napi.NAPI
	limit int

	mu   sync.Mutex
	open bool
	ring skb.List

	work skb.List // taken off the ring; Poll's own
}

// newPort makes the device of ops and registers it with the stack.
func newPort(stack *napi.Net, name string, addr [6]byte, ring int, feat napi.Features, ops napi.Ops, p *port) error {
	if ring <= 0 {
		ring = DefaultRing
	}
	p.stack, p.limit = stack, ring
	p.dev = napi.AllocNetdev(name, ops, 1)
	napi.EtherSetup(p.dev)
	if err := p.dev.SetHardwareAddr(addr); err != nil {
		return err
	}
	p.dev.SetFeatures(feat)
	p.napi = p.dev.AddNAPI(p, 0)
	return stack.RegisterNetdev(p.dev)
}

// start lets frames in.
func (p *port) start() {
	p.napi.Enable()
	p.mu.Lock()
	p.open = true
	p.mu.Unlock()
}

// stop keeps frames out and drops those that wait.
func (p *port) stop() {
	var drop skb.List
	p.mu.Lock()
	p.open = false
	drop.Splice(&p.ring)
	p.mu.Unlock()
	p.napi.Disable()
	drop.Splice(&p.work)
	drop.Purge(skb.DevReady)
}

func (p *port) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// deliver puts received frames on the ring and schedules NAPI. Frames that find
// no room are dropped as a full ring drops them. It empties l. Any context.
func (p *port) deliver(l *skb.List) {
	p.mu.Lock()
	if !p.open {
		p.mu.Unlock()
		l.Purge(skb.DevReady)
		return
	}
	for n := min(l.Len(), p.limit-p.ring.Len()); n > 0; n-- {
		p.ring.PushBack(l.PopFront())
	}
	p.mu.Unlock()
	if l.Len() > 0 {
		p.dev.Stats.RxMissedErrors.Add(uint64(l.Len()))
		l.Purge(skb.FullRing)
	}
	p.napi.Schedule()
}

// Poll hands up to budget frames to the stack. There is no interrupt to unmask:
// a frame that is queued while CompleteDone runs schedules again, and NAPI
// notes that.
func (p *port) Poll(n *napi.NAPI, budget int) int {
	done := 0
	for done < budget {
		b := p.work.PopFront()
		if b == nil {
			p.mu.Lock()
			p.work.Splice(&p.ring)
			p.mu.Unlock()
			if b = p.work.PopFront(); b == nil {
				n.CompleteDone(done)
				return done
			}
		}
		done++
		if napi.EthTypeTrans(b, p.dev) == 0 {
			p.dev.Stats.RxErrors.Add(1)
			p.dev.Stats.RxLengthErrors.Add(1)
			b.Free(skb.PktTooSmall)
			continue
		}
		n.Receive(b)
	}
	return done
}
