package napi

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"barewire/napi/sysctl"
	"barewire/skb"
)

// Receive packet steering: where a device has fewer receive queues than there are
// processors, what one of them polled is spread over the others' backlogs by the
// hash of its flow (Linux: RPS, get_rps_cpu), and where it is known which
// processor reads a flow's socket, the flow goes there (RFS). Packets of a flow
// stay in order: it moves on only when what it has on the old backlog is through.

// RxQueue is a receive queue of a device and where its packets are steered to
// (Linux: struct netdev_rx_queue). A device has one for each of its NAPI
// contexts, and at least one.
type RxQueue struct {
	dev   *NetDevice
	index int
	steer atomic.Pointer[steering] // nil: they stay where they were polled
}

// steering is an immutable snapshot; the flows in it change.
type steering struct {
	mask  CPUMask
	cpus  []uint16        // of the mask (Linux: struct rps_map)
	flows []atomic.Uint64 // rps_dev_flow: where a flow is now, see flowAt
}

// CPUMask is a set of processors.
type CPUMask [MaxCPUs / 64]uint64

// Has reports whether a processor is in the set.
func (m *CPUMask) Has(cpu int) bool {
	return cpu >= 0 && cpu < MaxCPUs && m[cpu/64]>>(cpu%64)&1 != 0
}

// Add puts a processor into the set.
func (m *CPUMask) Add(cpu int) { m[cpu/64] |= 1 << (cpu % 64) }

// Text writes the set as a device's files show it (Linux: %*pb): hexadecimal, as
// many digits as cpus processors need, a comma before each 32 bits.
func (m *CPUMask) Text(cpus int) string {
	var b []byte
	for i := (cpus - 1) / 4; i >= 0; i-- {
		b = append(b, "0123456789abcdef"[m[i/16]>>(i%16*4)&15])
		if i > 0 && i%8 == 0 {
			b = append(b, ',')
		}
	}
	return string(b)
}

// ParseCPUMask reads a set in that form (Linux: bitmap_parse). EINVAL for what is
// none, EOVERFLOW for a processor that cannot be.
func ParseCPUMask(s string) (m CPUMask, err error) {
	if s == "" {
		return m, syscall.EINVAL
	}
	groups := strings.Split(s, ",")
	for i, g := range groups {
		v, err := strconv.ParseUint(g, 16, 32)
		if err != nil || len(g) > 8 || g[0] == '+' {
			return CPUMask{}, syscall.EINVAL
		}
		at := len(groups) - 1 - i
		switch {
		case at < len(m)*2:
			m[at/2] |= v << (at % 2 * 32)
		case v != 0:
			return CPUMask{}, syscall.EOVERFLOW
		}
	}
	return m, nil
}

// RxQueues returns the device's receive queues. The slice is shared and must not
// be changed.
func (d *NetDevice) RxQueues() []*RxQueue { return *d.rxqs.Load() }

// growRxQueues sees to it that there are n queues.
func (d *NetDevice) growRxQueues(n int) {
	for {
		old := d.rxqs.Load()
		var l []*RxQueue
		if old != nil {
			l = (*old)[:len(*old):len(*old)]
		}
		for len(l) < n {
			l = append(l, &RxQueue{dev: d, index: len(l)})
		}
		if d.rxqs.CompareAndSwap(old, &l) {
			return
		}
	}
}

// RPS returns the processors that the queue's packets are spread over; the empty
// set means that they are not (Linux: rps_cpus).
func (q *RxQueue) RPS() (m CPUMask) {
	if s := q.steer.Load(); s != nil {
		return s.mask
	}
	return m
}

// SetRPS sets them. Processors that do not exist are left out of it.
func (q *RxQueue) SetRPS(m CPUMask) {
	q.change(func(s *steering) { s.mask = m })
}

// FlowCount returns how many flows the queue knows the places of (Linux:
// rps_flow_cnt); 0, as at first, means that sockets steer none.
func (q *RxQueue) FlowCount() int {
	if s := q.steer.Load(); s != nil {
		return len(s.flows)
	}
	return 0
}

// maxFlows bounds the tables of flows.
const maxFlows = 1 << 20

// SetFlowCount sets it, rounded up to a power of two. EINVAL beyond about a
// million.
func (q *RxQueue) SetFlowCount(n int) error {
	if n < 0 || n > maxFlows {
		return syscall.EINVAL
	}
	var flows []atomic.Uint64
	if n > 0 {
		flows = make([]atomic.Uint64, 1<<bits.Len(uint(n-1)))
		for i := range flows {
			flows[i].Store(flowNowhere)
		}
	}
	q.change(func(s *steering) { s.flows = flows })
	return nil
}

