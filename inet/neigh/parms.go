package neigh

import (
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/napi"
	"barewire/napi/sysctl"
)

// Params are what a table starts with, with Linux's names and defaults
// (net.ipv4.neigh.default.*). Times are in nanoseconds.
type Params struct {
	BaseReachableTime int64 // base_reachable_time: 30 s
	RetransTime       int64 // retrans_time: 1 s
	DelayProbeTime    int64 // delay_first_probe_time: 5 s
	LockTime          int64 // locktime: 1 s
	GCStaleTime       int64 // gc_stale_time: 60 s
	GCInterval        int64 // gc_interval: 30 s
	ProxyDelay        int64 // proxy_delay: 800 ms
	AnycastDelay      int64 // anycast_delay: 1 s
	IntervalProbeTime int64 // interval_probe_time_ms: 5 s, of managed neighbours
	UcastProbes       int   // ucast_solicit: 3
	McastProbes       int   // mcast_solicit: 3
	AppProbes         int   // app_solicit: 0
	McastReprobes     int   // mcast_resolicit: 0
	ProxyQlen         int   // proxy_qlen: 64 delayed answers
	QueueBytes        int   // unres_qlen_bytes: 212992, for one neighbour
	TotalQueueBytes   int64 // for all neighbours together: 8 MiB
	GCThresh1         int   // 128
	GCThresh2         int   // 512
	GCThresh3         int   // 1024
}

// DefaultParams returns Linux's defaults.
func DefaultParams() Params {
	const s = int64(time.Second)
	return Params{
		BaseReachableTime: 30 * s, RetransTime: s, DelayProbeTime: 5 * s, LockTime: s,
		GCStaleTime: 60 * s, GCInterval: 30 * s, ProxyDelay: 8 * s / 10, AnycastDelay: s, IntervalProbeTime: 5 * s,
		UcastProbes: 3, McastProbes: 3, ProxyQlen: 64,
		QueueBytes: 212992, TotalQueueBytes: 8 << 20, GCThresh1: 128, GCThresh2: 512, GCThresh3: 1024,
	}
}

// Parms are the settings of one device, net.ipv4.neigh.NAME.* (Linux: struct
// neigh_parms). A new device starts with those of "default"; later changes of
// "default" are not for it. Times are in nanoseconds.
type Parms struct {
	BaseReachableTime atomic.Int64
	RetransTime       atomic.Int64
	DelayProbeTime    atomic.Int64
	LockTime          atomic.Int64 // answers within it of a change change nothing
	GCStaleTime       atomic.Int64
	ProxyDelay        atomic.Int64 // longest wait before a proxy answer
	AnycastDelay      atomic.Int64
	IntervalProbeTime atomic.Int64
	UcastProbes       atomic.Int32
	McastProbes       atomic.Int32
	AppProbes         atomic.Int32
	McastReprobes     atomic.Int32
	ProxyQlen         atomic.Int32 // proxy answers that may wait
	QueueBytes        atomic.Int32

	reach, reachBase atomic.Int64 // the reachable time drawn, 0 for none, and of which base

	name string // the settings are registered under; under the table's mu
}

func (p *Parms) set(c *Params) {
	p.BaseReachableTime.Store(c.BaseReachableTime)
	p.RetransTime.Store(c.RetransTime)
	p.DelayProbeTime.Store(c.DelayProbeTime)
	p.LockTime.Store(c.LockTime)
	p.GCStaleTime.Store(c.GCStaleTime)
	p.ProxyDelay.Store(c.ProxyDelay)
	p.AnycastDelay.Store(c.AnycastDelay)
	p.IntervalProbeTime.Store(c.IntervalProbeTime)
	p.UcastProbes.Store(int32(c.UcastProbes))
	p.McastProbes.Store(int32(c.McastProbes))
	p.AppProbes.Store(int32(c.AppProbes))
	p.McastReprobes.Store(int32(c.McastReprobes))
	p.ProxyQlen.Store(int32(c.ProxyQlen))
	p.QueueBytes.Store(int32(c.QueueBytes))
}

