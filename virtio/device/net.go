package device

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"barewire/virtio"
	vnet "barewire/virtio/net"
)

// AllFeatures is everything the device model knows, but for MQ, which changes its
// queues.
const AllFeatures = virtio.FeatVersion1 | virtio.FeatIndirectDesc | virtio.FeatEventIdx |
	vnet.FeatCSUM | vnet.FeatGuestCSUM | vnet.FeatMTU | vnet.FeatMAC | vnet.FeatGuestTSO4 |
	vnet.FeatGuestECN | vnet.FeatHostTSO4 | vnet.FeatHostECN | vnet.FeatMrgRxbuf | vnet.FeatStatus |
	vnet.FeatCtrlVQ | vnet.FeatCtrlRX | vnet.FeatGuestAnnounce | vnet.FeatCtrlMACAddr | vnet.FeatNotfCoal

// Queue numbers of a device with one pair. Of several, those of pair p are 2*p
// further on, and the control queue stands behind all that there are once the driver
// accepted MQ (virtio 1.2, 5.1.2).
const (
	QueueRX = iota
	QueueTX
	QueueCtrl

	// MaxPairs is the most pairs of queues the model has.
	MaxPairs  = 8
	numQueues = 2*MaxPairs + 1
)

// HdrLen is the length of the header in front of each frame.
const HdrLen = 12

// Hdr is struct virtio_net_hdr (virtio 1.2, 5.1.6).
type Hdr struct {
	Flags, GSOType                                    uint8
	HdrLen, GSOSize, CsumStart, CsumOffset, NumBuffer uint16
}

func (h *Hdr) put(p []byte) {
	p[0], p[1] = h.Flags, h.GSOType
	for i, v := range [...]uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset, h.NumBuffer} {
		binary.LittleEndian.PutUint16(p[2+2*i:], v)
	}
}

func (h *Hdr) get(p []byte) {
	h.Flags, h.GSOType = p[0], p[1]
	for i, v := range [...]*uint16{&h.HdrLen, &h.GSOSize, &h.CsumStart, &h.CsumOffset, &h.NumBuffer} {
		*v = binary.LittleEndian.Uint16(p[2+2*i:])
	}
}

// Config describes a device. Zero fields take defaults.
type Config struct {
	Features uint64 // offered
	QueueMax int    // of each queue; 0 means 256, less that there is none
	Pairs    int    // pairs of queues, at most MaxPairs; 0 means 1
	MAC      [6]byte
	MTU      uint16
	LinkDown bool
	// Transmit gets each frame the driver sends. It runs with the transmit
	// ring locked and may call Inject. frame is valid until it returns.
	Transmit func(h Hdr, frame []byte)
	// TransmitOn is Transmit that is told the pair.
	TransmitOn func(pair int, h Hdr, frame []byte)
	// Manual keeps a notification from being acted upon: the test calls
	// Process.
	Manual bool
	// Paranoid also looks for memory that is posted twice, which takes time.
	Paranoid bool
}

// Net is a virtio network device.
type Net struct {
	mem *Memory
	cfg Config

	mu       sync.Mutex
	status   uint8
	drvFeats uint64
	gen      uint32
	space    [12]byte              // device configuration
	vectors  [numQueues + 1]uint16 // of the configuration, then of the queues

	rings [numQueues]ring
	pairs atomic.Int32 // that the driver has in use

	// irq delivers: queue number, or -1 for the configuration.
	irq func(queue int)

	hostile Hostile

	// Promisc, Allmulti and MAC are what the control queue set.
	Promisc, Allmulti atomic.Bool
	ctrlMAC           atomic.Uint64
	coal              [2]atomic.Uint64 // transmit and receive: packets and microseconds
	acked             atomic.Uint64

	// Counters of events.
	Notified, Interrupts, NoBuffer, Resets atomic.Uint64
}

