// Package siphash is the keyed hash of Aumasson and Bernstein (2012), by which
// tables whose keys come from the wire spread them, and numbers are drawn that
// nobody can guess. It stands in the lowest room because every room has such
// tables.
package siphash

import (
	"encoding/binary"
	"math/bits"
)

// Key is a secret key.
type Key [2]uint64

// NewKey draws a key from a source of unpredictable bytes.
func NewKey(rand func([]byte)) (k Key) {
	var b [16]byte
	rand(b[:])
	k[0], k[1] = binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	return k
}

// Sum2 is SipHash-2-4 of two words.
func (k *Key) Sum2(a, b uint64) uint64 {
	const length = 16 << 56
	s := k.start()
	s = s.word(a)
	s = s.word(b)
	s = s.word(length)
	return s.end()
}

// Sum is SipHash-2-4 of words, of which the last is what is left of the input
// with its length in the highest byte.
func (k *Key) Sum(words []uint64) uint64 {
	s := k.start()
	for _, m := range words {
		s = s.word(m)
	}
	return s.end()
}

// Quick2 is SipHash-1-3 of two words and no more, so without the word of the
// length (Linux: hsiphash on 64-bit machines). It is for choosing a bucket: it
// withstands floods, but is not meant to keep a secret.
func (k *Key) Quick2(a, b uint64) uint64 {
	s := k.start()
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3
	// The rounds stand in the loop, and are not calls, since there are a few to
	// each packet.
	m := a
	for i := range 5 {
		v3 ^= m
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
		v0 ^= m
		switch i {
		case 0:
			m = b
		case 1:
			m = 0
			v2 ^= 0xff
		}
	}
	return v0 ^ v1 ^ v2 ^ v3
}

func (k *Key) start() state {
	return state{k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573}
}

// state goes from round to round by value, so that it stays in registers.
type state struct{ v0, v1, v2, v3 uint64 }

// word takes in one word of the input.
func (s state) word(m uint64) state {
	s.v3 ^= m
	s = s.round().round()
	s.v0 ^= m
	return s
}

// end returns the sum.
func (s state) end() uint64 {
	s.v2 ^= 0xff
	s = s.round().round().round().round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

func (s state) round() state {
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
	return s
}
