package nf

import (
	"math"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/napi"
	"barewire/napi/sysctl"
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/nflog"
	"barewire/skb"
	"barewire/skb/header"
)

// tracking is the hooks of connection tracking, which are there while somebody
// needs them.
type tracking struct {
	users netfilter.Users
	gc    napi.Timer

	// now is the time for all packets of a poll, 0 outside: reading the clock
	// for each would cost a fifth of tracking it. Polls of several processors
	// share it; whichever of them began last has set it.
	now     atomic.Int64
	polling atomic.Int32 // polls under way that track
	polls   []trackPoll  // by processor, skb.Buff.CPU
}

type trackPoll struct {
	napi.PollEnd
	_ [64]byte // the next is another processor's
}

// Bounds of nf_conntrack_max by default. A connection costs about 400 bytes with
// its places in the hash; all of them may take about an eighth of what packets
// may.
const (
	minConns     = 4096
	bytesPerConn = 8 * 400
)

func (f *NF) newConntrack() {
	dev := f.IP.Dev
	pool := dev.SKB().Pool()
	most := int64(pool.MaxPages()) * int64(pool.PageSize()) / bytesPerConn
	size := minConns
	for int64(size)*2 <= min(most, conntrack.DefaultMax) {
		size *= 2
	}
	f.Conntrack = conntrack.NewTable(conntrack.Config{
		Now:        f.trackNow,
		WallNow:    func() int64 { return napi.WallNow(dev.Clock()) },
		Rand:       dev.Rand,
		Logf:       dev.Logf,
		LogInvalid: f.logInvalid,
		Max:        size,
	})
	f.track.polls = make([]trackPoll, dev.CPUs())
	for i := range f.track.polls {
		f.track.polls[i].Init(f.track.endPoll)
	}
	f.track.gc.Init(dev.Timers(), func(*napi.Timer) { f.runGC() })
	dev.Sysctl().RegisterFunc(f.conntrackSettings)
	dev.Proc().Register("nf_conntrack", f.Conntrack.Proc)
	dev.Proc().Register("nf_conntrack_expect", f.Conntrack.ProcExpect)
	dev.Proc().Register("stat/nf_conntrack", f.Conntrack.ProcStat)
	f.onClose(func() {
		f.track.users.Close()
		f.track.gc.Del()
		f.Conntrack.Flush(nil)
	})
}

// UseConntrack has connections tracked until done is called (Linux:
// nf_ct_netns_get, nf_ct_netns_put). Every rule that asks for a state, the NAT
// and the command conntrack use it.
func (f *NF) UseConntrack() (done func()) {
	return f.track.users.Use(func() []func() {
		h, ct := &f.IP.Hooks, f.Conntrack
		f.track.gc.Mod(f.IP.Dev.Clock().Now() + int64(conntrack.GCInterval))
		return []func(){
			f.UseDefrag(),
			h.Register(netfilter.PreRouting, netfilter.PriConntrack, f.trackIn),
			h.Register(netfilter.LocalOut, netfilter.PriConntrack, ct.In),
			h.Register(netfilter.PostRouting, netfilter.PriConfirm, ct.Confirm),
			h.Register(netfilter.LocalIn, netfilter.PriConfirm, ct.Confirm),
		}
	})
}

// UseDefrag has fragments put together before anything else looks at them, until
// done is called (Linux: nf_defrag_ipv4_enable, nf_defrag_ipv4_disable).
func (f *NF) UseDefrag() (done func()) {
	return f.whole.Use(func() []func() {
		h := &f.IP.Hooks
		return []func(){
			h.Register(netfilter.PreRouting, netfilter.PriConntrackDefrag, f.defrag),
			h.Register(netfilter.LocalOut, netfilter.PriConntrackDefrag, f.defrag),
		}
	})
}

// trackIn is the tracking of a packet that came in: in softirq context.
func (f *NF) trackIn(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	t := &f.track
	if p := &t.polls[b.CPU]; !p.Queued() {
		t.polling.Add(1)
		t.now.Store(f.IP.Dev.Clock().Now())
		f.IP.Dev.SoftNetOf(int(b.CPU)).AtPollEnd(&p.PollEnd)
	}
	return f.Conntrack.In(b, s)
}

// endPoll forgets the time when the last poll ends. One that begins meanwhile
// reads the clock more often than it need.
func (t *tracking) endPoll() {
	if t.polling.Add(-1) == 0 {
		t.now.Store(0)
	}
}

// trackNow is the table's clock.
func (f *NF) trackNow() int64 {
	if now := f.track.now.Load(); now != 0 {
		return now
	}
	return f.IP.Dev.Clock().Now()
}

