package net

import (
	"errors"
	"fmt"

	"barewire/virtio"
)

// Device configuration (struct virtio_net_config, virtio 1.2, 5.1.4).
const (
	cfgMAC      = 0
	cfgStatus   = 6
	cfgMaxPairs = 8
	cfgMTU      = 10

	statusLinkUp   = 1
	statusAnnounce = 2

	// virtioMinMTU is the least MTU taken: an IPv4 link's (RFC 791).
	virtioMinMTU  = 68
	defaultMTU    = 1500
	vlanFrameOver = 18 // Ethernet header and one VLAN tag
)

// readIdentity takes address and MTU from the configuration.
func (d *Device) readIdentity() error {
	var mac [6]byte
	mtu := defaultMTU
	err := virtio.ReadConfig(d.t, func(c virtio.Regs) {
		if d.has(FeatMAC) {
			for i := range mac {
				mac[i] = c.Read8(cfgMAC + i)
			}
		}
		if d.has(FeatMTU) {
			mtu = int(c.Read16(cfgMTU))
		}
	})
	if err != nil {
		return err
	}
	if mtu < virtioMinMTU {
		return fmt.Errorf("%s: %w: MTU of %d, need at least %d", d.t.Name(), virtio.ErrBadDevice, mtu, virtioMinMTU)
	}
	if mac[0]&1 != 0 || mac == ([6]byte{}) {
		if d.has(FeatMAC) {
			d.opts.Log(fmt.Sprintf("%s: hardware address %x is not one; using a random one", d.t.Name(), mac))
		}
		// 5.1.5: without an address the driver makes one up: locally
		// administered, not multicast.
		d.net.Rand(mac[:])
		mac[0] = mac[0]&^1 | 2
		d.mac = mac
	}
	// A receive buffer is what is behind rxFrameOff in a page; only merged
	// buffers go beyond.
	limit := d.dev.MaxMTU
	if !d.has(FeatMrgRxbuf) {
		limit = d.pages.PageSize() - rxFrameOff - vlanFrameOver
	}
	if mtu > limit {
		return fmt.Errorf("%s: %w: MTU of %d needs merged receive buffers beyond %d", d.t.Name(), virtio.ErrFeatures, mtu, limit)
	}
	d.dev.MaxMTU = limit
	if d.has(FeatMTU) {
		// 5.1.4.1: with the feature, nothing larger is to be sent.
		d.dev.MaxMTU = mtu
	}
	if err := d.dev.SetMTU(mtu); err != nil {
		return err
	}
	return d.dev.SetHardwareAddr(mac)
}

// linkState takes the link's state over to the carrier. Without STATUS the
// link is always there (5.1.5). The caller holds mu.
func (d *Device) linkState() error {
	up, announce := true, false
	if d.has(FeatStatus) {
		err := virtio.ReadConfig(d.t, func(c virtio.Regs) {
			s := c.Read16(cfgStatus)
			up, announce = s&statusLinkUp != 0, s&statusAnnounce != 0
		})
		if err != nil {
			return err
		}
	}
	if up {
		d.dev.CarrierOn()
	} else {
		d.dev.CarrierOff()
	}
	if !announce || !d.has(FeatGuestAnnounce) {
		return nil
	}
	// 5.1.6.5.4.1: acknowledge, having seen to it that it will be done.
	go d.opts.Announce(d.dev)
	if err := d.command(ctrlAnnounce, ctrlAnnounceAck); !errors.Is(err, errCtrl) {
		return err
	}
	return nil
}

// QueueInterrupt implements [virtio.Handler]. Callbacks are masked by the poll
// when it begins: the ring belongs to the poll, and with EVENT_IDX an event
// that fired is off by itself.
func (d *Device) QueueInterrupt(i int) {
	d.interrupts.Add(1)
	if !d.running.Load() {
		return
	}
	if i != virtio.AnyQueue && i/2 < len(d.pairs) {
		d.pairs[i/2].napi.Schedule()
		return
	}
	for _, p := range d.pairs {
		p.napi.Schedule()
	}
}

// ConfigInterrupt implements [virtio.Handler]. Reading the configuration takes
// the device's lock, so it happens in process context, once for any number of
// interrupts.
func (d *Device) ConfigInterrupt() {
	if d.running.Load() && !d.cfgPending.Swap(true) {
		d.net.Clock().AfterFunc(0, d.configChanged)
	}
}

func (d *Device) configChanged() {
	d.cfgPending.Store(false)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running.Load() {
		return
	}
	if s := d.t.Status(); s&virtio.StatusDeviceNeedsReset != 0 {
		d.fail(fmt.Errorf("device asks for a reset (status %#x)", s))
		return
	}
	if err := d.linkState(); err != nil {
		d.fail(err)
	}
}
