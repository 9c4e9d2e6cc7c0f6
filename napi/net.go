package napi

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi/proc"
	"barewire/napi/sysctl"
	"barewire/skb"
	"barewire/skb/siphash"
)

// Config is what a stack is made of. The zero value is usable.
type Config struct {
	Clock Clock          // nil means SystemClock
	Rand  func(b []byte) // fills b with unpredictable bytes; nil means crypto/rand
	Log   func(s string) // one kernel log line, without newline; nil discards

	Pool  *skb.PagePool  // ready page pool; nil makes one from Pages
	Pages skb.PageConfig // used when Pool is nil

	// CPUs is how many processors run softirqs at the same time, each those of
	// its own SoftNet; 0 means 1, and MaxCPUs is the most.
	CPUs int
	// CPU tells which of them the caller runs on, from 0. It is a hint: a
	// goroutine may go on elsewhere right after. Nil means 0 always.
	CPU func() int

	// MaxBacklog is net.core.netdev_max_backlog; 0 means 1000.
	MaxBacklog int
}

// Net is the device layer of one stack (the part of Linux's struct net that
// belongs to net/core): devices, protocol taps, softirq, timers, memory and
// the sources of time and randomness. All methods are safe for concurrent use.
type Net struct {
	clock  Clock
	rand   func([]byte)
	log    func(string)
	cache  *skb.Cache
	soft   *SoftNet   // that of the first processor
	softs  []*SoftNet // of each
	cpuNow func() int
	conf   softConf

	flowKey   siphash.Key // of the hash of flows
	sockFlows atomic.Pointer[sockFlows]

	timers *Timers
	sysctl sysctl.Table
	proc   proc.Table

	segment, segmentUDP Segmenter // before packets flow

	udpGRO atomic.Pointer[UDPWantsGRO]

	devs   atomic.Pointer[devTable]
	napis  napiTable
	ptypes atomic.Pointer[ptypeTable]

	// rtnl serialises configuration: registration, open and close, MTU. As in
	// Linux it is held across the driver's Open and Stop and the notifier
	// chain, and never taken on a packet's way.
	rtnl      sync.Mutex
	ifindex   int32 // last one given out
	notifiers []*notifier
}

// devTable is an immutable snapshot of the registered devices.
type devTable struct {
	list    []*NetDevice // by ifindex
	byName  map[string]*NetDevice
	byIndex map[int32]*NetDevice
}

// MaxCPUs bounds [Config.CPUs].
const MaxCPUs = 128

