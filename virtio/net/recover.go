package net

import (
	"time"
)

const (
	// maxRecoveries is how often in a row a device is started again.
	maxRecoveries = 5
	// recoveryQuiet is how long it must work for its sins to be forgotten.
	recoveryQuiet = 10 * time.Second
	// recoveryDelay is the pause before the second attempt; it grows fourfold
	// with each further one. The first comes at once.
	recoveryDelay = 10 * time.Millisecond
)

// recovery counts attempts to bring a broken device back. mu guards it.
type recovery struct {
	attempts int
	last     int64 // when the last one began
}

// fail takes a device that broke the rules out of service and has it
// recovered. Only the first of several calls counts. Any context.
func (d *Device) fail(err error) {
	if !d.running.CompareAndSwap(true, false) {
		return
	}
	d.stats.broken.Add(1)
	d.log("device broken: %v; resetting it", err)
	d.dev.CarrierOff()
	for _, p := range d.pairs {
		p.tx.nq.Wake() // what waits in the queue is dropped, not kept
	}
	d.net.Clock().AfterFunc(0, d.recover)
}

// recover resets a broken device, takes its memory back, and starts it again
// unless it has had its chances.
func (d *Device) recover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.opened || d.running.Load() {
		return
	}
	d.down()
	if now := d.net.Clock().Now(); now-d.recovery.last > int64(recoveryQuiet) {
		d.recovery.attempts = 0
	}
	d.restartLater()
}

// restartLater makes the next attempt when its time has come. The caller holds
// mu.
func (d *Device) restartLater() {
	switch n := d.recovery.attempts; {
	case n == 0:
		d.restart()
	case n >= maxRecoveries:
		d.log("giving up after %d attempts; take the interface down and up to try again", n)
	default:
		d.net.Clock().AfterFunc(recoveryDelay<<(2*(n-1)), func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			// It may have been closed, or closed and opened, meanwhile.
			if d.opened && !d.running.Load() && d.recovery.attempts == n {
				d.restart()
			}
		})
	}
}

func (d *Device) restart() {
	d.recovery.attempts++
	d.recovery.last = d.net.Clock().Now()
	if err := d.up(); err != nil {
		d.log("recovery attempt %d: %v", d.recovery.attempts, err)
		d.restartLater()
		return
	}
	d.stats.recovered.Add(1)
	d.log("device works again after its reset")
}
