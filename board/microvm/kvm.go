//go:build tamago

package microvm

import (
	"math/bits"
	"unsafe"
)

// KVM's clock (Documentation/virt/kvm/x86/msr.rst): a structure the hypervisor fills in for us. It is read at boot only: the
// TSC goes on from there.
const (
	kvmFeatures    = 0x40000001
	kvmClockSource = 1 << 3
	msrKVMSystem   = 0x4b564d01
	msrKVMWall     = 0x4b564d00
)

// pvTime is pvclock_vcpu_time_info.
type pvTime struct {
	version   uint32
	_         uint32
	timestamp uint64 // TSC
	system    uint64 // ns at timestamp
	mult      uint32
	shift     int8
	flags     uint8
	_         [2]uint8
}

// pvWall is pvclock_wall_clock: the wall clock when system time was 0.
type pvWall struct{ version, sec, nsec uint32 }

// pvArea has room for either, aligned.
var pvArea [64]byte

func pvPlace() uintptr { return (uintptr(unsafe.Pointer(&pvArea)) + 31) &^ 31 }

// kvmTime asks for the structure once. false without kvmclock.
func kvmTime() (pv pvTime, ok bool) {
	if !cpu.kvm || cpu.maxHyper < kvmFeatures {
		return pv, false
	}
	if a, _, _, _ := cpuid(kvmFeatures, 0); a&kvmClockSource == 0 {
		return pv, false
	}
	p := pvPlace()
	wrmsr(msrKVMSystem, uint64(p)|1)
	pv = *phys[pvTime](p)
	wrmsr(msrKVMSystem, 0)
	return pv, pv.mult != 0 && pv.shift <= 31 && pv.shift >= -31
}

// kvmRate is the TSC's rate by kvmclock's scale: ns = (ticks << shift) * mult >> 32. 0 without kvmclock.
func kvmRate() uint64 {
	pv, ok := kvmTime()
	if !ok {
		return 0
	}
	hz := (1000000000 << 32) / uint64(pv.mult)
	if pv.shift < 0 {
		return hz << -pv.shift
	}
	return hz >> pv.shift
}

// kvmWall is the time of day now, ns since the Unix epoch.
func kvmWall() (ns int64, ok bool) {
	pv, ok := kvmTime()
	if !ok {
		return 0, false
	}
	p := pvPlace()
	wrmsr(msrKVMWall, uint64(p))
	wall := *phys[pvWall](p)
	if wall.sec == 0 || wall.version&1 != 0 {
		return 0, false
	}
	ticks := rdtsc() - pv.timestamp
	if pv.shift < 0 {
		ticks >>= -pv.shift
	} else {
		ticks <<= pv.shift
	}
	hi, lo := bits.Mul64(ticks, uint64(pv.mult))
	return int64(wall.sec)*1e9 + int64(wall.nsec) + int64(pv.system+hi<<32+lo>>32), true
}
