package net

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
)

// Queues of a device (virtio 1.2, 5.1.2): receive and transmit queue of each pair
// in turn, then the control queue.
func queueRX(pair int) int   { return 2 * pair }
func queueTX(pair int) int   { return 2*pair + 1 }
func queueCtrl(most int) int { return 2 * most }

const (
	defaultRingSize = 256
	ctrlRingSize    = 8
)

// Device is a virtio network device.
type Device struct {
	t     virtio.Transport
	net   *napi.Net
	pages *skb.PagePool
	opts  Options
	dev   *napi.NetDevice

	probed bool
	wanted uint64 // features chosen
	feats  uint64 // features negotiated, VERSION_1 and the like included
	// What headers of received frames may say by them.
	offloads skb.VnetOffloads

	pairs []*pair // since Probe
	most  int     // pairs the device has; without MQ one
	ctrl  ctrlQueue

	// running says that the rings are in use: it is what poll and transmit
	// look at. Only fail clears it outside mu.
	running atomic.Bool

	mu       sync.Mutex // serialises everything below and the device's life
	opened   bool       // by the administrator
	polling  bool       // the pairs' contexts are enabled
	inUse    int        // pairs that the device shall use
	lost     bool       // a reset was not confirmed
	mac      [6]byte    // to be set on the device, zero if it has its own
	promisc  bool
	allmulti bool
	coalesce napi.Coalesce

	cfgPending atomic.Bool // configuration work is on its way
	recovery   recovery

	interrupts atomic.Uint64 // of queues
	stats      stats
}

// stats are the counters behind [Stats].
type stats struct {
	broken, recovered, rxNoPage, heldPages, ctrlCommands atomic.Uint64
}

// Stats are the driver's own counters.
type Stats struct {
	Broken       uint64 // times the device broke the rules
	Recovered    uint64 // times it came back after that
	RxNoPage     uint64 // refills cut short by an empty page pool
	HeldPages    uint64 // buffers kept because a reset was not confirmed
	CtrlCommands uint64 // commands given on the control queue
}

// Probe takes over a virtio network device and registers an interface for it.
// The interface is down; the device is left reset. The errors say what is
// missing; those of package virtio are wrapped.
func Probe(t virtio.Transport, n *napi.Net, o Options) (*Device, error) {
	if t.DeviceID() != virtio.IDNet {
		return nil, fmt.Errorf("%s: %w: device type %d is not a network device", t.Name(), virtio.ErrNoDevice, t.DeviceID())
	}
	if o.Name == "" {
		o.Name = "eth%d"
	}
	if o.RingSize == 0 {
		o.RingSize = defaultRingSize
	}
	if o.RingSize < virtio.MinQueueSize || o.RingSize > virtio.MaxQueueSize {
		return nil, fmt.Errorf("%s: ring size %d: %w", t.Name(), o.RingSize, syscall.EINVAL)
	}
	if o.Announce == nil {
		o.Announce = (*napi.NetDevice).NotifyPeers
	}
	if o.Log == nil {
		o.Log = func(s string) { n.Logf("%s", s) }
	}
	d := &Device{t: t, net: n, pages: n.SKB().Pool(), opts: o, allmulti: true}
	if err := d.checkPool(); err != nil {
		return nil, err
	}
	d.dev = napi.AllocNetdev(o.Name, d, 1)
	napi.EtherSetup(d.dev)
	d.dev.Priv = d
	if err := d.identify(); err != nil {
		return nil, err
	}
	d.attach(n)
	d.dev.CarrierOff()
	if err := n.RegisterNetdev(d.dev); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name(), err)
	}
	return d, nil
}

// attach has the driver use the clock, timers and packet metadata of a
// namespace. The device is closed: no timer is set. Its rings stay in the page
// pool it was made with, which is mapped for it.
func (d *Device) attach(n *napi.Net) {
	d.net = n
	for _, p := range d.pairs {
		p.tx.watchdog.Init(n.Timers(), p.txTimeout)
		p.rx.retry.Init(n.Timers(), func(*napi.Timer) { p.napi.Schedule() })
	}
}