// New makes a device that sees mem.
func New(mem *Memory, cfg Config) *Net {
	if cfg.QueueMax == 0 {
		cfg.QueueMax = 256
	}
	if cfg.MAC == ([6]byte{}) {
		cfg.MAC = [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	}
	cfg.Pairs = min(max(cfg.Pairs, 1), MaxPairs)
	if cfg.Features&vnet.FeatMQ == 0 {
		cfg.Pairs = 1
	}
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	d := &Net{mem: mem, cfg: cfg, irq: func(int) {}}
	copy(d.space[:], cfg.MAC[:])
	binary.LittleEndian.PutUint16(d.space[10:], cfg.MTU)
	binary.LittleEndian.PutUint16(d.space[8:], uint16(cfg.Pairs))
	d.setLink(!cfg.LinkDown, false)
	d.hostile.dev = d
	d.pairs.Store(1)
	for i := range d.rings {
		r := &d.rings[i]
		r.dev, r.index = d, i
		if i > 2*cfg.Pairs {
			break
		}
		if i%2 == QueueTX {
			r.frame = make([]byte, 0, 1<<17)
		} else {
			r.heads = make([]uint16, 0, 64)
		}
		r.segs = make([]seg, 0, 64)
	}
	return d
}

// notify is the driver's notification.
func (d *Net) notify(i int) {
	d.Notified.Add(1)
	if i > 2*d.cfg.Pairs {
		d.violation("notification of queue %d", i)
		return
	}
	if !d.Live() {
		d.violation("queue %d notified with status %#x (3.1.1)", i, d.Status())
		return
	}
	if !d.cfg.Manual || i == d.ctrl() {
		d.Process(i)
	}
}

// Process works through a queue: frames to transmit, control commands; the
// receive queue only has its notifications rearmed.
func (d *Net) Process(i int) {
	r := &d.rings[i]
	ctrl := i == d.ctrl()
	rx := !ctrl && i%2 == QueueRX
	r.mu.Lock()
	if !r.enabled {
		r.mu.Unlock()
		return
	}
	n := 0
	for {
		if !rx {
			for {
				c, ok := r.pop()
				if !ok {
					break
				}
				used := uint32(0)
				if !ctrl {
					d.transmit(r, c)
				} else if d.hostile.CtrlMute {
					continue
				} else {
					used = d.control(c)
				}
				if !r.enabled {
					break // Transmit had the device reset
				}
				r.fill(uint32(c.head), used)
				n++
			}
		}
		if !r.rearm() || rx {
			break
		}
		if len(d.hostile.notes()) > 0 {
			break // an index that makes no sense stays there
		}
	}
	d.finish(r, n > 0)
}

// ProcessOne uses the next buffer of a queue without looking into it, as a
// device does that is slower than its driver.
func (d *Net) ProcessOne(i int) {
	r := &d.rings[i]
	r.mu.Lock()
	c, ok := r.pop()
	if ok {
		r.fill(uint32(c.head), 0)
	}
	d.finish(r, ok)
}

// finish flushes, unlocks and interrupts.
func (d *Net) finish(r *ring, flush bool) {
	want := false
	if flush {
		r.flush()
		want = r.wantIRQ()
	}
	r.mu.Unlock()
	if want {
		d.Interrupts.Add(1)
		d.irq(r.index)
	}
}

// transmit gathers a frame and hands it to the backend.
func (d *Net) transmit(r *ring, c chain) {
	if r.index/2 >= int(d.pairs.Load()) {
		d.violation("packet on queue %d, %d pairs in use (5.1.6.5.6.2)", r.index, d.pairs.Load())
	}
	f := r.frame[:0]
	for _, s := range c.segs {
		if s.write {
			d.violation("writable descriptor on the transmit queue")
		}
		f = append(f, s.buf...)
	}
	r.frame = f
	if len(f) < HdrLen {
		d.violation("transmit buffer of %d bytes", len(f))
		return
	}
	var h Hdr
	h.get(f)
	if d.cfg.Transmit != nil {
		d.cfg.Transmit(h, f[HdrLen:])
	}
	if d.cfg.TransmitOn != nil {
		d.cfg.TransmitOn(r.index/2, h, f[HdrLen:])
	}
}

// Inject delivers a frame to the driver and interrupts it where it wants that.
// It reports false when there was no room for it.
func (d *Net) Inject(h Hdr, frame []byte) bool { return d.InjectOn(0, h, frame) }

// InjectOn is Inject on a pair of queues; false also when the driver has it not in
// use.
func (d *Net) InjectOn(pair int, h Hdr, frame []byte) bool {
	if pair >= int(d.pairs.Load()) {
		return false
	}
	r := &d.rings[2*pair+QueueRX]
	r.mu.Lock()
	ok := d.deliver(r, h, frame)
	d.finish(r, ok)
	return ok
}

// InjectBatch delivers frames with one interrupt for all and returns how many
// there was room for.
func (d *Net) InjectBatch(h Hdr, frames [][]byte) int {
	r := &d.rings[QueueRX]
	r.mu.Lock()
	n := 0
	for n < len(frames) && d.deliver(r, h, frames[n]) {
		n++
	}
	d.finish(r, n > 0)
	return n
}

// deliver puts a frame into receive buffers: one, or with MRG_RXBUF as many as
// it takes, all used together (5.1.6.4.1). The caller holds the ring's lock.
func (d *Net) deliver(r *ring, h Hdr, frame []byte) bool {
	merge := d.cfg.Features&vnet.FeatMrgRxbuf != 0 && d.Features()&vnet.FeatMrgRxbuf != 0
	var hdr [HdrLen]byte
	h.NumBuffer = 1
	h.put(hdr[:])
	heads := r.heads[:0]
	start := r.usedIdx
	var first []byte // where the header went
	left, lead := frame, hdr[:]
	for len(left) > 0 || len(lead) > 0 {
		c, ok := r.pop()
		if ok && (c.out > 0 || c.in < HdrLen) {
			d.violation("receive buffer with %d bytes to write, %d to read", c.in, c.out)
			ok = false
		}
		if ok && !merge && c.in < len(frame)+HdrLen {
			heads = append(heads, c.head)
			ok = false
		}
		if !ok {
			r.unpop(heads)
			r.usedIdx = start
			d.NoBuffer.Add(1)
			return false
		}
		heads = append(heads, c.head)
		n := 0
		for _, s := range c.segs {
			if len(lead) > 0 && first == nil {
				first = s.buf
			}
			for _, src := range [...]*[]byte{&lead, &left} {
				k := copy(s.buf, *src)
				*src = (*src)[k:]
				s.buf = s.buf[k:]
				n += k
			}
		}
		r.fill(uint32(c.head), uint32(n))
		r.out[c.head] = true // until all of the frame is there
	}
	for _, hd := range heads {
		r.out[hd] = false
	}
	r.heads = heads
	binary.LittleEndian.PutUint16(first[10:], uint16(len(heads)))
	return true
}

// control carries out a command and returns how many bytes it wrote.
func (d *Net) control(c chain) uint32 {
	var cmd []byte
	for _, s := range c.segs {
		if !s.write {
			cmd = append(cmd, s.buf...)
		}
	}
	ack := byte(1)
	if len(cmd) >= 2 {
		arg := cmd[2:]
		switch class := [2]byte(cmd); {
		case class == [2]byte{0, 0} && len(arg) == 1:
			d.Promisc.Store(arg[0] != 0)
			ack = 0
		case class == [2]byte{0, 1} && len(arg) == 1:
			d.Allmulti.Store(arg[0] != 0)
			ack = 0
		case class == [2]byte{1, 1} && len(arg) == 6:
			var b [8]byte
			copy(b[:], arg)
			d.ctrlMAC.Store(binary.LittleEndian.Uint64(b[:]))
			ack = 0
		case class[0] == 6 && class[1] < 2 && len(arg) == 8:
			d.coal[class[1]].Store(binary.LittleEndian.Uint64(arg))
			ack = 0
		case class == [2]byte{4, 0} && len(arg) == 2 && d.Features()&vnet.FeatMQ != 0:
			if n := int(binary.LittleEndian.Uint16(arg)); n >= 1 && n <= d.cfg.Pairs && !d.hostile.RefusePairs {
				d.pairs.Store(int32(n))
				ack = 0
			}
		case class == [2]byte{3, 0} && len(arg) == 0:
			d.acked.Add(1)
			ack = 0
		}
	}
	if d.hostile.CtrlNack {
		ack = 1
	}
	last := c.segs[len(c.segs)-1]
	if !last.write || len(last.buf) != 1 {
		d.violation("control command without room for the answer")
		return 0
	}
	last.buf[0] = ack
	return 1
}

// CtrlMAC returns the address the driver set by command, zero if none.
func (d *Net) CtrlMAC() (mac [6]byte) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], d.ctrlMAC.Load())
	copy(mac[:], b[:])
	return mac
}

// Coalescing returns what the driver set by command for transmit interrupts, or
// those of receive: after how many packets or microseconds.
func (d *Net) Coalescing(receive bool) (packets, usecs uint32) {
	i := 0
	if receive {
		i = 1
	}
	v := d.coal[i].Load()
	return uint32(v), uint32(v >> 32)
}

// ctrl is the number of the control queue.
func (d *Net) ctrl() int {
	if d.cfg.Pairs > 1 && d.Features()&vnet.FeatMQ != 0 {
		return 2 * d.cfg.Pairs
	}
	return QueueCtrl
}

// Pairs returns how many pairs of queues the driver has in use.
func (d *Net) Pairs() int { return int(d.pairs.Load()) }

// AnnounceAcks returns how often the driver acknowledged an announcement.
func (d *Net) AnnounceAcks() uint64 { return d.acked.Load() }
