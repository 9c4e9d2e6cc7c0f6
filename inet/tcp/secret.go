package tcp

import (
	"barewire/napi"
	"barewire/skb/header"
	"barewire/skb/siphash"
)

// secrets are the keys of one stack (Linux: net/core/secure_seq.c).
type secrets struct {
	isn, ts, port, hash sipKey
	cookie              [2]sipKey
}

func (s *secrets) init(n *napi.Net) {
	for _, k := range []*sipKey{&s.isn, &s.ts, &s.port, &s.hash, &s.cookie[0], &s.cookie[1]} {
		*k = sipKey(siphash.NewKey(n.Rand))
	}
}

// sipKey is a key of SipHash-2-4.
type sipKey siphash.Key

func (k *sipKey) sum2(a, b uint64) uint64   { return (*siphash.Key)(k).Sum2(a, b) }
func (k *sipKey) quick2(a, b uint64) uint64 { return (*siphash.Key)(k).Quick2(a, b) }
func (k *sipKey) sum(words []uint64) uint64 { return (*siphash.Key)(k).Sum(words) }

// tuple is the addresses and ports of a connection, seen from this host.
type tuple struct {
	laddr, raddr header.Addr
	lport, rport uint16
}

func (t *tuple) words() (a, b uint64) {
	return uint64(t.laddr)<<32 | uint64(t.raddr), uint64(t.lport)<<16 | uint64(t.rport)
}

// initSeq chooses the initial sequence number of a connection (RFC 6528): a
// clock that ticks every 64 ns, displaced by a keyed hash of the connection. now
// is the time in ns.
func (t *TCP) initSeq(k *tuple, now int64) uint32 {
	return uint32(t.secr.isn.sum2(k.words())) + uint32(now>>6)
}

// tsOffset displaces the timestamps of a connection, so that they tell nothing
// about the host (Linux: secure_tcp_ts_off): the same for all connections to a
// peer, which PAWS over TIME_WAIT depends on. tcp_timestamps=2 turns it off.
func (t *TCP) tsOffset(k *tuple) uint32 {
	if t.conf.timestamps.Load() != 1 {
		return 0
	}
	a, _ := k.words()
	return uint32(t.secr.ts.sum2(a, 0))
}