func (q *RxQueue) change(f func(*steering)) {
	for {
		old := q.steer.Load()
		var s steering
		if old != nil {
			s = *old
		}
		f(&s)
		cpus := 1
		if n := q.dev.net.Load(); n != nil {
			cpus = len(n.softs)
		}
		s.cpus = nil
		for cpu := range cpus {
			if s.mask.Has(cpu) {
				s.cpus = append(s.cpus, uint16(cpu))
			}
		}
		next := &s
		if len(s.cpus) == 0 && s.flows == nil {
			next = nil
			if s.mask != (CPUMask{}) {
				next = &s // it is shown, and holds nothing back
			}
		}
		if q.steer.CompareAndSwap(old, next) {
			return
		}
	}
}

// A place of a flow: the processor above, and below the count of packets its
// backlog will have seen when the flow's last is through.
const flowNowhere = uint64(0xffff) << 32

func flowAt(cpu int, tail uint32) uint64 { return uint64(cpu)<<32 | uint64(tail) }

// sockFlows tells which processor reads the socket of a flow (Linux: struct
// rps_sock_flow_table): the upper bits of the flow's hash, and the processor in
// the lower ones.
type sockFlows struct{ ents []atomic.Uint32 }

const sockFlowCPU = MaxCPUs - 1 // the bits of a processor

// RecordFlow notes that the calling processor reads or writes the socket of a
// flow (Linux: rps_record_sock_flow); hash is what [skb.Buff.Hash] was in a packet
// of it, 0 if there was none. Process context.
func (n *Net) RecordFlow(hash uint32) {
	t := n.sockFlows.Load()
	if t == nil || hash == 0 {
		return
	}
	v := hash&^sockFlowCPU | uint32(n.ThisSoftNet().cpu)
	if e := &t.ents[int(hash)&(len(t.ents)-1)]; e.Load() != v {
		e.Store(v)
	}
}

// rpsSettings enters net.core.rps_sock_flow_entries.
func (n *Net) rpsSettings() {
	n.sysctl.RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Entry{
				Name: "net.core.rps_sock_flow_entries",
				Get: func() string {
					if t := n.sockFlows.Load(); t != nil {
						return strconv.Itoa(len(t.ents))
					}
					return "0"
				},
				Set: func(v string) error {
					l, err := sysctl.Ints(v, 1)
					if err != nil || l[0] < 0 || l[0] > maxFlows {
						return fmt.Errorf("net.core.rps_sock_flow_entries: %q: %w", v, syscall.EINVAL)
					}
					if l[0] == 0 {
						n.sockFlows.Store(nil)
						return nil
					}
					n.sockFlows.Store(&sockFlows{make([]atomic.Uint32, 1<<bits.Len(uint(l[0]-1)))})
					return nil
				},
			},
		}
	})
}

// target returns where a packet is to be received, and the place of its flow to
// be noted when it is on that backlog, nil if nothing is (Linux: get_rps_cpu). Nil
// means here.
func (st *steering) target(n *Net, b *skb.Buff) (*SoftNet, *atomic.Uint64) {
	hash := n.flowHash(b)
	if hash == 0 {
		return nil, nil
	}
	if t := n.sockFlows.Load(); t != nil && len(st.flows) > 0 {
		v := t.ents[int(hash)&(len(t.ents)-1)].Load()
		want := int(v & sockFlowCPU)
		if (v^hash)&^sockFlowCPU == 0 && want < len(n.softs) {
			f := &st.flows[int(hash)&(len(st.flows)-1)]
			at := f.Load()
			if cpu := int(at >> 32); cpu < len(n.softs) && cpu != want && int32(n.softs[cpu].inputHead.Load()-uint32(at)) < 0 {
				want = cpu // what it has there is not through
			}
			return n.softs[want], f
		}
	}
	if len(st.cpus) > 0 {
		// The device may have come from a namespace with more.
		if cpu := int(st.cpus[uint64(hash)*uint64(len(st.cpus))>>32]); cpu < len(n.softs) {
			return n.softs[cpu], nil
		}
	}
	return nil, nil
}

// steered passes b on to the backlog of the processor it is for; false, and it is
// still the caller's, when that is s.
func (st *steering) steered(s *SoftNet, b *skb.Buff) bool {
	to, flow := st.target(s.net, b)
	if to == nil {
		return false
	}
	if to == s {
		if flow == nil {
			return false
		}
		// Nothing of it waits: it need not either.
		at, head := flow.Load(), s.inputHead.Load()
		if int(at>>32) != s.cpu || int32(head-uint32(at)) >= 0 {
			if at>>32 != uint64(s.cpu) {
				flow.Store(flowAt(s.cpu, head))
			}
			return false
		}
	}
	to.enqueueBacklog(b, s, flow)
	return true
}
