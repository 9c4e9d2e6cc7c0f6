package runtime

import (
	"internal/runtime/atomic"
	"unsafe"
)

// Interrupts and the scheduler.
//
// An interrupt handler (trap_barewire_amd64.s) masks its line if it must, notes the vector in irqBits, sets
// irqPending and ends. It takes no lock, touches no goroutine stack and calls Go only to ask the goroutine it
// interrupted to make way. The rest happens in goroutine context: every round of the scheduler looks at
// irqPending and makes the one interrupt goroutine, parked in barewire_irqWait, runnable. An interrupt that comes
// at any moment of this is seen: the note is written before irqPending, irqPending is cleared before the notes
// are taken, and an idle CPU checks irqPending with interrupts off before STI; HLT.
//
// The timer serves three masters with one shot: the deadline of an idle CPU, the next Go timer of a busy
// one, and the tick that ends a goroutine's time slice (sysmon's retake).

const (
	bwSlice   = 10 * 1000 * 1000 // time slice in ns, as sysmon's forcePreemptNS
	bwRetry   = 1 * 1000 * 1000  // after a tick that met code which cannot be preempted
	bwStand   = 500 * 1000       // how long others run while interrupts wait, see irqRunnable
	bwNoTimer = maxWhen
)

// Written by the interrupt entry; the board sets the tables by linkname.
var (
	irqPending uint32
	irqBits    [4]uint64 // noted vectors, one bit each

	irqLines [256]irqLine // what must be masked, by vector

	irqEOI        uintptr // address of the LAPIC's EOI register; 0 = x2APIC, the MSR
	irqTickVector uint32  // vector of the LAPIC timer; 0 = none yet
	irqTicks      uint64  // timer interrupts since boot
	irqCount      uint64  // device interrupts since boot
	irqSpurious   uint64

	bwTimerArmed int64 = bwNoTimer // nanotime the timer is set to, bwNoTimer if it has fired or was never set

	// bwSetTimer sets the one-shot timer to nanotime t. Set by the board; nosplit, no write barriers.
	bwSetTimer func(t int64)

	bwXsaveSize uintptr // bytes XSAVE needs for the features in XCR0; 0 = the CPU has only FXSAVE
)

// An irqLine names the I/O APIC redirection entry that a level-triggered vector comes from.
type irqLine struct {
	ioapic uintptr // address of the I/O APIC; 0 = nothing to mask (MSI, edge)
	reg    uintptr // register index of the entry's low half
}

var (
	irqG      guintptr // the interrupt goroutine
	irqLong   int      // ticks in a row that met it
	irqWaiter guintptr // the interrupt goroutine while it is parked
	irqAsked  bool     // the last request to make way was an interrupt's, not a tick's
	irqTurn   uint8    // 2 when it has been chosen, 1 while it runs and after, 0 once another goroutine runs

	tickSched uint32 // schedtick at the last tick
	profLast  int64  // nanotime of the last profiling sample

	bwInterrupted uintptr // the *ucontext of the goroutine under a running bwInterrupt, for crash reports
)

func bwCliHlt()
func bwCli()

// bwStiHlt enables interrupts and, if *pending is 0, halts until one comes. Interrupts must be off.
func bwStiHlt(pending *uint32)

// bwIdle halts until an interrupt or nanotime until. It returns at once if interrupts are already noted.
//
//go:nosplit
func bwIdle(until int64) {
	if bwSetTimer == nil || panicking.Load() != 0 { // a dying runtime trusts no timer
		procyield(10)
		return
	}
	bwCli()
	if until < bwTimerArmed {
		bwArm(until)
	}
	bwStiHlt(&irqPending)
	if bwTimerArmed != bwNoTimer && bwTimerArmed > nanotime()+bwSlice {
		bwTimerArmed = bwNoTimer // too far for a tick: let bwTick set it anew
	}
}

//go:nosplit
func bwArm(t int64) {
	bwTimerArmed = t
	bwSetTimer(t)
}

// bwTick sets the timer before a goroutine runs: to the end of its slice or the next Go timer, whichever is
// first. Two loads when it is set already.
func bwTick(pp *p) {
	if irqTurn > 0 {
		irqTurn--
	}
	if bwSetTimer == nil {
		return
	}
	when := pp.timers.wakeTime()
	armed := bwTimerArmed
	if irqPending != 0 && irqWaiter != 0 { // the interrupt goroutine stood back, but not for a whole slice
		bwArm(min(armed, nanotime()+bwStand))
		return
	}
	if armed != bwNoTimer && (when == 0 || when >= armed) {
		return
	}
	next := nanotime() + bwSlice
	if when != 0 && when < next {
		next = when
	}
	bwArm(next)
}

// irqRunnable returns the interrupt goroutine if it has work. It stands back once after each turn when others
// are waiting, so a storm of interrupts cannot keep the CPU to itself.
func irqRunnable(pp *p) *g {
	if atomic.Load(&irqPending) == 0 || irqWaiter == 0 {
		return nil
	}
	if irqTurn == 1 && (!runqempty(pp) || !sched.runq.empty()) {
		irqTurn = 0
		return nil
	}
	gp := irqTake()
	if gp != nil {
		irqTurn = 2
		casgstatus(gp, _Gwaiting, _Grunnable)
	}
	return gp
}

