//go:build barewire

package main

import (
	"time"
	_ "unsafe" // for go:linkname
)

//go:linkname setTimer runtime.bwSetTimer
var setTimer func(t int64)

//go:linkname pause runtime.bwPause
var pause func()

//go:linkname setStacks runtime.bwSetStacks
var setStacks func(lo, hi uintptr)

var null *pair

// deep makes faults where nothing can be recovered.
func deep(how string) {
	switch how {
	case "g0":
		pause = func() { null.b = 1 } // called by the scheduler only, unlike the timer
		time.Sleep(time.Millisecond)
	case "irq":
		real := setTimer
		setTimer = func(t int64) {
			real(t)
			armed++
		}
		time.Sleep(time.Millisecond)
		// From here on the next goroutine to run is this one: the timer is set by its tick.
		setTimer = func(t int64) { null.b = 1 }
		for armed >= 0 {
		}
	case "double":
		setStacks(0x7f0000000000, 0x7f0000010000)
		null.b = 1
	}
}

var armed int
