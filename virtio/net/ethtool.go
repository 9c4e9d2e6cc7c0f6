package net

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"time"

	"barewire/napi"
)

// DriverStats implements [napi.DriverStats]. A counter that Linux's driver has
// too bears its name there (virtnet_rq_stats_desc, virtnet_sq_stats_desc). A
// kick is a notification of the device, which on most machines is an exit.
func (d *Device) DriverStats(_ *napi.NetDevice, add func(name string, value uint64)) {
	for i, p := range d.pairs {
		n := p.napi
		rx := func(name string, v uint64) { add(fmt.Sprintf("rx_queue_%d_%s", i, name), v) }
		rx("packets", n.Stats.Packets.Load())
		rx("bytes", n.Stats.Bytes.Load())
		rx("kicks", p.rx.q.Kicks())
		rx("polls", n.Polls.Count.Load())
		rx("busy_polls", n.Polls.Busy.Load())
		rx("deferred", n.Polls.Deferred.Load())
		for k, name := range napi.PollSizeNames {
			rx("polls_of_"+name, n.Polls.Sizes[k].Load())
		}
	}
	for i, p := range d.pairs {
		q := &p.tx
		tx := func(name string, v uint64) { add(fmt.Sprintf("tx_queue_%d_%s", i, name), v) }
		q.mu.Lock()
		stops, dones, reclaims := q.stops, q.dones, q.reclaims
		q.mu.Unlock()
		tx("packets", q.nq.Stats.Packets.Load())
		tx("bytes", q.nq.Stats.Bytes.Load())
		tx("kicks", q.q.Kicks())
		tx("stops", stops)                   // the ring was full
		tx("requeues", q.nq.Requeues.Load()) // packets it had no room for
		tx("completed", uint64(dones))
		tx("reclaims", reclaims) // times completed packets were taken off the ring
	}
	s := d.Stats()
	add("interrupts", d.interrupts.Load())
	add("rx_no_page", s.RxNoPage)
	add("broken", s.Broken)
	add("recovered", s.Recovered)
	add("ctrl_commands", s.CtrlCommands)
}

// RingParam implements [napi.RingTeller].
func (d *Device) RingParam(*napi.NetDevice) napi.RingParam {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pairs[0]
	return napi.RingParam{
		RxMax: uint32(p.rx.q.Size()), TxMax: uint32(p.tx.q.Size()), Rx: uint32(p.rx.q.Size()), Tx: uint32(p.tx.q.Size()),
	}
}

// maxPollPause bounds rx-usecs where the driver itself waits: a device that
// nobody looks at for longer loses packets.
const maxPollPause = 10 * time.Millisecond

// Control commands of notification coalescing (virtio 1.2, 5.1.6.5.9).
const (
	ctrlNotfCoal   = 6
	ctrlNotfCoalTX = 0
	ctrlNotfCoalRX = 1
)

// Coalesce implements [napi.Coalescer].
func (d *Device) Coalesce(*napi.NetDevice) napi.Coalesce {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.coalesce
}

// SetCoalesce implements [napi.Coalescer]. A device with NOTF_COAL is told. For
// one without, rx-usecs is the pause between two polls (see
// napi.NetDevice.SetPollPause), and as in Linux an interrupt is for one frame,
// rx-frames 1, and transmit interrupts cannot be moderated: EINVAL, EOPNOTSUPP.
func (d *Device) SetCoalesce(_ *napi.NetDevice, c napi.Coalesce) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.has(FeatNotfCoal) {
		old := d.coalesce
		d.coalesce = c
		if !d.running.Load() {
			return nil // told when it is up
		}
		err := d.applyCoalesce()
		if err != nil {
			d.coalesce = old
		}
		return d.brokenBy(err)
	}
	switch {
	case c.TxUsecs != 0:
		return syscall.EOPNOTSUPP
	case c.RxFrames != 1 || c.TxFrames > 1:
		return syscall.EINVAL
	case time.Duration(c.RxUsecs)*time.Microsecond > maxPollPause:
		return syscall.EINVAL
	}
	d.coalesce = c
	d.dev.SetPollPause(time.Duration(c.RxUsecs) * time.Microsecond)
	return nil
}

// applyCoalesce tells a device when to interrupt. The caller holds mu.
func (d *Device) applyCoalesce() error {
	if !d.has(FeatNotfCoal) {
		return nil
	}
	c := &d.coalesce
	for _, q := range [...]struct {
		cmd           uint8
		frames, usecs uint32
	}{{ctrlNotfCoalTX, c.TxFrames, c.TxUsecs}, {ctrlNotfCoalRX, c.RxFrames, c.RxUsecs}} {
		var b [8]byte // struct virtio_net_ctrl_coal: max_packets, max_usecs
		binary.LittleEndian.PutUint32(b[:], q.frames)
		binary.LittleEndian.PutUint32(b[4:], q.usecs)
		if err := d.command(ctrlNotfCoal, q.cmd, b[:]...); err != nil {
			return err
		}
	}
	return nil
}
