//go:build tamago

package microvm

import (
	"sync/atomic"
	_ "unsafe" // for go:linkname
)

// Random numbers come from RDRAND where the CPU has it. Elsewhere (QEMU's default TCG CPU) they are made from the jitter of the
// TSC against the emulated machine: each call mixes 64 differences of a TSC read around a port access into a pool. That
// is enough to make seeds differ from boot to boot; it is not a source for long-lived keys, and RandomGood says so.

var pool atomic.Uint64

// RandomGood reports whether Random's bytes come from a hardware generator.
func RandomGood() bool { return cpu.rdrand }

// Random fills b.
//
//go:linkname Random runtime/goos.GetRandomData
func Random(b []byte) {
	for len(b) > 0 {
		v := random64()
		for i := 0; i < 8 && len(b) > 0; i++ {
			b[0] = byte(v)
			b, v = b[1:], v>>8
		}
	}
}

func random64() uint64 {
	if cpu.rdrand {
		if v, ok := rdrand(); ok {
			return v
		}
	}
	h := pool.Load()
	for range 64 {
		t := rdtsc()
		in8(uartLSR) // leaves the virtual CPU: takes a time that depends on the host
		h = mix(h ^ (rdtsc()-t)<<32 ^ t)
	}
	pool.Store(h)
	return mix(h)
}

// mix is a bijection of 64 bits in which every input bit reaches every output bit (the finaliser of SplitMix64).
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
