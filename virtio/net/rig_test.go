package net_test

import (
	"bytes"
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
	"barewire/virtio/device"
	vnet "barewire/virtio/net"
)

// clock is virtual time: it stands still until a test moves it.
type clock struct {
	mu    sync.Mutex
	now   int64
	armed []*alarm
}

type alarm struct {
	c  *clock
	at int64
	f  func()
}

func (a *alarm) Stop() bool {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	for i, o := range a.c.armed {
		if o == a {
			a.c.armed = append(a.c.armed[:i], a.c.armed[i+1:]...)
			return true
		}
	}
	return false
}

func (c *clock) Now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) AfterFunc(d time.Duration, f func()) napi.Alarm {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{c, c.now + int64(d), f}
	c.armed = append(c.armed, a)
	return a
}

// advance moves time and calls what is due, in order, without a lock.
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	end := c.now + int64(d)
	for {
		sort.SliceStable(c.armed, func(i, j int) bool { return c.armed[i].at < c.armed[j].at })
		if len(c.armed) == 0 || c.armed[0].at > end {
			break
		}
		a := c.armed[0]
		c.armed = c.armed[1:]
		c.now = max(c.now, a.at)
		c.mu.Unlock()
		a.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// rig is a stack with a driver on a device model.
type rig struct {
	t     testing.TB
	mem   *device.Memory
	dev   *device.Net
	stack *napi.Net
	clock *clock
	drv   *vnet.Device
	nd    *napi.NetDevice
	log   []string
	trans virtio.Transport
	// barrier runs where the platform's barrier does.
	barrier func()
	// lax tests expect violations or held pages and look for themselves.
	lax bool
}

// testType is the ethertype of the tests' frames (IEEE 802, local experimental).
const testType = 0x88b5

// newStack makes the stack and the device, without a driver.
func newStack(t testing.TB, cfg device.Config) *rig { return newStackOn(t, cfg, 1) }

// newStackOn is newStack on a machine with several processors.
func newStackOn(t testing.TB, cfg device.Config, cpus int) *rig {
	t.Helper()
	r := &rig{t: t, mem: device.NewMemory(), clock: &clock{now: int64(time.Hour)}}
	var err error
	r.stack, err = napi.New(napi.Config{
		Clock: r.clock,
		CPUs:  cpus,
		Rand:  func(b []byte) { copy(b, "\x5a\x5a\x5a\x5a\x5a\x5a") },
		Pages: skb.PageConfig{Map: r.mem.Map, MaxPages: 4096},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.dev = device.New(r.mem, cfg)
	r.dev.Hostile().Sleep = func(time.Duration) {}
	t.Cleanup(r.check)
	return r
}

// transport puts the device on a bus: "mmio", "pci" (MSI-X), "pci-shared" (two
// entries) or "pci-intx".
func (r *rig) transport(kind string) virtio.Transport {
	r.t.Helper()
	var err error
	vectors := map[string]int{"pci": 4, "pci-many": 17, "pci-pairs": 5, "pci-shared": 2, "pci-intx": 0}
	if kind == "mmio" {
		cfg := device.NewMMIO(r.dev).Config()
		cfg.Barrier = func() {
			if r.barrier != nil {
				r.barrier()
			}
		}
		r.trans, err = virtio.NewMMIO(cfg)
	} else {
		r.trans, err = virtio.NewPCI(device.NewPCI(r.dev, vectors[kind]).Config())
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return r.trans
}

func (r *rig) options() vnet.Options {
	return vnet.Options{Map: r.mem.Map, Log: func(s string) { r.log = append(r.log, s) }}
}

// probe attaches the driver.
func (r *rig) probe(kind string, o vnet.Options) {
	r.t.Helper()
	var err error
	if r.drv, err = vnet.Probe(r.transport(kind), r.stack, o); err != nil {
		r.t.Fatal(err)
	}
	r.nd = r.drv.NetDevice()
}

func (r *rig) open() {
	r.t.Helper()
	if err := r.nd.Open(); err != nil {
		r.t.Fatalf("open: %v", err)
	}
	r.softirq()
}

// newRig is a stack with an open interface.
func newRig(t testing.TB, cfg device.Config, kind string) *rig {
	t.Helper()
	r := newStack(t, cfg)
	r.probe(kind, r.options())
	r.open()
	return r
}

// softirq runs softirqs until nothing is pending.
func (r *rig) softirq() {
	for range 40 {
		for cpu := range r.stack.CPUs() {
			r.stack.SoftNetOf(cpu).DoSoftirq()
		}
	}
}

// settle lets time pass, softirqs run, and everything that follows happen.
func (r *rig) settle(d time.Duration) {
	for range 4 {
		r.softirq()
		r.clock.advance(d / 4)
	}
	r.softirq()
}

// check ends every test: nothing leaked, the driver kept the rules.
func (r *rig) check() {
	r.t.Helper()
	if r.drv != nil {
		r.drv.Remove()
	}
	r.softirq()
	if r.lax {
		return
	}
	if n := r.stack.SKB().InUse(); n != 0 {
		r.t.Errorf("%d skbs leaked", n)
	}
	if n := r.stack.SKB().Pool().InUse(); n != 0 {
		r.t.Errorf("%d pages leaked", n)
	}
	for _, v := range r.dev.Violations() {
		r.t.Errorf("driver broke a rule: %s", v)
	}
}

// frame makes a frame of n bytes for the device's address with a pattern.
func (r *rig) frame(n int, seed byte) []byte {
	f := make([]byte, n)
	mac := r.nd.HardwareAddr()
	copy(f, mac[:])
	copy(f[6:], "\x02\x00\x00\x00\x00\x01")
	f[12], f[13] = testType>>8, testType&0xff
	for i := 14; i < n; i++ {
		f[i] = byte(i)*7 ^ byte(i>>8) ^ seed
	}
	return f
}

// receive registers a handler that keeps the frames the stack gets.
func (r *rig) receive() *[][]byte {
	var got [][]byte
	r.stack.AddPack(testType, nil, func(b *skb.Buff, dev *napi.NetDevice) {
		f := make([]byte, 14+b.Len())
		copy(f, b.MacHeader()[:14])
		b.CopyBits(0, f[14:])
		got = append(got, f)
		b.Consume()
	})
	return &got
}

// send transmits a frame through the stack; frags beyond head bytes.
func (r *rig) send(f []byte, head int) error {
	b := r.buff(f, head)
	if b == nil {
		return fmt.Errorf("no memory")
	}
	return r.stack.DevQueueXmit(b)
}

func (r *rig) buff(f []byte, head int) *skb.Buff {
	head = min(head, len(f))
	b := r.stack.SKB().Alloc(head + 128)
	if b == nil {
		return nil
	}
	b.Reserve(64)
	b.PutData(f[:head])
	for rest := f[head:]; len(rest) > 0; {
		p := r.stack.SKB().Pool().Alloc()
		if p == nil {
			b.Free(skb.NoMem)
			return nil
		}
		n := copy(p.Bytes(), rest)
		rest = rest[n:]
		b.AddFrag(p, 0, n, len(p.Bytes()))
	}
	b.Dev = r.nd
	return b
}

// capture returns a Transmit function that keeps frames, and where.
func capture() (func(h device.Hdr, f []byte), *[][]byte, *[]device.Hdr) {
	var frames [][]byte
	var hdrs []device.Hdr
	return func(h device.Hdr, f []byte) {
		frames = append(frames, bytes.Clone(f))
		hdrs = append(hdrs, h)
	}, &frames, &hdrs
}