// checkPool catches a page pool whose pages a device cannot find.
func (d *Device) checkPool() error {
	if size := d.pages.PageSize(); size < rxFrameOff+napi.EthHdrLen+virtioMinMTU {
		return fmt.Errorf("%s: pages of %d bytes are too small to receive into: %w", d.t.Name(), size, syscall.EINVAL)
	}
	p := d.pages.Alloc()
	if p == nil {
		return fmt.Errorf("%s: page pool is empty: %w", d.t.Name(), syscall.ENOMEM)
	}
	defer p.Put()
	if d.opts.Map == nil && p.DMA() != uint64(uintptr(unsafe.Pointer(&p.Bytes()[0]))) {
		return fmt.Errorf("%s: page pool is not mapped for devices (skb.PageConfig.Map): %w", d.t.Name(), syscall.EINVAL)
	}
	return nil
}

// identify negotiates once to learn what the device is, allocates the queues
// and leaves the device reset.
func (d *Device) identify() error {
	err := d.meet()
	if err != nil && d.has(FeatMQ) {
		// The control queue stands behind all the pairs it says it has.
		d.opts.Log(fmt.Sprintf("%v; using one pair of queues", err))
		d.opts.Disable |= FeatMQ
		err = d.meet()
	}
	if err != nil {
		return err
	}
	d.probed = true
	d.inUse = len(d.pairs)
	d.dev.GrowTxQueues(len(d.pairs))
	for i, p := range d.pairs {
		p.napi = d.dev.AddNAPI(p, 0)
		p.tx.nq = d.dev.TxQueues[i]
	}
	d.dev.SetFeatures(netFeatures(d.feats))
	if !d.has(FeatNotfCoal) {
		d.coalesce = napi.Coalesce{RxFrames: 1, TxFrames: 1}
	}
	return d.t.Reset()
}

// meet negotiates and allocates the queues.
func (d *Device) meet() error {
	d.feats, d.most = 0, 1
	feats, err := virtio.Negotiate(d.t, d.choose)
	if err != nil {
		return err
	}
	d.feats, d.offloads = feats, offloads(feats)
	if err := d.readIdentity(); err != nil {
		return err
	}
	return d.allocQueues()
}

func (d *Device) allocQueues() error {
	base := virtio.QueueConfig{EventIdx: d.has(virtio.FeatEventIdx), Map: d.opts.Map}
	mk := func(i, limit, indirect int) (*virtio.Queue, error) {
		size, err := virtio.RingSize(d.t.QueueMax(i), limit)
		if err != nil {
			return nil, fmt.Errorf("%s: queue %d: %w", d.t.Name(), i, err)
		}
		c := base
		c.Index, c.Size = i, size
		if d.has(virtio.FeatIndirectDesc) {
			c.Indirect = indirect
		}
		return virtio.NewQueue(d.t, c)
	}
	d.pairs = nil
	for i := range d.wantPairs() {
		p := &pair{d: d, index: i}
		q, err := mk(queueRX(i), d.opts.RingSize, 0)
		if err != nil {
			return err
		}
		p.rx.init(q)
		if q, err = mk(queueTX(i), d.opts.RingSize, txMaxSegs); err != nil {
			return err
		}
		if err := p.tx.init(q, d.opts.Map); err != nil {
			return err
		}
		p.tx.bell = d.opts.Bells.Bell(q)
		d.pairs = append(d.pairs, p)
	}
	if !d.has(FeatCtrlVQ) {
		return nil
	}
	q, err := mk(queueCtrl(d.most), ctrlRingSize, 0)
	if err != nil {
		return err
	}
	return d.ctrl.init(q, d.opts.Map)
}

// NetDevice returns the interface.
func (d *Device) NetDevice() *napi.NetDevice { return d.dev }

// Features returns what was negotiated, as a mask.
func (d *Device) Features() uint64 { return d.feats }

// Stats returns a copy of the driver's counters.
func (d *Device) Stats() Stats {
	s := &d.stats
	return Stats{
		Broken: s.broken.Load(), Recovered: s.recovered.Load(), RxNoPage: s.rxNoPage.Load(),
		HeldPages: s.heldPages.Load(), CtrlCommands: s.ctrlCommands.Load(),
	}
}

