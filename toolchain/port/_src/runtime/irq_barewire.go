package runtime

import (
	"internal/runtime/atomic"
	"unsafe"
)

// Interrupts and the scheduler.
//
// An interrupt handler (trap_barewire_amd64.s) masks its line if it must, notes the vector in the CPU's irqBits, sets its
// pending word and ends. It takes no lock but that of the I/O APICs' registers, touches no goroutine stack and calls Go only to ask
// the goroutine it interrupted to make way. The rest happens in goroutine context: every round of the scheduler looks at
// what is pending on its CPU and makes that CPU's interrupt goroutine, parked in barewire_irqWait, runnable. An interrupt that comes
// at any moment of this is seen: the note is written before the pending word, that is cleared before the notes
// are taken, and an idle CPU checks it with interrupts off before STI; HLT. An interrupt goroutine that happens to run on
// another CPU looks once more when it has parked, for its own CPU may have found it absent and halted.
//
// The timer serves three masters with one shot: the deadline of an idle CPU, the next Go timer of a busy
// one, and the tick that ends a goroutine's time slice (sysmon's retake).

const (
	bwSlice   = 10 * 1000 * 1000 // time slice in ns, as sysmon's forcePreemptNS
	bwRetry   = 1 * 1000 * 1000  // after a tick that met code which cannot be preempted
	bwStand   = 500 * 1000       // how long others run while interrupts wait, see irqRunnable
	bwNear    = 20 * 1000        // a timer this much later than asked for is not set anew
	bwNoTimer = maxWhen
)

// The board sets these by linkname.
var (
	irqLines  [256]irqLine // what must be masked, by vector of CPU 0, to which all lines go
	irqIOLock uint32       // held, with interrupts off, over the two registers of an I/O APIC

	irqEOI        uintptr // address of the LAPIC's EOI register; 0 = x2APIC, the MSR
	irqTickVector uint32  // vector of the LAPIC timer; 0 = none yet

	// bwSetTimer sets the CPU's one-shot timer to nanotime t. Set by the board; nosplit, no write barriers.
	bwSetTimer func(t int64)

	// bwPause is called before the CPU halts and before the end, bwTurn before a goroutine runs and when the timer has interrupted one:
	// places for work that can wait for them. Set by the board; no write barriers, no allocation.
	bwPause, bwTurn func()

	bwXsaveSize uintptr // bytes XSAVE needs for the features in XCR0; 0 = the CPU has only FXSAVE
)

// An irqLine names the I/O APIC redirection entry that a level-triggered vector comes from.
type irqLine struct {
	ioapic uintptr // address of the I/O APIC; 0 = nothing to mask (MSI, edge)
	reg    uintptr // register index of the entry's low half
}

func bwCliHlt()
func bwCli()
func bwSti()

// bwStiHlt enables interrupts and, if *flags&mask is 0, halts until one comes. Interrupts must be off.
func bwStiHlt(flags *uint64, mask uint64)

// bwIdle halts until an interrupt or nanotime until. It returns at once if one of the halves of irqWork in wake is set already;
// notes are no reason while the interrupt goroutine is at work elsewhere, which looks for them itself before it parks.
//
//go:nosplit
func bwIdle(until int64, wake uint64) {
	if bwSetTimer == nil || panicking.Load() != 0 && getg().m.dying != 0 { // a dying M trusts no timer
		procyield(10)
		return
	}
	if bwPause != nil {
		bwPause()
	}
	bwCli()
	c := bwThis()
	if until < c.timerArmed {
		if far := c.timerFar; far != 0 && far <= until+bwNear && c.timerTicks == c.ticks {
			c.timerArmed = far // it is set for the same thing still, or for something that came sooner
		} else {
			c.arm(until)
		}
	}
	if c.irqWaiter == 0 {
		wake = bwKicked // a note from now on ends the halt
	}
	atomic.Store(&c.halted, 1)
	bwStiHlt(&c.irqWork, wake)
	atomic.Store(&c.halted, 0)
	atomic.Store(c.kicked(), 0) // before the caller looks at what it waits for
	if c.timerArmed != bwNoTimer && c.timerArmed > nanotime()+bwSlice {
		c.timerFar, c.timerTicks = c.timerArmed, c.ticks
		c.timerArmed = bwNoTimer // too far for a tick: let bwTick set it anew
	}
}

