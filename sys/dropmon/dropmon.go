// Package dropmon is the drop monitor (Linux: net/core/drop_monitor.c): the
// generic netlink family NET_DM, which tells programs such as dropwatch of
// every packet that is dropped, where and why.
//
// While nobody monitors there is nothing in a packet's way. START enters a
// function in the packet cache; it runs where the packet is dropped, so it only
// notes the drop, and a goroutine sends the notes. In packet mode a note has
// the packet, up to the configured length, and at most QUEUE_LEN wait; in
// summary mode drops are counted by place, for a second, at most 64 places.
// What finds no room is counted and forgotten.
package dropmon

import (
	"runtime"
	"strings"
	"sync"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/sys/genl"
)

// alertGroup is the index of the family's only group.
const alertGroup = 0

// Bounds of what waits to be sent.
const (
	defaultQueueLen = 1000
	maxQueueBytes   = 16 << 20       // of payloads, whatever QUEUE_LEN says
	maxPlaces       = 64             // dm_hit_limit
	summaryDelay    = time.Second    // dm_delay
	maxPayload      = 0xffff - 4 - 4 // NET_DM_MAX_PACKET_SIZE
)

// Frames between a drop and its place: runtime.Callers, the packet's methods,
// and this package.
const (
	skipFrames = 2
	prefixSKB  = "barewire/skb.("
	prefixHere = "barewire/sys/dropmon.(*Monitor)."
)

// mode is how drops are told (Linux: NET_DM_ALERT_MODE_*).
type mode uint8

const (
	modeSummary mode = iota
	modePacket
)

// Config is what the monitor stands on.
type Config struct {
	Net *napi.Net
	// WallClock returns the time since 1970 UTC. Nil: the stack's clock.
	WallClock func() (sec int64, nsec int32)
}

// Monitor is the drop monitor of one namespace.
type Monitor struct {
	cfg    Config
	family *genl.Family

	// Changed by requests, one at a time, while nothing is monitored.
	mode     mode
	truncLen uint32
	queueLen uint32
	hardware bool // START said so too; no device tells of its own drops

	mu    sync.Mutex // what follows; softirq takes it
	on    bool
	queue []note
	bytes int // payloads in queue
	hits  map[uintptr]uint32
	lost  uint64
	timer napi.Alarm
	wake  chan struct{}
	stop  chan struct{}
	done  chan struct{}
}

// note is one drop in packet mode.
type note struct {
	pc      uintptr
	reason  skb.Reason
	port    string
	index   int32
	proto   uint16
	origLen int
	payload []byte
	when    int64
}

// New enters the family.
func New(t *genl.Table, cfg Config) (*Monitor, error) {
	m := &Monitor{cfg: cfg, queueLen: defaultQueueLen, wake: make(chan struct{}, 1)}
	m.family = m.messages()
	if err := t.Register(m.family); err != nil {
		return nil, err
	}
	return m, nil
}

// Close ends monitoring; for the end of a namespace.
func (m *Monitor) Close() { m.disable() }

// enable begins to take notes. It is called with nothing monitored.
func (m *Monitor) enable() {
	m.mu.Lock()
	m.on, m.hits = true, map[uintptr]uint32{}
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	m.mu.Unlock()
	go m.send(m.stop, m.done)
	if m.mode == modePacket {
		m.cfg.Net.SKB().SetDropMonitor(m.packet)
	} else {
		m.cfg.Net.SKB().SetDropMonitor(m.count)
	}
}

// disable ends it and forgets what was not sent.
func (m *Monitor) disable() {
	m.cfg.Net.SKB().SetDropMonitor(nil)
	m.mu.Lock()
	if !m.on {
		m.mu.Unlock()
		return
	}
	m.on, m.queue, m.bytes, m.hits = false, nil, 0, nil
	stop, done, timer := m.stop, m.done, m.timer
	m.timer = nil
	m.mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	close(stop)
	<-done
}

// place returns where the packet was dropped: the first caller that is not a
// method of the packet.
func place() uintptr {
	var pcs [8]uintptr
	n := runtime.Callers(skipFrames, pcs[:])
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next()
		if !more || !strings.HasPrefix(f.Function, prefixSKB) && !strings.HasPrefix(f.Function, prefixHere) {
			return f.PC
		}
	}
}

// count is net_dm's summary: drops by place.
func (m *Monitor) count(_ *skb.Buff, _ skb.Reason) {
	pc := place()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return
	}
	if _, ok := m.hits[pc]; !ok && len(m.hits) >= maxPlaces {
		m.lost++
		return
	}
	m.hits[pc]++
	if m.timer == nil {
		m.timer = m.cfg.Net.Clock().AfterFunc(summaryDelay, m.poke)
	}
}

// packet takes a note of a packet (Linux: net_dm_packet_trace_kfree_skb_hit).
func (m *Monitor) packet(b *skb.Buff, r skb.Reason) {
	pc := place()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return
	}
	off, n := frame(b)
	size := min(n, maxPayload)
	if m.truncLen != 0 {
		size = min(size, int(m.truncLen))
	}
	if len(m.queue) >= int(m.queueLen) || m.bytes+size > maxQueueBytes {
		m.lost++
		return
	}
	o := note{pc: pc, reason: r, proto: b.Protocol, origLen: n, when: m.wall(), payload: copyFrame(b, off, size)}
	if b.Dev != nil {
		o.port, o.index = b.Dev.Name(), b.Dev.Ifindex()
	}
	m.queue, m.bytes = append(m.queue, o), m.bytes+size
	m.poke()
}

// frame returns where the packet begins, its link header included, counted
// from its data, and how long it is.
func frame(b *skb.Buff) (off, n int) {
	if b.MacHeaderWasSet() {
		off = b.MacOffset()
	}
	return off, max(0, b.Len()-off)
}

// copyFrame copies size bytes from off on, which is negative when the link
// header was pulled already.
func copyFrame(b *skb.Buff, off, size int) []byte {
	p := make([]byte, 0, size)
	if off < 0 {
		h := b.MacHeader()
		p = append(p, h[:min(-off, len(h), size)]...)
		off = 0
	}
	rest := p[len(p):size]
	return p[:len(p)+b.CopyBits(off, rest)]
}

func (m *Monitor) wall() int64 {
	if m.cfg.WallClock == nil {
		return m.cfg.Net.Clock().Now()
	}
	s, ns := m.cfg.WallClock()
	return s*1e9 + int64(ns)
}

// poke wakes the sender. It does not block.
func (m *Monitor) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// send is the goroutine that tells of the notes.
func (m *Monitor) send(stop, done chan struct{}) {
	defer close(done)
	for {
		select {
		case <-stop:
			return
		case <-m.wake:
		}
		m.mu.Lock()
		queue, hits := m.queue, m.hits
		m.queue, m.bytes = nil, 0
		if m.on {
			m.hits, m.timer = map[uintptr]uint32{}, nil
		}
		m.mu.Unlock()
		for i := range queue {
			m.tellPacket(&queue[i])
		}
		if len(hits) > 0 {
			m.tellSummary(hits)
		}
	}
}