func (p *Parms) copyFrom(o *Parms) {
	for i, v := range o.times() {
		p.times()[i].Store(v.Load())
	}
	for i, v := range o.counts() {
		p.counts()[i].Store(v.Load())
	}
}

func (p *Parms) times() [8]*atomic.Int64 {
	return [...]*atomic.Int64{&p.BaseReachableTime, &p.RetransTime, &p.DelayProbeTime, &p.LockTime,
		&p.GCStaleTime, &p.ProxyDelay, &p.AnycastDelay, &p.IntervalProbeTime}
}

func (p *Parms) counts() [6]*atomic.Int32 {
	return [...]*atomic.Int32{&p.UcastProbes, &p.McastProbes, &p.AppProbes, &p.McastReprobes, &p.ProxyQlen, &p.QueueBytes}
}

// userHZ is the unit of settings that Linux keeps in clock ticks (USER_HZ).
const userHZ = 10 * time.Millisecond

// FrameTruesize is what Linux counts for a full Ethernet frame
// (SKB_TRUESIZE(ETH_FRAME_LEN)): unres_qlen counts in it.
const FrameTruesize = 2090

func (p *Parms) entries(name string) []sysctl.Entry {
	const most = 1<<31 - 1
	prefix := "net.ipv4.neigh." + name + "."
	qlen := sysctl.Entry{
		Name: prefix + "unres_qlen",
		Get:  func() string { return strconv.Itoa(int(p.QueueBytes.Load()) / FrameTruesize) },
		Set: func(s string) error {
			n, err := strconv.ParseInt(s, 0, 32)
			if err != nil || n < 0 || n > most/FrameTruesize {
				return syscall.EINVAL
			}
			p.QueueBytes.Store(int32(n) * FrameTruesize)
			return nil
		},
	}
	interval := sysctl.Duration(prefix+"interval_probe_time_ms", &p.IntervalProbeTime, time.Millisecond)
	set := interval.Set
	interval.Set = func(s string) error {
		if s == "0" {
			return syscall.EINVAL
		}
		return set(s)
	}
	return []sysctl.Entry{
		interval,
		sysctl.Duration(prefix+"base_reachable_time", &p.BaseReachableTime, time.Second),
		sysctl.Duration(prefix+"base_reachable_time_ms", &p.BaseReachableTime, time.Millisecond),
		sysctl.Duration(prefix+"retrans_time", &p.RetransTime, userHZ),
		sysctl.Duration(prefix+"retrans_time_ms", &p.RetransTime, time.Millisecond),
		sysctl.Duration(prefix+"delay_first_probe_time", &p.DelayProbeTime, time.Second),
		sysctl.Duration(prefix+"locktime", &p.LockTime, userHZ),
		sysctl.Duration(prefix+"gc_stale_time", &p.GCStaleTime, time.Second),
		sysctl.Duration(prefix+"proxy_delay", &p.ProxyDelay, userHZ),
		sysctl.Duration(prefix+"anycast_delay", &p.AnycastDelay, userHZ),
		sysctl.Int(prefix+"ucast_solicit", &p.UcastProbes, 0, most),
		sysctl.Int(prefix+"mcast_solicit", &p.McastProbes, 0, most),
		sysctl.Int(prefix+"app_solicit", &p.AppProbes, 0, most),
		sysctl.Int(prefix+"mcast_resolicit", &p.McastReprobes, 0, most),
		sysctl.Int(prefix+"proxy_qlen", &p.ProxyQlen, 0, most),
		sysctl.Int(prefix+"unres_qlen_bytes", &p.QueueBytes, 0, most),
		qlen,
	}
}