//go:nosplit
func (c *bwCPU) arm(t int64) {
	c.timerArmed = t
	c.timerFar = 0
	bwSetTimer(t)
}

// barewire_tickBy has this CPU's timer fire at nanotime t at the latest.
//
//go:linkname barewire_tickBy
//go:nosplit
func barewire_tickBy(t int64) {
	if c := bwThis(); bwSetTimer != nil && t < c.timerArmed {
		c.arm(t)
	}
}

// bwTick sets the timer before a goroutine runs: to the end of its slice or the next Go timer, whichever is
// first. Two loads when it is set already.
func bwTick(pp *p) {
	c := bwThis()
	if c.irqTurn > 0 {
		c.irqTurn--
	}
	if bwSetTimer == nil {
		return
	}
	if bwTurn != nil {
		bwTurn()
	}
	armed := c.timerArmed
	if *c.pending() != 0 && c.irqWaiter != 0 { // the interrupt goroutine stood back, but not for a whole slice
		now := nanotime()
		if c.irqStood == 0 {
			c.irqStood = now
		}
		// Others mostly make way soon by themselves, and a timer is dear: it is only set if the last ones did not.
		if c.irqLate {
			if next := now + bwStand; next < armed {
				c.arm(next)
			}
			return
		}
	} else if c.irqStood != 0 {
		switch stood := nanotime() - c.irqStood; {
		case stood >= 2*bwStand:
			c.irqLate = true
		case stood < bwStand:
			c.irqLate = false
		}
		c.irqStood = 0
	}
	when := pp.timers.wakeTime()
	if armed != bwNoTimer && (when == 0 || when >= armed) {
		return
	}
	if armed == bwNoTimer && c.irqG.ptr() == getg().m.curg && prof.hz.Load() == 0 {
		return // it is soon done, and often the CPU is idle again: setting the timer leaves the machine
	}
	next := nanotime() + bwSlice
	if when != 0 && when < next {
		next = when
	}
	c.arm(next)
}

// irqRunnable returns this CPU's interrupt goroutine if it has work. It stands back once after each turn when others
// are waiting, so a storm of interrupts cannot keep the CPU to itself.
func irqRunnable(pp *p) *g {
	c := bwThis()
	if atomic.Load(c.pending()) == 0 || c.irqWaiter == 0 {
		return nil
	}
	if c.irqTurn == 1 && (!runqempty(pp) || !sched.runq.empty()) {
		c.irqTurn = 0
		return nil
	}
	gp := c.irqTake()
	if gp != nil {
		c.irqTurn = 2
		casgstatus(gp, _Gwaiting, _Grunnable)
	}
	return gp
}

// irqTake claims the parked interrupt goroutine, still waiting, if there is work for it.
//
//go:nowritebarrierrec
func (c *bwCPU) irqTake() *g {
	if atomic.Load(c.pending()) == 0 {
		return nil
	}
	return guintptr(atomic.Xchguintptr((*uintptr)(&c.irqWaiter), 0)).ptr()
}

// barewire_irqWait parks the interrupt goroutine of CPU cpu (there is one for each) until interrupts have been noted there,
// then takes the notes: bits has one bit for each vector.
//
//go:linkname barewire_irqWait
func barewire_irqWait(cpu uint32, bits *[4]uint64) {
	c := &bwCPUs[cpu]
	c.irqG.set(getg())
	gopark(irqParked, unsafe.Pointer(c), waitReasonIOWait, traceBlockNet, 1)
	atomic.Store(c.pending(), 0)
	for i := range bits {
		bits[i] = atomic.Xchg64(&c.irqBits[i], 0)
	}
}

