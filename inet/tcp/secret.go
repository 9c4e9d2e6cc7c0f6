package tcp

import (
	"encoding/binary"
	"math/bits"

	"barewire/napi"
	"barewire/skb/header"
)

// secrets are the keys of one stack (Linux: net/core/secure_seq.c).
type secrets struct {
	isn, ts, port, hash sipKey
	cookie              [2]sipKey
}

func (s *secrets) init(n *napi.Net) {
	for _, k := range []*sipKey{&s.isn, &s.ts, &s.port, &s.hash, &s.cookie[0], &s.cookie[1]} {
		var b [16]byte
		n.Rand(b[:])
		k[0], k[1] = binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	}
}

// sipKey is a key of SipHash-2-4 (Aumasson and Bernstein, 2012).
type sipKey [2]uint64

// sum2 hashes two words.
func (k *sipKey) sum2(a, b uint64) uint64 { return k.sum([]uint64{a, b, 16 << 56}) }

// sum hashes words, of which the last is what is left of the input with its
// length in the highest byte.
func (k *sipKey) sum(words []uint64) uint64 {
	s := sipState{k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573}
	for _, m := range words {
		s.v3 ^= m
		s.round()
		s.round()
		s.v0 ^= m
	}
	s.v2 ^= 0xff
	for range 4 {
		s.round()
	}
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

type sipState struct{ v0, v1, v2, v3 uint64 }

func (s *sipState) round() {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

// tuple is the addresses and ports of a connection, seen from this host.
type tuple struct {
	laddr, raddr header.Addr
	lport, rport uint16
}

func (t *tuple) words() (a, b uint64) {
	return uint64(t.laddr)<<32 | uint64(t.raddr), uint64(t.lport)<<16 | uint64(t.rport)
}

// initSeq chooses the initial sequence number of a connection (RFC 6528): a
// clock that ticks every 64 ns, displaced by a keyed hash of the connection.
func (t *TCP) initSeq(k *tuple) uint32 {
	return uint32(t.secr.isn.sum2(k.words())) + uint32(t.now()>>6)
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