// runGC is called by the timer while there is something to clean. Without a user
// what is left runs out.
func (f *NF) runGC() {
	f.Conntrack.GC()
	f.Flow.GC()
	wait := conntrack.GCInterval
	if f.Conntrack.Count() == 0 {
		wait = conntrack.GCIdle
	}
	f.track.users.Do(func(inUse bool) {
		if inUse || wait == conntrack.GCInterval {
			f.track.gc.Mod(f.IP.Dev.Clock().Now() + int64(wait))
		}
	})
}

// defrag puts the fragments of a datagram together before it is tracked (Linux:
// ipv4_conntrack_defrag).
func (f *NF) defrag(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	h, ok := header.ParseIPv4(b.Data())
	if !ok || !h.IsFragment() {
		return netfilter.Accept
	}
	// What came over loopback was seen whole, or is not to be looked at.
	if c, info := conntrack.Get(b); c != nil && !c.IsTemplate() || info == conntrack.Untracked {
		return netfilter.Accept
	}
	whole := f.IP.Defrag(b)
	if whole == nil {
		return netfilter.Stolen
	}
	// It may be cut again where it was cut before.
	whole.IgnoreDF = true
	if whole == b {
		return netfilter.Accept
	}
	f.IP.Hooks.Reinject(whole, *s, netfilter.After(netfilter.PriConntrackDefrag), netfilter.Accept)
	return netfilter.Stolen
}

// logInvalid writes what nf_conntrack_log_invalid asks for (Linux:
// nf_l4proto_log_invalid).
func (f *NF) logInvalid(b *skb.Buff, proto uint8, why string) {
	prefix := "nf_ct_proto_" + strconv.Itoa(int(proto)) + ": " + why + " "
	f.IP.Dev.Logf("%s", nflog.Append(nil, b, netfilter.State{}, prefix, nflog.Default))
}

// conntrackSettings are net.netfilter.nf_conntrack_* (Linux:
// nf_conntrack_standalone.c).
func (f *NF) conntrackSettings() []sysctl.Entry {
	const p = "net.netfilter.nf_conntrack_"
	c := &f.Conntrack.Conf
	buckets := sysctl.Int(p+"buckets", &c.Buckets, 1, math.MaxInt32)
	buckets.Set = func(v string) error {
		n, err := sysctl.Ints(v, 1)
		if err != nil || n[0] < 1 || n[0] > 1<<26 {
			return syscall.EINVAL
		}
		f.Conntrack.Resize(int(n[0]))
		return nil
	}
	l := []sysctl.Entry{
		buckets,
		sysctl.Const(p+"count", func() string { return strconv.Itoa(f.Conntrack.Count()) }),
		sysctl.Int(p+"max", &c.Max, 0, math.MaxInt32),
		sysctl.Int("net.nf_conntrack_max", &c.Max, 0, math.MaxInt32),
		sysctl.Int(p+"expect_max", &c.ExpectMax, 1, math.MaxInt32),
		sysctl.Int(p+"checksum", &c.Checksum, 0, 1),
		sysctl.Int(p+"log_invalid", &c.LogInvalid, 0, 255),
		sysctl.Int(p+"acct", &c.Acct, 0, 1),
		sysctl.Int(p+"timestamp", &c.Timestamp, 0, 1),
		sysctl.Int(p+"events", &c.Events, 0, 2),
		sysctl.Int(p+"tcp_be_liberal", &c.TCPLiberal, 0, 1),
		sysctl.Int(p+"tcp_loose", &c.TCPLoose, 0, 1),
		sysctl.Int(p+"tcp_ignore_invalid_rst", &c.TCPIgnRST, 0, 1),
		sysctl.Int(p+"tcp_max_retrans", &c.TCPRetrans, 0, 255),
		sysctl.Duration(p+"udp_timeout", &c.UDPTimeout, time.Second),
		sysctl.Duration(p+"udp_timeout_stream", &c.UDPStream, time.Second),
		sysctl.Duration(p+"icmp_timeout", &c.ICMPTimeout, time.Second),
		sysctl.Duration(p+"generic_timeout", &c.GenericTimeout, time.Second),
		sysctl.Duration(p+"gre_timeout", &c.GRETimeout, time.Second),
		sysctl.Duration(p+"gre_timeout_stream", &c.GREStream, time.Second),
	}
	for i, name := range conntrack.SCTPTimeoutNames {
		if name != "" {
			l = append(l, sysctl.Duration(p+"sctp_timeout_"+name, &c.SCTPTimeout[i], time.Second))
		}
	}
	for i, name := range conntrack.TCPTimeoutNames {
		if name != "" {
			l = append(l, sysctl.Duration(p+"tcp_timeout_"+name, &c.TCPTimeout[i], time.Second))
		}
	}
	return l
}
