package net

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"barewire/napi"
	"barewire/virtio"
)

// A device with VIRTIO_NET_F_MQ has several pairs of a receive and a transmit
// queue (virtio 1.2, 5.1.6.5.6). The driver uses one for each processor, whose
// softirq polls it: the device sends the packets of a flow to the pair on which it
// last saw one sent, so that what a processor sends is answered to it.

// pair is a receive and a transmit queue and the context that polls both.
type pair struct {
	d     *Device
	index int
	napi  *napi.NAPI
	rx    rxQueue
	tx    txQueue
}

// Bounds of max_virtqueue_pairs (5.1.4.1).
const (
	minPairs = 1
	maxPairs = 0x8000
)

const (
	ctrlMQ         = 4
	ctrlMQPairsSet = 0
)

// readPairs finds out how many pairs of queues the device has. One that claims the
// impossible has one, as Linux takes it. The device's features are not agreed on
// yet: the driver may read its configuration to decide (3.1.1).
func (d *Device) readPairs() error {
	most := 0
	err := virtio.ReadConfig(d.t, func(c virtio.Regs) {
		if c.Len() >= cfgMaxPairs+2 {
			most = int(c.Read16(cfgMaxPairs))
		}
	})
	if err != nil {
		return err
	}
	if most < minPairs || most > maxPairs {
		d.opts.Log(fmt.Sprintf("%s: %d pairs of queues are not possible; using one", d.t.Name(), most))
		most = 1
	}
	if d.probed && d.has(FeatMQ) && most != d.most {
		return fmt.Errorf("%w: %d pairs of queues, had %d", virtio.ErrBadDevice, most, d.most)
	}
	d.most = most
	return nil
}

// wantPairs is how many pairs are set up: one for each processor, as far as there
// are. It does not change once the device is known.
func (d *Device) wantPairs() int {
	if d.probed {
		return len(d.pairs)
	}
	return max(1, min(d.most, d.net.CPUs()))
}

// queues returns all queues, by number.
func (d *Device) queues() (l []*virtio.Queue) {
	for _, p := range d.pairs {
		l = append(l, p.rx.q, p.tx.q)
	}
	if d.has(FeatCtrlVQ) {
		l = append(l, d.ctrl.q)
	}
	return l
}

// queueCPUs tells which processor the interrupts of each queue go to.
func (d *Device) queueCPUs() (l []int) {
	for i := range d.pairs {
		cpu := i % d.net.CPUs()
		l = append(l, cpu, cpu)
	}
	return l
}

// applyPairs tells the device how many pairs to use; after a reset it uses one
// (5.1.6.5.6.1). If it refuses, that stays. The caller holds mu.
func (d *Device) applyPairs() error {
	if !d.has(FeatMQ) {
		return nil
	}
	n := d.inUse
	if err := d.pairsSet(n); errors.Is(err, errCtrl) {
		d.log("%v; using one pair of queues", err)
		n = 1
	} else if err != nil {
		return err
	}
	d.dev.SetRealTxQueues(n)
	return nil
}

func (d *Device) pairsSet(n int) error {
	var b [2]byte
	binary.LittleEndian.PutUint16(b[:], uint16(n))
	return d.command(ctrlMQ, ctrlMQPairsSet, b[:]...)
}

// Channels implements [napi.ChannelSetter].
func (d *Device) Channels(*napi.NetDevice) (most, now int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.pairs), d.inUse
}

// SetChannels implements [napi.ChannelSetter].
func (d *Device) SetChannels(_ *napi.NetDevice, pairs int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if pairs < 1 || pairs > len(d.pairs) {
		return syscall.EINVAL
	}
	old := d.inUse
	if !d.running.Load() {
		d.inUse = pairs // told when it is up
		return nil
	}
	if pairs == old {
		return nil
	}
	// Nothing is to be sent on a queue that the device leaves alone
	// (5.1.6.5.6.2).
	d.dev.SetRealTxQueues(min(pairs, old))
	if err := d.pairsSet(pairs); err != nil {
		d.dev.SetRealTxQueues(old)
		if errors.Is(err, errCtrl) {
			return fmt.Errorf("%w: %w", syscall.EINVAL, err)
		}
		return d.brokenBy(err)
	}
	d.inUse = pairs
	d.dev.SetRealTxQueues(pairs)
	return nil
}