func irqParked(gp *g, lock unsafe.Pointer) bool {
	c := (*bwCPU)(lock)
	atomic.Storeuintptr((*uintptr)(&c.irqWaiter), uintptr(unsafe.Pointer(gp)))
	// The scheduler that runs next looks at its own CPU's pending word.
	return c == bwThis() || c.irqTake() == nil
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
	cpu := bwThis()
	cpu.interrupted = uintptr(unsafe.Pointer(ctx))
	setg(gp.m.gsignal)
	c := sigctxt{nil, unsafe.Pointer(ctx)}
	bwPreempt(cpu, gp, (*sigctxt)(noescape(unsafe.Pointer(&c))))
	setg(gp)
	cpu.interrupted = 0
}

//go:nowritebarrierrec
func bwPreempt(cpu *bwCPU, gp *g, c *sigctxt) {
	mp := gp.m
	curg := mp.curg
	if c.regs().trapno == bwVectorPreempt { // preemptone has set what a goroutine looks at when it calls
		doSigPreempt(gp, c)
		return
	}
	tick := uint32(c.regs().trapno) == irqTickVector
	if tick && bwTurn != nil {
		bwTurn()
	}
	if hz := prof.hz.Load(); tick && hz != 0 {
		// The tick is the profiler's clock too: as many samples as make up for the time since the last one.
		now := nanotime()
		period := int64(1e9) / int64(hz)
		if cpu.profLast == 0 || now-cpu.profLast > 2*bwSlice {
			cpu.profLast = now - period
		}
		for ; now-cpu.profLast >= period; cpu.profLast += period {
			sigprof(c.sigpc(), c.sigsp(), c.siglr(), gp, mp)
		}
	}
	if !tick && cpu.irqWaiter == 0 {
		return // the interrupt goroutine is at work, or has yet to come to it
	}
	if tick && cpu.irqG.ptr() == curg {
		// The slice whose end it meets was another's. Only if it goes on and on it queues up like the others.
		if cpu.irqLong++; cpu.irqLong < bwSlice/bwRetry {
			cpu.arm(nanotime() + bwRetry)
			return
		}
	}
	cpu.irqLong = 0
	cpu.irqAsked = !tick
	pp := mp.p.ptr()
	if pp == nil || pp.status != _Prunning || gp != curg {
		// On the system stack or leaving for a system call: it gives way as soon as it is back.
		curg.preempt = true
		curg.stackguard0 = stackPreempt
		if tick {
			cpu.arm(nanotime() + bwRetry)
		}
		return
	}
	if tick {
		now := nanotime()
		when := pp.timers.wakeTime()
		if cpu.tickSched != pp.schedtick && (when == 0 || when > now) && *cpu.pending() == 0 {
			// It may have started just now: sysmon too waits until it sees the same goroutine twice.
			cpu.tickSched = pp.schedtick
			next := now + bwSlice
			if when != 0 && when < next {
				next = when
			}
			cpu.arm(next)
			return
		}
		cpu.arm(now + bwRetry) // until it gives way; the next goroutine's bwTick leaves it, which is harmless
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
	c := bwThis()
	asked := c.irqAsked
	c.irqAsked = false
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
		if forcegc.idle.Load() { // no other CPU was first
			forcegc.idle.Store(false)
			var list gList
			list.push(forcegc.g)
			injectglist(&list)
		}
		unlock(&forcegc.lock)
	}
}

// bwHousekeeping gives an idle machine a scheduling round, with a time in hand, now and then.
func bwHousekeeping() {
	for {
		timeSleep(forcegcperiod/4 + 1e6)
	}
}

// bwStart stands where runtime.main starts sysmon. Interrupts are on and the other CPUs at work from here on.
func bwStart() {
	netpollGenericInit()
	bwSti()
	systemstack(bwStartCPUs)
	go bwHousekeeping()
}

// bwMaxProcs is the number of CPUs that run goroutines.
func bwMaxProcs() int32 { return max(numCPUStartup, 1) }

// The board refers to these by linkname.
//
//go:linkname bwSetTimer
//go:linkname bwPause
//go:linkname bwTurn
//go:linkname bwXsaveSize
//go:linkname irqEOI
//go:linkname irqTickVector
//go:linkname irqIOLock
//go:linkname irqLines
//go:linkname bwSyscallAddr

func bwSyscallAddr() uintptr
