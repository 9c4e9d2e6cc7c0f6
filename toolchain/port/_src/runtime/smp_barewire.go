package runtime

import (
	"internal/runtime/atomic"
	"unsafe"
)

// Several CPUs.
//
// An M is a CPU: bwStart makes one M for each CPU that the board has brought up, each stays on its own for ever, and no
// other is made. This holds because nothing takes an M away from its P: a system call is a function call, LockOSThread does nothing,
// sysmon and the template thread are not there. So there are as many Ms as Ps at most, every M that has no P is idle or
// about to be, and whoever finds a P to run and no M in the idle list (startm) need not make one: some M is between its
// last look for work and its sleep. That one is told to look again (bwNoM, bwStop), under the lock that it takes before
// it sleeps; the one that sleeps in netpoll, and so is in no list, is woken (netpollBreak).
//
// A CPU with nothing to do halts, in netpoll (one of them, which also keeps the time of all timers) or parked (bwPark). Who wants it sets
// kicked and sends an interrupt if it is halted. Setting halted comes before looking at kicked, on the one side, and
// setting kicked before looking at halted on the other, so that one of the two sees the other's word.
//
// GS points to the CPU's own bwCPU. Code that uses it twice must not be moved in between: it is the scheduler's, on g0, or interrupts are off.

const bwMaxCPUs = 64

// Vectors between CPUs; the board gives none of them out.
const (
	bwVectorPreempt = 0xf1 // preemptM: the goroutine that runs shall make way
	bwVectorWake    = 0xf2 // ends a halt
)

// A bwCPU is what a CPU has of its own. The board knows the first two fields by their places.
type bwCPU struct {
	self uintptr // address of this
	id   uint32  // from 0

	halted  uint32 // in bwStiHlt or on the way
	irqWork uint64 // what ends a halt: irqPending and kicked together
	irqBits [4]uint64

	ticks    uint64 // timer interrupts since boot
	count    uint64 // device interrupts
	spurious uint64

	timerArmed int64  // nanotime the timer is set to, bwNoTimer if it has fired or was never set
	timerFar   int64  // what it is set to although timerArmed does not say so; 0: nothing
	timerTicks uint64 // ticks then

	irqG      guintptr // the interrupt goroutine
	irqWaiter guintptr // the interrupt goroutine while it is parked
	irqLong   int      // ticks in a row that met it
	irqAsked  bool     // the last request to make way was an interrupt's, not a tick's
	irqStood  int64    // since when it stands back; 0: it does not
	irqLate   bool     // the last time it did it came too late, or by the timer
	irqTurn   uint8    // 2 when it has been chosen, 1 while it runs and after, 0 once another goroutine runs

	tickSched uint32 // schedtick at the last tick
	profLast  int64  // nanotime of the last profiling sample

	interrupted uintptr // the *ucontext of the goroutine under a running bwInterrupt, for crash reports
	stopped     uintptr // the *ucontext of whatever a crash elsewhere has stopped

	sleepOn uintptr // what the CPU waits for in bwFutex

	// What the CPU shall start with: bwClone. startM is set last.
	startStk, startG, startFn, startM uintptr
}

// The halves of irqWork.
const (
	bwPending = 1       // interrupts are noted; the entry stores it as a 32-bit word
	bwKicked  = 1 << 32 // another CPU wants this one to look around
)

func (c *bwCPU) pending() *uint32 { return (*uint32)(unsafe.Pointer(&c.irqWork)) }
func (c *bwCPU) kicked() *uint32  { return (*uint32)(unsafe.Add(unsafe.Pointer(&c.irqWork), 4)) }

var (
	bwCPUs [bwMaxCPUs]bwCPU

	// bwNCPU is the number of CPUs that run. Set by the board before the heap exists.
	bwNCPU uint32 = 1

	// bwSendIPI interrupts a CPU. Set by the board; nosplit.
	bwSendIPI func(cpu, vector uint32)

	// bwStopIPI interrupts all other CPUs with an NMI. Set by the board; nosplit.
	bwStopIPI func()

	bwPoller    uint32 // the CPU in netpoll, plus one
	bwPollBreak uint32 // netpoll shall return

	bwWanted bool // an M without a P shall look around before it sleeps; under sched.lock
)