// Remove closes and unregisters the interface; the device is left reset.
// Process context only.
func (d *Device) Remove() { d.dev.Net().UnregisterNetdev(d.dev) }

// errLost: memory of the device could not be taken back, so it is not given
// any more.
var errLost = errors.New("device did not confirm an earlier reset")

// Open implements [napi.Ops]: it starts the device.
func (d *Device) Open(dev *napi.NetDevice) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := dev.Net(); n != d.net {
		d.attach(n) // moved to another namespace meanwhile
	}
	d.recovery.attempts = 0
	if err := d.up(); err != nil {
		d.log("%v", err)
		return fmt.Errorf("%w: %w", syscall.EIO, err)
	}
	d.opened = true
	return nil
}

// Stop implements [napi.Ops]: it resets the device and takes every buffer
// back.
func (d *Device) Stop(*napi.NetDevice) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = false
	d.down()
	return nil
}

// up takes the device from reset to running: virtio 1.2, 3.1.1 and 5.1.5. The
// caller holds mu. On error the device is reset again.
func (d *Device) up() error {
	if d.lost {
		if err := d.t.Reset(); err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		d.reclaim()
	}
	err := d.start()
	if err != nil {
		d.down()
	}
	return err
}

func (d *Device) start() error {
	feats, err := virtio.Negotiate(d.t, d.choose)
	if err != nil {
		return err
	}
	if feats != d.feats {
		return fmt.Errorf("%s: %w: %#x, was %#x", d.t.Name(), errFeaturesChanged, feats, d.feats)
	}
	// Receive and transmit queues have interrupts; the control queue is polled.
	if err := d.t.SetHandler(d, d.queueCPUs()); err != nil {
		return err
	}
	for _, q := range d.queues() {
		i := q.Index()
		if max := d.t.QueueMax(i); max < q.Size() {
			return fmt.Errorf("%s: %w: queue %d shrank from %d to %d", d.t.Name(), virtio.ErrBadDevice, i, q.Size(), max)
		}
		q.Reset()
		if err := q.Enable(); err != nil {
			return err
		}
	}
	virtio.DriverOK(d.t)
	if err := d.restoreState(); err != nil {
		return err
	}
	for _, p := range d.pairs {
		p.refill()
	}
	if err := d.applyPairs(); err != nil {
		return err
	}
	d.running.Store(true)
	d.polling = true
	for _, p := range d.pairs {
		p.napi.SetCPU(p.index)
		p.napi.Enable()
		p.napi.Schedule() // the first poll turns callbacks on
		p.tx.nq.Wake()
	}
	return d.linkState()
}

// down takes a device, running or broken, to reset. The caller holds mu.
func (d *Device) down() {
	d.running.Store(false)
	for _, p := range d.pairs {
		if d.polling {
			p.napi.Disable()
		}
		p.rx.retry.Del()
		p.tx.watchdog.Del()
	}
	d.polling = false
	d.dev.CarrierOff()
	n := 0
	for _, p := range d.pairs {
		// A transmit that saw running still set is over when we have its lock.
		p.tx.mu.Lock()
		n += p.rx.q.Inflight() + p.tx.q.Inflight()
		p.tx.mu.Unlock()
		p.tx.bell.Drop()
	}
	if err := d.t.Reset(); err != nil {
		d.lost = true
		d.stats.heldPages.Store(uint64(n))
		d.log("%v: %d buffers stay out of use", err, n)
		return
	}
	d.reclaim()
}

// reclaim takes back every buffer. The device has confirmed its reset.
func (d *Device) reclaim() {
	d.lost = false
	d.stats.heldPages.Store(0)
	for _, p := range d.pairs {
		p.rx.reclaim()
		p.tx.reclaim()
	}
	if d.ctrl.q != nil {
		d.ctrl.q.Reset()
	}
}

func (d *Device) log(format string, args ...any) {
	d.opts.Log(fmt.Sprintf("virtio-net %s: ", d.dev.Name()) + fmt.Sprintf(format, args...))
}