// New makes the device layer of a stack. Nothing runs until the caller starts
// [SoftNet.Run] of each SoftNet on a goroutine or calls [SoftNet.DoSoftirq].
// EINVAL for figures out of bounds.
func New(cfg Config) (*Net, error) {
	if cfg.Clock == nil {
		cfg.Clock = SystemClock()
	}
	if cfg.Rand == nil {
		cfg.Rand = func(b []byte) { rand.Read(b) } // never fails (crypto/rand)
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	if cfg.Pool == nil {
		pool, err := skb.NewPagePool(cfg.Pages)
		if err != nil {
			return nil, err
		}
		cfg.Pool = pool
	}
	if cfg.MaxBacklog == 0 {
		cfg.MaxBacklog = DefaultMaxBacklog
	}
	if cfg.MaxBacklog < 0 {
		return nil, fmt.Errorf("napi: backlog limit of %d packets: %w", cfg.MaxBacklog, syscall.EINVAL)
	}
	cfg.CPUs = max(cfg.CPUs, 1)
	if cfg.CPUs > MaxCPUs {
		return nil, fmt.Errorf("napi: %d processors, at most %d: %w", cfg.CPUs, MaxCPUs, syscall.EINVAL)
	}
	n := &Net{clock: cfg.Clock, rand: cfg.Rand, log: cfg.Log, cache: skb.NewCache(cfg.Pool), cpuNow: cfg.CPU}
	n.conf.setDefaults(cfg.MaxBacklog)
	n.cache.PerCPU(cfg.CPUs, cfg.CPU)
	n.devs.Store(&devTable{})
	n.ptypes.Store(&ptypeTable{})
	for cpu := range cfg.CPUs {
		n.softs = append(n.softs, newSoftNet(n, cpu))
	}
	n.soft = n.softs[0]
	n.timers = newTimers(n.clock, func() { n.soft.raise(softirqTimer) })
	if cfg.CPUs > 1 { // one alone steers nothing
		n.flowKey = siphash.NewKey(n.rand)
	}
	n.registerSettings()
	n.rpsSettings()
	n.registerFiles()
	return n, nil
}

// Clock returns the stack's time source.
func (n *Net) Clock() Clock { return n.clock }

// Timers returns the stack's timer wheel.
func (n *Net) Timers() *Timers { return n.timers }

// SKB returns the stack's packet memory.
func (n *Net) SKB() *skb.Cache { return n.cache }

// Sysctl returns the namespace's settings, where each room enters its own.
func (n *Net) Sysctl() *sysctl.Table { return &n.sysctl }

// Proc returns the namespace's files of /proc/net, where each room enters its
// own.
func (n *Net) Proc() *proc.Table { return &n.proc }

// Rand fills b with unpredictable bytes (Linux: get_random_bytes).
func (n *Net) Rand(b []byte) { n.rand(b) }

// Logf writes one kernel log line.
func (n *Net) Logf(format string, args ...any) { n.log(fmt.Sprintf(format, args...)) }

// SoftNet returns the softirq state of the first processor (Linux:
// softnet_data).
func (n *Net) SoftNet() *SoftNet { return n.soft }

// CPUs returns how many processors run softirqs.
func (n *Net) CPUs() int { return len(n.softs) }

// SoftNetOf returns the softirq state of a processor, from 0.
func (n *Net) SoftNetOf(cpu int) *SoftNet { return n.softs[cpu] }

// ThisSoftNet returns the softirq state of the processor that the caller seems to
// run on (Linux: this_cpu_ptr(&softnet_data)). A hint: whatever is the softirqs'
// alone is found by the packet's CPU instead.
func (n *Net) ThisSoftNet() *SoftNet {
	if len(n.softs) == 1 || n.cpuNow == nil {
		return n.soft
	}
	return n.softs[uint(n.cpuNow())%uint(len(n.softs))]
}

// softOf returns whose softirq b is in as far as one can tell: that which
// received it, or that of the sender's processor.
func (n *Net) softOf(b *skb.Buff) *SoftNet {
	if len(n.softs) == 1 {
		return n.soft
	}
	if c := int(b.CPU); c != 0 && c < len(n.softs) {
		return n.softs[c]
	}
	return n.ThisSoftNet()
}

// Synchronize returns when every softirq round that was running on any processor
// when it was called has ended (Linux: synchronize_net); see
// [SoftNet.Synchronize]. Process context only.
func (n *Net) Synchronize() {
	for _, s := range n.softs {
		s.Synchronize()
	}
}

// BHDisable is [SoftNet.BHDisable] of the processor the caller runs on. It
// returns whose section it is, for BHEnable to end it.
func (n *Net) BHDisable() *SoftNet {
	s := n.ThisSoftNet()
	s.BHDisable()
	return s
}

// Devs returns the registered devices by ascending ifindex. The slice is
// shared and must not be changed.
func (n *Net) Devs() []*NetDevice { return n.devs.Load().list }

// DevByName returns the registered device of that name, nil if there is none
// (Linux: dev_get_by_name).
func (n *Net) DevByName(name string) *NetDevice { return n.devs.Load().byName[name] }

// DevByIndex returns the registered device with that ifindex, nil if there is
// none (Linux: dev_get_by_index).
func (n *Net) DevByIndex(index int32) *NetDevice { return n.devs.Load().byIndex[index] }

// RegisterNetdev makes dev known under a name and an ifindex (Linux:
// register_netdev). A name with %d gets the lowest free number. The device is
// down. Errors: EINVAL for a bad name or a device already registered, EEXIST
// for a taken name.
func (n *Net) RegisterNetdev(dev *NetDevice) error {
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	if err := n.register(dev); err != nil {
		return err
	}
	n.notify(EventRegister, dev)
	return nil
}

// register enters dev; an index that it has already is a wish.
func (n *Net) register(dev *NetDevice) error {
	if dev.net.Load() != nil {
		return fmt.Errorf("napi: %s is registered already: %w", dev.Name(), syscall.EINVAL)
	}
	name, err := n.freeName(dev.Name())
	if err != nil {
		return err
	}
	want := dev.Ifindex()
	if want < 0 || want > MaxWishIndex {
		dev.ifindex.Store(0)
		return fmt.Errorf("napi: index %d of %s: %w", want, name, syscall.EINVAL)
	}
	if want != 0 && n.devs.Load().byIndex[want] != nil {
		return fmt.Errorf("napi: index %d of %s: %w", want, name, syscall.EBUSY)
	}
	if name != dev.Name() {
		dev.nameAssign.Store(nameEnum)
	}
	dev.name.Store(&name)
	n.enlist(dev, want)
	return nil
}

// MaxWishIndex is the greatest index that a program can ask for: tables of
// devices are as long as the greatest index there is.
const MaxWishIndex = 1 << 16

// enlist enters dev, whose name is free, under an ifindex: the one asked for if
// it is free, or a new one.
func (n *Net) enlist(dev *NetDevice, index int32) {
	old := n.devs.Load()
	for index <= 0 || old.byIndex[index] != nil {
		n.ifindex++
		index = n.ifindex
	}
	dev.ifindex.Store(index)
	dev.net.Store(n)
	dev.registered.Store(true)
	list := append(old.list[:len(old.list):len(old.list)], dev)
	slices.SortFunc(list, func(a, b *NetDevice) int { return int(a.Ifindex() - b.Ifindex()) })
	n.devs.Store(newDevTable(list))
}

// UnregisterNetdev closes dev and forgets it (Linux: unregister_netdev). On
// return no handler runs for a packet of this device any more. A device is
// registered once in its life. Process context only.
func (n *Net) UnregisterNetdev(dev *NetDevice) {
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	if dev.here(n) {
		n.delist(dev)
	}
}

// delist is UnregisterNetdev; the caller holds rtnl.
func (n *Net) delist(dev *NetDevice) {
	n.close(dev)
	old := n.devs.Load()
	list := make([]*NetDevice, 0, len(old.list))
	for _, d := range old.list {
		if d != dev {
			list = append(list, d)
		}
	}
	n.devs.Store(newDevTable(list))
	dev.registered.Store(false)
	n.Synchronize()
	n.notify(EventUnregister, dev)
	dev.rx.flush()
}

// freeName checks a name for a new device; one that ends in %d gets the lowest
// free number (Linux: dev_get_valid_name). EINVAL, EEXIST.
func (n *Net) freeName(name string) (string, error) {
	old := n.devs.Load()
	if base, ok := strings.CutSuffix(name, "%d"); ok {
		for i := 0; ; i++ {
			if name = fmt.Sprintf("%s%d", base, i); old.byName[name] == nil {
				break
			}
		}
	}
	if !validDevName(name) {
		return "", fmt.Errorf("napi: device name %q: %w", name, syscall.EINVAL)
	}
	if old.byName[name] != nil {
		return "", fmt.Errorf("napi: device name %q: %w", name, syscall.EEXIST)
	}
	return name, nil
}

func newDevTable(list []*NetDevice) *devTable {
	t := &devTable{
		list:    list,
		byName:  make(map[string]*NetDevice, len(list)),
		byIndex: make(map[int32]*NetDevice, len(list)),
	}
	for _, d := range list {
		t.byName[d.Name()] = d
		t.byIndex[d.Ifindex()] = d
		for _, s := range d.AltNames() {
			t.byName[s] = d
		}
	}
	return t
}

// validDevName follows Linux's dev_valid_name: at most 15 bytes, no slash,
// colon or space, not a path component of its own.
func validDevName(s string) bool {
	return s != "" && len(s) < 16 && s != "." && s != ".." && !strings.ContainsAny(s, "/: \t\n\r\v\f%")
}