// bwThis is the caller's CPU.
func bwThis() *bwCPU

// bwCPUBase makes CPU i's structure and returns its address, for GS.
//
//go:linkname bwCPUBase
//go:nosplit
func bwCPUBase(i uint32) uintptr {
	c := &bwCPUs[i]
	c.self = uintptr(unsafe.Pointer(c))
	c.id = i
	c.timerArmed = bwNoTimer
	return c.self
}

// bwIRQCounts returns CPU i's device interrupts, ticks and spurious interrupts since boot.
//
//go:linkname bwIRQCounts
func bwIRQCounts(i uint32) (count, ticks, spurious uint64) {
	c := &bwCPUs[i]
	return atomic.Load64(&c.count), atomic.Load64(&c.ticks), atomic.Load64(&c.spurious)
}

// bwAPRun is where a further CPU comes from the board, on a stack of its own with interrupts off; it waits for bwClone.
func bwAPRun()

// bwClone gives a new M to a CPU that has none.
//
//go:nosplit
func bwClone(flags int32, stk, mp, gp, fn unsafe.Pointer) int32 {
	for i := uint32(1); i < bwNCPU; i++ {
		c := &bwCPUs[i]
		if c.startM != 0 {
			continue
		}
		c.startStk, c.startG, c.startFn = uintptr(stk), uintptr(gp), uintptr(fn)
		atomic.Storeuintptr(&c.startM, uintptr(mp))
		bwSendIPI(i, bwVectorWake)
		return int32(i) + 1
	}
	return -_EAGAIN
}

// bwStartCPUs makes the Ms of the further CPUs, which begin idle.
func bwStartCPUs() {
	for i := uint32(1); i < bwNCPU; i++ {
		newm(bwFirst, nil, -1)
	}
}

// bwFirst is the first thing a new M does: wait for a P.
func bwFirst() {
	mp := getg().m
	mp.nextp.set(bwStop(mp))
}

// bwStop makes mp, which has no P, idle until it is given one.
func bwStop(mp *m) *p {
	lock(&sched.lock)
	if bwWanted {
		if pp, _ := pidleget(0); pp != nil {
			bwWanted = false
			unlock(&sched.lock)
			mp.becomeSpinning()
			return pp
		}
	}
	mput(mp)
	unlock(&sched.lock)
	mPark()
	pp := mp.nextp.ptr()
	mp.nextp = 0
	return pp
}

// bwNoM takes back pp, for which startm has found no idle M, and has one of those that are about to be look around. The
// caller holds sched.lock. It reports false if pp has goroutines that only its own M would find at once.
//
//go:nowritebarrierrec
func bwNoM(pp *p, spinning bool) bool {
	if !runqempty(pp) {
		return false
	}
	if spinning && sched.nmspinning.Add(-1) < 0 {
		throw("startm: negative nmspinning")
	}
	bwWanted = true
	if sched.gcwaiting.Load() { // as handoffp
		pp.status = _Pgcstop
		pp.gcStopTime = nanotime()
		sched.stopwait--
		if sched.stopwait == 0 {
			notewakeup(&sched.stopnote)
		}
		return true
	}
	if pp.runSafePointFn != 0 && atomic.Cas(&pp.runSafePointFn, 1, 0) {
		sched.safePointFn(pp)
		sched.safePointWait--
		if sched.safePointWait == 0 {
			notewakeup(&sched.safePointNote)
		}
	}
	pidleput(pp, 0)
	netpollBreak()
	return true
}

// bwStartP waits for an M that is about to be idle and gives it pp. The caller has no lock.
//
//go:nowritebarrierrec
func bwStartP(pp *p, spinning bool) {
	for {
		lock(&sched.lock)
		mp := mget()
		unlock(&sched.lock)
		if mp != nil {
			mp.spinning = spinning
			mp.nextp.set(pp)
			notewakeup(&mp.park)
			return
		}
		netpollBreak()
		osyield()
	}
}