// irqTake claims the parked interrupt goroutine, still waiting, if there is work for it.
//
//go:nowritebarrierrec
func irqTake() *g {
	if atomic.Load(&irqPending) == 0 {
		return nil
	}
	gp := irqWaiter.ptr()
	irqWaiter = 0
	return gp
}

// barewire_irqWait parks the interrupt goroutine (there is one) until interrupts have been noted, then takes
// the notes: bits has one bit for each vector.
//
//go:linkname barewire_irqWait
func barewire_irqWait(bits *[4]uint64) {
	irqG.set(getg())
	gopark(func(gp *g, _ unsafe.Pointer) bool {
		irqWaiter.set(gp)
		return true // the scheduler that runs next looks at irqPending
	}, nil, waitReasonIOWait, traceBlockNet, 1)
	atomic.Store(&irqPending, 0)
	for i := range bits {
		bits[i] = atomic.Xchg64(&irqBits[i], 0)
	}
}

// bwInterrupt runs on the interrupt stack after an interrupt that found a goroutine running, on its own stack or on the
// system stack.
//
//go:nosplit
//go:nowritebarrierrec
func bwInterrupt(ctx *ucontext) {
	gp := getg()
	if gp.m.gsignal == nil || gp == gp.m.gsignal {
		return
	}
	bwInterrupted = uintptr(unsafe.Pointer(ctx))
	setg(gp.m.gsignal)
	c := sigctxt{nil, unsafe.Pointer(ctx)}
	bwPreempt(gp, (*sigctxt)(noescape(unsafe.Pointer(&c))))
	setg(gp)
	bwInterrupted = 0
}

//go:nowritebarrierrec
func bwPreempt(gp *g, c *sigctxt) {
	mp := gp.m
	curg := mp.curg
	tick := uint32(c.regs().trapno) == irqTickVector
	if hz := prof.hz.Load(); tick && hz != 0 {
		// The tick is the profiler's clock too: as many samples as make up for the time since the last one.
		now := nanotime()
		period := int64(1e9) / int64(hz)
		if profLast == 0 || now-profLast > 2*bwSlice {
			profLast = now - period
		}
		for ; now-profLast >= period; profLast += period {
			sigprof(c.sigpc(), c.sigsp(), c.siglr(), gp, mp)
		}
	}
	if !tick && irqWaiter == 0 {
		return // the interrupt goroutine is at work, or has yet to come to it
	}
	if tick && irqG.ptr() == curg {
		// The slice whose end it meets was another's. Only if it goes on and on it queues up like the others.
		if irqLong++; irqLong < bwSlice/bwRetry {
			bwArm(nanotime() + bwRetry)
			return
		}
	}
	irqLong = 0
	irqAsked = !tick
	pp := mp.p.ptr()
	if pp == nil || pp.status != _Prunning || gp != curg {
		// On the system stack or leaving for a system call: it gives way as soon as it is back.
		curg.preempt = true
		curg.stackguard0 = stackPreempt
		if tick {
			bwArm(nanotime() + bwRetry)
		}
		return
	}
	if tick {
		now := nanotime()
		when := pp.timers.wakeTime()
		if tickSched != pp.schedtick && (when == 0 || when > now) && irqPending == 0 {
			// It may have started just now: sysmon too waits until it sees the same goroutine twice.
			tickSched = pp.schedtick
			next := now + bwSlice
			if when != 0 && when < next {
				next = when
			}
			bwArm(next)
			return
		}
		bwArm(now + bwRetry) // until it gives way; the next goroutine's bwTick leaves it, which is harmless
	}
	gp.preempt = true
	gp.stackguard0 = stackPreempt
	pp.preempt = true
	if debug.asyncpreemptoff == 0 {
		doSigPreempt(gp, c)
	}
}

// bwGaveWay reports, once, whether the goroutine that is being preempted was asked to by an interrupt.
func bwGaveWay() bool {
	asked := irqAsked
	irqAsked = false
	return asked
}

// bwForceGC starts the collection that is due every two minutes even if nothing is allocated: what sysmon does that
// nothing else here does. now is 0 or nanotime.
func bwForceGC(now int64) {
	if now == 0 || !forcegc.idle.Load() {
		return
	}
	if t := (gcTrigger{kind: gcTriggerTime, now: now}); t.test() {
		lock(&forcegc.lock)
		forcegc.idle.Store(false)
		var list gList
		list.push(forcegc.g)
		injectglist(&list)
		unlock(&forcegc.lock)
	}
}

// bwHousekeeping gives an idle machine a scheduling round, with a time in hand, now and then.
func bwHousekeeping() {
	for {
		timeSleep(forcegcperiod/4 + 1e6)
	}
}

// bwStart stands where runtime.main starts sysmon.
func bwStart() {
	netpollGenericInit()
	go bwHousekeeping()
}

// bwMaxProcs is the number of CPUs that run goroutines.
func bwMaxProcs() int32 { return max(numCPUStartup, 1) }

// The board refers to these by linkname.
//
//go:linkname bwSetTimer
//go:linkname bwXsaveSize
//go:linkname irqEOI
//go:linkname irqTickVector
//go:linkname irqTicks
//go:linkname irqCount
//go:linkname irqSpurious
//go:linkname irqLines
//go:linkname bwSyscallAddr

func bwSyscallAddr() uintptr
