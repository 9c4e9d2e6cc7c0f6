package napi

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// RxModeSetter is implemented by Ops that filter what they receive (Linux:
// ndo_set_rx_mode). It says which frames to pass up beside those for the
// device's own address and broadcast: all, or all multicast ones. It is called
// in process context when that changes, not while the device is closed, and
// after each Open once it was set. An error is logged: the device then receives more or less
// than it should.
type RxModeSetter interface {
	SetRxMode(promisc, allmulti bool) error
}

// maxMulticast bounds the multicast addresses of a device. More than that is
// all multicast, which is asked for with SetAllMulti.
const maxMulticast = 4096

// McastAddr is a multicast address a device receives.
type McastAddr struct {
	Addr  [6]byte
	Users int // how often it was added
}

// rxMode is what a device is to receive (Linux: netdev_hw_addr_list mc,
// promiscuity, allmulti).
type rxMode struct {
	mu       sync.Mutex // across SetRxMode, so that the last change is the one in force
	mc       []McastAddr
	promisc  int
	allmulti int
	asked    atomic.Uint32 // IFF_PROMISC, IFF_ALLMULTI as ChangeFlags set them
}

// AddMulticast has the device receive frames to a multicast address (Linux:
// dev_mc_add). Each call is undone by one DelMulticast. EINVAL when it is not a
// multicast address, ENOBUFS when there are too many. Process context.
func (d *NetDevice) AddMulticast(addr [6]byte) error {
	if addr[0]&1 == 0 {
		return syscall.EINVAL
	}
	r := &d.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.mc {
		if r.mc[i].Addr == addr {
			r.mc[i].Users++
			return nil
		}
	}
	if len(r.mc) >= maxMulticast {
		return syscall.ENOBUFS
	}
	r.mc = append(r.mc, McastAddr{addr, 1})
	d.applyRxMode()
	return nil
}

// DelMulticast undoes one AddMulticast (Linux: dev_mc_del). ENOENT when the
// address is not there. Process context.
func (d *NetDevice) DelMulticast(addr [6]byte) error {
	r := &d.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.mc, func(m McastAddr) bool { return m.Addr == addr })
	if i < 0 {
		return syscall.ENOENT
	}
	if r.mc[i].Users--; r.mc[i].Users == 0 {
		r.mc = slices.Delete(r.mc, i, i+1)
		d.applyRxMode()
	}
	return nil
}

// Multicast returns the multicast addresses the device receives.
func (d *NetDevice) Multicast() []McastAddr {
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	return slices.Clone(d.rx.mc)
}

// SetPromisc adds delta to the number of those who want the device to receive
// everything (Linux: dev_set_promiscuity). EINVAL when it would fall below
// zero. A Change event follows when the first comes or the last goes. Process
// context.
func (d *NetDevice) SetPromisc(delta int) error {
	return d.rxCount(&d.rx.promisc, IFF_PROMISC, delta)
}

// SetAllMulti is SetPromisc for all multicast frames (Linux: dev_set_allmulti).
func (d *NetDevice) SetAllMulti(delta int) error {
	return d.rxCount(&d.rx.allmulti, IFF_ALLMULTI, delta)
}

func (d *NetDevice) rxCount(v *int, flag uint32, delta int) error {
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	was := *v > 0
	if *v+delta < 0 || *v+delta > 1<<30 {
		return syscall.EINVAL
	}
	*v += delta
	is := *v > 0
	if was == is {
		return nil
	}
	word := "left"
	if is {
		d.flags.Or(flag)
		word = "entered"
	} else {
		d.flags.And(^flag)
	}
	if n := d.net.Load(); n != nil {
		mode := "allmulticast"
		if flag == IFF_PROMISC {
			mode = "promiscuous"
		}
		n.Logf("%s: %s %s mode", d.Name(), word, mode)
	}
	d.applyRxMode()
	d.notifyLater(EventChange)
	return nil
}

// Promiscuity returns how many want the device to receive everything
// (IFLA_PROMISCUITY).
func (d *NetDevice) Promiscuity() int {
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	return d.rx.promisc
}

// AllMulti returns how many want the device to receive all multicast frames
// (IFLA_ALLMULTI).
func (d *NetDevice) AllMulti() int {
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	return d.rx.allmulti
}

// applyRxMode tells the driver. The caller holds rx.mu.
func (d *NetDevice) applyRxMode() {
	s, ok := d.Ops.(RxModeSetter)
	if !ok || !d.IsUp() {
		return
	}
	if err := s.SetRxMode(d.rx.promisc > 0, d.rx.allmulti > 0 || len(d.rx.mc) > 0); err != nil {
		if n := d.net.Load(); n != nil {
			n.Logf("napi: %s: receive mode: %v", d.Name(), err)
		}
	}
}

// inUse reports whether anybody said what to receive; until then the driver
// does as it was set up.
func (r *rxMode) inUse() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.promisc > 0 || r.allmulti > 0 || len(r.mc) > 0
}

// flush forgets the addresses and what programs asked for (Linux:
// dev_mc_flush), since those who did are told that the device is gone.
func (r *rxMode) flush() {
	r.mu.Lock()
	r.mc = nil
	r.mu.Unlock()
}

// ChangeFlags sets the flags in mask to those of flags, as a program asks for
// (Linux: dev_change_flags): UP opens or closes the device; PROMISC and ALLMULTI
// count as one who wants it; NOARP, MULTICAST and the like change as they are.
// Others cannot be changed and are left alone. Errors are those of Open.
// Process context.
func (d *NetDevice) ChangeFlags(flags, mask uint32) error {
	for _, c := range [...]struct {
		bit uint32
		set func(int) error
	}{{IFF_PROMISC, d.SetPromisc}, {IFF_ALLMULTI, d.SetAllMulti}} {
		if mask&c.bit == 0 {
			continue
		}
		if flags&c.bit != 0 {
			if d.rx.asked.Or(c.bit)&c.bit == 0 {
				c.set(1)
			}
		} else if d.rx.asked.And(^c.bit)&c.bit != 0 {
			c.set(-1)
		}
	}
	const plain = IFF_NOARP | IFF_MULTICAST | IFF_DEBUG | IFF_NOTRAILERS | IFF_DYNAMIC | IFF_PORTSEL | IFF_AUTOMEDIA
	old := d.flags.Load()
	d.SetFlags(flags&mask&plain, ^flags&mask&plain)
	if mask&IFF_UP != 0 {
		if flags&IFF_UP == 0 {
			d.Close()
		} else if err := d.Open(); err != nil {
			return err
		}
	}
	if (old^d.flags.Load())&plain != 0 {
		return d.configure(EventChange, func() error { return nil })
	}
	return nil
}

// NotifyPeers asks for the neighbours to be told where this device is, as after
// a move to another host (Linux: netdev_notify_peers). Any context.
func (d *NetDevice) NotifyPeers() { d.notifyLater(EventNotifyPeers) }

// QueueLen returns how many packets each transmit queue holds (tx_queue_len).
func (d *NetDevice) QueueLen() int {
	if n := d.txQueueLen.Load(); n != 0 {
		return int(n) - 1
	}
	return d.TxQueueLen
}

// SetQueueLen changes how many packets each transmit queue holds (Linux:
// dev_change_tx_queue_len). ERANGE when it does not fit 32 bits. Packets
// that wait already stay.
func (d *NetDevice) SetQueueLen(n int) error {
	if n < 0 || n > 1<<32-1 {
		return syscall.ERANGE
	}
	return d.configure(EventTxQueueLen, func() error {
		d.txQueueLen.Store(int64(n) + 1)
		return nil
	})
}
