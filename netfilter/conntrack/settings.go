package conntrack

import (
	"sync/atomic"
	"time"
)

// Settings are net.netfilter.nf_conntrack_* (Linux: nf_conntrack_standalone.c,
// struct nf_ip_net), with Linux's defaults. Times are in nanoseconds.
type Settings struct {
	Max        atomic.Int32 // nf_conntrack_max; 0 means no limit
	Buckets    atomic.Int32 // nf_conntrack_buckets; changed by Table.Resize
	ExpectMax  atomic.Int32 // nf_conntrack_expect_max
	Checksum   atomic.Int32 // look at checksums in PREROUTING
	LogInvalid atomic.Int32 // protocol number whose refusals are logged, 255 for all, 0 for none
	Acct       atomic.Int32
	Timestamp  atomic.Int32
	Events     atomic.Int32 // 0 no events, 1 all, 2 those somebody listens to

	TCPTimeout [tcpStateMax]atomic.Int64 // by state; see TCPTimeoutNames
	TCPLiberal atomic.Int32              // windows are not checked
	TCPLoose   atomic.Int32              // connections may be picked up in the middle
	TCPRetrans atomic.Int32              // retransmissions without an answer until the time is cut
	TCPIgnRST  atomic.Int32              // resets outside the window are let through untracked

	UDPTimeout, UDPStream atomic.Int64
	ICMPTimeout           atomic.Int64
	GenericTimeout        atomic.Int64
	GRETimeout, GREStream atomic.Int64
	SCTPTimeout           [sctpStateMax]atomic.Int64 // by state; see SCTPTimeoutNames
}

func (s *Settings) setDefaults(max, buckets int) {
	s.Max.Store(int32(max))
	s.Buckets.Store(int32(buckets))
	s.ExpectMax.Store(int32(min(4096, 4*((buckets+255)/256))))
	s.Checksum.Store(1)
	s.Events.Store(2)
	for i, sec := range tcpTimeouts {
		s.TCPTimeout[i].Store(int64(sec) * int64(time.Second))
	}
	for i, sec := range sctpTimeouts {
		s.SCTPTimeout[i].Store(int64(sec) * int64(time.Second))
	}
	s.TCPLoose.Store(1)
	s.TCPRetrans.Store(3)
	for _, d := range []struct {
		v   *atomic.Int64
		sec int64
	}{
		{&s.UDPTimeout, 30}, {&s.UDPStream, 120}, {&s.ICMPTimeout, 30},
		{&s.GenericTimeout, 600}, {&s.GRETimeout, 30}, {&s.GREStream, 180},
	} {
		d.v.Store(d.sec * int64(time.Second))
	}
}

// Stats are the counters of /proc/net/stat/nf_conntrack (Linux: struct
// ip_conntrack_stat).
type Stats struct {
	Found         atomic.Uint64 // translated tuples that another connection had
	Invalid       atomic.Uint64
	Insert        atomic.Uint64 // by configuration, or after a clash
	InsertFailed  atomic.Uint64
	ClashResolve  atomic.Uint64
	Drop          atomic.Uint64
	EarlyDrop     atomic.Uint64
	ICMPError     atomic.Uint64
	ExpectNew     atomic.Uint64 // fulfilled
	ExpectCreate  atomic.Uint64
	ExpectDelete  atomic.Uint64
	SearchRestart atomic.Uint64
	ChainTooLong  atomic.Uint64
	TableFull     atomic.Uint64 // among Drop: not shown by Linux
}

// ratelimit lets a burst of messages through in an interval (Linux:
// net_ratelimit: 10 in 5 s).
type ratelimit struct {
	begin atomic.Int64
	n     atomic.Int32
}

func (r *ratelimit) allow(now int64) bool {
	const interval, burst = int64(5 * time.Second), 10
	if b := r.begin.Load(); b == 0 || now-b > interval {
		if r.begin.CompareAndSwap(b, now) {
			r.n.Store(0)
		}
	}
	return r.n.Add(1) <= burst
}