// bwPark waits, halted, until another M has given this one a P. An interrupt that comes to this CPU meanwhile is work: the
// M then takes a P itself.
func bwPark() {
	mp := getg().m
	c := bwThis()
	for {
		atomic.Storeuintptr(&c.sleepOn, uintptr(unsafe.Pointer(&mp.park.key)))
		if atomic.Load(key32(&mp.park.key)) != 0 {
			break
		}
		if atomic.Load(c.pending()) != 0 && c.irqWaiter != 0 {
			if bwUnpark(mp, c) {
				break
			}
			continue // it may have slept for a lock
		}
		mp.blocked = true
		bwIdle(bwNoTimer, bwKicked|bwPending)
		mp.blocked = false
	}
	c.sleepOn = 0
	noteclear(&mp.park)
}

// bwUnpark takes mp out of the idle list with a P for the interrupts noted on c. It reports false if mp stays parked or is being woken.
func bwUnpark(mp *m, c *bwCPU) bool {
	lock(&sched.lock)
	if sched.midle.head() != unsafe.Pointer(mp) && mp.idleNode.prev == 0 && mp.idleNode.next == 0 {
		unlock(&sched.lock)
		for atomic.Load(key32(&mp.park.key)) == 0 { // whoever took it out wakes it
			osyield()
		}
		return false
	}
	pp, _ := pidleget(0)
	if pp == nil { // every P is at work: the next round of any takes it
		if gp := c.irqTake(); gp != nil {
			casgstatus(gp, _Gwaiting, _Grunnable)
			globrunqput(gp)
		}
		unlock(&sched.lock)
		return false
	}
	sched.midle.remove(unsafe.Pointer(mp))
	sched.nmidle--
	unlock(&sched.lock)
	mp.nextp.set(pp)
	return true
}

// bwKick ends c's halt, or has it pass over the next one.
//
//go:nosplit
func bwKick(c *bwCPU) {
	atomic.Store(c.kicked(), 1)
	if atomic.Load(&c.halted) != 0 {
		bwSendIPI(c.id, bwVectorWake)
	}
}

// bwFutex waits, halted, while *addr is val, or wakes all who wait for addr. Interrupts also wake the CPU, to no effect.
//
//go:nosplit
func bwFutex(addr unsafe.Pointer, op int32, val uint32, ts *timespec, addr2 unsafe.Pointer, val3 uint32) int32 {
	this := bwThis()
	if op != _FUTEX_WAIT_PRIVATE {
		for i := uint32(0); i < bwNCPU; i++ {
			if c := &bwCPUs[i]; c != this && atomic.Loaduintptr(&c.sleepOn) == uintptr(addr) {
				bwKick(c)
			}
		}
		return 0
	}
	until := int64(maxWhen)
	if ts != nil {
		until = nanotime() + ts.tv_sec*1e9 + ts.tv_nsec
	}
	atomic.Storeuintptr(&this.sleepOn, uintptr(addr))
	ret := int32(0)
	for atomic.Load((*uint32)(addr)) == val {
		if nanotime() >= until {
			ret = -_ETIMEDOUT
			break
		}
		bwIdle(until, bwKicked)
	}
	this.sleepOn = 0
	return ret
}

// bwTgkill interrupts another M for preemptM.
//
//go:nosplit
func bwTgkill(tgid, tid, sig int) {
	if sig == sigPreempt && bwSendIPI != nil && uint(tid-1) < uint(bwNCPU) {
		bwSendIPI(uint32(tid-1), bwVectorPreempt)
	}
}

//go:nosplit
func bwGettid() uint32 { return bwThis().id + 1 }

//go:nosplit
func bwSchedGetaffinity(pid, len uintptr, buf *byte) int32 {
	n := uintptr(bwNCPU+7) / 8
	for i := range n {
		*(*byte)(add(unsafe.Pointer(buf), i)) = byte(1<<min(8, bwNCPU-uint32(i)*8) - 1)
	}
	return int32(n)
}

// The board refers to these by linkname.
//
//go:linkname bwNCPU
//go:linkname bwSendIPI
//go:linkname bwStopIPI