// registerDefault enters the settings of "default" and of the table itself.
func (t *Table) registerDefault() {
	const most = 1<<31 - 1
	const prefix = "net.ipv4.neigh.default."
	t.defaults.name = "default"
	t.register(&t.defaults)
	s := t.net.Sysctl()
	s.RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Duration(prefix+"gc_interval", &t.gcInterval, time.Second),
			sysctl.Int(prefix+"gc_thresh1", &t.thresh1, 0, most),
			sysctl.Int(prefix+"gc_thresh2", &t.thresh2, 0, most),
			sysctl.Int(prefix+"gc_thresh3", &t.thresh3, 0, most),
		}
	})
}

// register enters the settings of p by its name.
func (t *Table) register(p *Parms) {
	name := p.name
	t.net.Sysctl().RegisterFunc(func() []sysctl.Entry { return p.entries(name) })
}

// AddDevice gives dev its own settings (Linux: neigh_parms_alloc). Doing it
// twice changes nothing.
func (t *Table) AddDevice(dev *napi.NetDevice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.parms.Load()
	if old[dev] != nil {
		return
	}
	p := &Parms{}
	p.copyFrom(&t.defaults)
	m := make(map[*napi.NetDevice]*Parms, len(old)+1)
	for d, q := range old {
		m[d] = q
	}
	m[dev] = p
	t.parms.Store(&m)
	p.name = sysctlName(dev)
	t.register(p)
}

// RenameDevice moves the settings of dev to its new name.
func (t *Table) RenameDevice(dev *napi.NetDevice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := (*t.parms.Load())[dev]
	if p == nil {
		return
	}
	t.net.Sysctl().Unregister("net.ipv4.neigh." + p.name)
	p.name = sysctlName(dev)
	t.register(p)
}

// RemoveDevice forgets the settings, neighbours and proxy entries of dev
// (Linux: neigh_parms_release).
func (t *Table) RemoveDevice(dev *napi.NetDevice) {
	t.FlushDev(dev, true)
	t.flushProxies(dev)
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.parms.Load()
	if old[dev] == nil {
		return
	}
	m := make(map[*napi.NetDevice]*Parms, len(old))
	for d, q := range old {
		if d != dev {
			m[d] = q
		}
	}
	t.parms.Store(&m)
	t.net.Sysctl().Unregister("net.ipv4.neigh." + old[dev].name)
}

func sysctlName(dev *napi.NetDevice) string { return strings.ReplaceAll(dev.Name(), ".", "/") }

// Defaults returns the settings a new device starts with.
func (t *Table) Defaults() *Parms { return &t.defaults }

// Config is the settings and the state of a table, for listings (Linux: what
// neightbl_fill_info tells).
type Config struct {
	GCInterval                int64 // ns, as what follows
	LastFlush, LastRand       int64 // since then
	Thresh1, Thresh2, Thresh3 int
	Entries, HashMask         int
}

// Config returns the settings and the state.
func (t *Table) Config() Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	return Config{GCInterval: t.gcInterval.Load(), LastFlush: now - t.lastFlush, LastRand: now - t.lastRand,
		Thresh1: int(t.thresh1.Load()), Thresh2: int(t.thresh2.Load()), Thresh3: int(t.thresh3.Load()),
		Entries: t.entries, HashMask: len(t.hash.Load().buckets) - 1}
}

// TableChange is new settings of a table; negative ones stay as they are.
type TableChange struct {
	GCInterval                int64 // ns
	Thresh1, Thresh2, Thresh3 int
}

// Change changes the settings of the table (Linux: neightbl_set).
func (t *Table) Change(c *TableChange) {
	for v, n := range map[*atomic.Int32]int{&t.thresh1: c.Thresh1, &t.thresh2: c.Thresh2, &t.thresh3: c.Thresh3} {
		if n >= 0 {
			v.Store(int32(n))
		}
	}
	if c.GCInterval >= 0 {
		t.gcInterval.Store(c.GCInterval)
	}
}

// Parms returns the settings of a device, those of "default" while it has none
// of its own.
func (t *Table) Parms(dev *napi.NetDevice) *Parms {
	if p := (*t.parms.Load())[dev]; p != nil {
		return p
	}
	return &t.defaults
}
