package net

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"barewire/napi"
	"barewire/virtio"
)

// Control commands (virtio 1.2, 5.1.6.5): class and command.
const (
	ctrlRX         = 0
	ctrlRXPromisc  = 0
	ctrlRXAllmulti = 1

	ctrlMAC        = 1
	ctrlMACAddrSet = 1

	ctrlAnnounce    = 3
	ctrlAnnounceAck = 0

	ctrlOK = 0
)

// Layout of the control page: header and data are the device's to read, the
// answer, at a distance, to write.
const (
	ctrlHdrAt  = 0
	ctrlDataAt = 64
	ctrlMaxLen = 64
	ctrlAckAt  = 256
	ctrlSize   = 512
)

const (
	ctrlTimeout = 500 * time.Millisecond
	ctrlStep    = 50 * time.Microsecond
	ctrlMaxStep = 10 * time.Millisecond
)

// errCtrl: the device refused a command, which is its right.
var errCtrl = errors.New("control command refused")

// ctrlQueue is the control queue. It is polled: commands are rare, and most
// devices answer before the notification returns.
type ctrlQueue struct {
	q   *virtio.Queue
	mem virtio.DMA
}

func (c *ctrlQueue) init(q *virtio.Queue, m virtio.Mapper) error {
	c.q = q
	var err error
	c.mem, err = virtio.NewDMA(ctrlSize, m)
	return err
}

// command gives the device one command and waits for the answer. The caller
// holds mu; process context. An error other than errCtrl breaks the device:
// a command it has not answered is still in its hands.
func (d *Device) command(class, cmd uint8, data ...byte) error {
	c := &d.ctrl
	if len(data) > ctrlMaxLen {
		return syscall.EINVAL
	}
	d.stats.ctrlCommands.Add(1)
	m := c.mem.Mem
	m[ctrlHdrAt], m[ctrlHdrAt+1] = class, cmd
	copy(m[ctrlDataAt:], data)
	m[ctrlAckAt] = ^uint8(ctrlOK)
	segs := make([]virtio.Seg, 0, 3)
	segs = append(segs, virtio.Seg{Addr: c.mem.Addr + ctrlHdrAt, Len: 2})
	if len(data) > 0 {
		segs = append(segs, virtio.Seg{Addr: c.mem.Addr + ctrlDataAt, Len: uint32(len(data))})
	}
	segs = append(segs, virtio.Seg{Addr: c.mem.Addr + ctrlAckAt, Len: 1})
	id, ok := c.q.Add(segs, len(segs)-1)
	if !ok {
		return c.q.Err()
	}
	c.q.Kick()
	step := ctrlStep
	for waited := time.Duration(0); ; waited += step {
		if got, n, ok := c.q.Get(); ok {
			if got != id || n != 1 {
				c.q.Fail(fmt.Errorf("control answer of %d bytes for buffer %d, want 1 for %d", n, got, id))
				return c.q.Err()
			}
			break
		}
		if err := c.q.Err(); err != nil {
			return err
		}
		if waited >= ctrlTimeout {
			return fmt.Errorf("%s: control command %d.%d: no answer within %v", d.t.Name(), class, cmd, ctrlTimeout)
		}
		step = min(2*step, ctrlMaxStep)
		d.t.Sleep(step)
	}
	if ack := m[ctrlAckAt]; ack != ctrlOK {
		return fmt.Errorf("%s: %w: %d.%d answered %d", d.t.Name(), errCtrl, class, cmd, ack)
	}
	return nil
}

// restoreState tells a freshly started device what it forgot in the reset: the
// receive filter, and an address that is not its own.
func (d *Device) restoreState() error {
	if d.has(FeatCtrlMACAddr) && d.mac != ([6]byte{}) {
		if err := d.command(ctrlMAC, ctrlMACAddrSet, d.mac[:]...); err != nil {
			return err
		}
	}
	if d.coalesce != (napi.Coalesce{}) {
		if err := d.applyCoalesce(); errors.Is(err, errCtrl) {
			d.log("%v", err)
		} else if err != nil {
			return err
		}
	}
	return d.applyRxMode()
}

// applyRxMode sets the receive filter. A device that refuses receives more
// than it should, which does no harm.
func (d *Device) applyRxMode() error {
	if !d.has(FeatCtrlRX) {
		return nil
	}
	// An address the device was not told of passes no filter of its.
	promisc := d.promisc || d.mac != ([6]byte{}) && !d.has(FeatCtrlMACAddr)
	for _, c := range [...]struct {
		cmd uint8
		on  bool
	}{{ctrlRXPromisc, promisc}, {ctrlRXAllmulti, d.allmulti}} {
		on := byte(0)
		if c.on {
			on = 1
		}
		if err := d.command(ctrlRX, c.cmd, on); errors.Is(err, errCtrl) {
			d.log("%v", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// SetRxMode says which frames the device is to pass up beside those for its
// own address: all of them, or all multicast (Linux: ndo_set_rx_mode). As set
// up, it is all multicast. It holds across a reset. Without CTRL_RX the device
// passes what it likes. Process context.
func (d *Device) SetRxMode(promisc, allmulti bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.promisc, d.allmulti = promisc, allmulti
	if !d.running.Load() {
		return nil
	}
	return d.brokenBy(d.applyRxMode())
}

// SetAddr implements [napi.AddrSetter].
func (d *Device) SetAddr(_ *napi.NetDevice, addr [6]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.mac
	d.mac = addr
	if !d.running.Load() {
		return nil
	}
	var err error
	if d.has(FeatCtrlMACAddr) {
		if err = d.command(ctrlMAC, ctrlMACAddrSet, addr[:]...); errors.Is(err, errCtrl) {
			d.mac = old
			return fmt.Errorf("%w: %w", syscall.EADDRNOTAVAIL, err)
		}
	} else {
		err = d.applyRxMode()
	}
	return d.brokenBy(err)
}

// brokenBy passes err on, taking the device out of service when it is not a
// mere refusal.
func (d *Device) brokenBy(err error) error {
	if err == nil || errors.Is(err, errCtrl) {
		return err
	}
	d.fail(err)
	return fmt.Errorf("%w: %w", syscall.EIO, err)
}
