package napi

import (
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
)

// Interface flags, with Linux's values (include/uapi/linux/if.h).
const (
	IFF_UP          = 1 << 0
	IFF_BROADCAST   = 1 << 1
	IFF_DEBUG       = 1 << 2
	IFF_LOOPBACK    = 1 << 3
	IFF_POINTOPOINT = 1 << 4
	IFF_NOTRAILERS  = 1 << 5
	IFF_RUNNING     = 1 << 6 // up and carrier present
	IFF_NOARP       = 1 << 7
	IFF_PROMISC     = 1 << 8
	IFF_ALLMULTI    = 1 << 9
	IFF_MULTICAST   = 1 << 12
	IFF_PORTSEL     = 1 << 13
	IFF_AUTOMEDIA   = 1 << 14
	IFF_DYNAMIC     = 1 << 15
	IFF_LOWER_UP    = 1 << 16
)

// Hardware types of a device (Linux: ARPHRD_*).
const (
	ARPHRD_ETHER    = 1
	ARPHRD_LOOPBACK = 772
	ARPHRD_NONE     = 0xfffe // bare packets
)

// Features says what a device does in hardware (Linux: netdev_features_t).
type Features uint32

// Device features (Linux: NETIF_F_*).
const (
	FeatureSG       Features = 1 << iota // takes page fragments
	FeatureHWCsum                        // completes ChecksumPartial of any protocol
	FeatureRxCsum                        // verifies checksums on receive
	FeatureTSO                           // cuts TCPv4 super-packets
	FeatureTSOECN                        // ... with CWR set
	FeatureFragList                      // takes frag lists
	FeatureLRO                           // hands up merged TCP segments
)

// DefaultTxQueueLen is tx_queue_len of an Ethernet device in packets.
const DefaultTxQueueLen = 1000

// NetDevice is a network device (Linux: struct net_device). The exported
// fields are set by the driver before RegisterNetdev and constant afterwards,
// except for the counters.
type NetDevice struct {
	Ops           Ops
	Type          uint16  // ARPHRD_*
	HardHeaderLen int     // bytes of link header that transmit pushes; 0 for a device of bare packets
	AddrLen       int     // bytes of a hardware address
	Broadcast     [6]byte // link-layer broadcast address
	MinMTU        int     // bytes of payload, as MTU
	MaxMTU        int
	TxQueueLen    int // packets each queue holds at first; see QueueLen
	TxQueues      []*TxQueue
	Priv          any // the driver's own

	Stats DevStats

	name       atomic.Pointer[string]
	ifindex    atomic.Int32
	net        atomic.Pointer[Net]
	registered atomic.Bool // changed under rtnl

	addr     atomic.Uint64 // hardware address, first byte lowest
	mtu      atomic.Int32
	flags    atomic.Uint32 // IFF_*, without RUNNING and LOWER_UP
	features atomic.Uint32 // those in use
	masks    featureMasks
	noLink   atomic.Bool // carrier absent
	// Turns of the carrier, and whether there was one, or the driver began
	// without: only then does the device take part in link watching.
	ups, downs atomic.Uint32
	watched    atomic.Bool
	activated  atomic.Bool // was opened once
	altNames   atomic.Pointer[[]string]
	alias      atomic.Pointer[string]
	group      atomic.Uint32
	addrAssign atomic.Uint32 // NET_ADDR_*
	nameAssign atomic.Uint32 // NET_NAME_*, 0 for the usual of its kind

	napis  atomic.Pointer[[]*NAPI]
	rxqs   atomic.Pointer[[]*RxQueue] // never empty
	realTx atomic.Int32               // transmit queues in use, see SetRealTxQueues
	groOff atomic.Bool
	mod    moderation

	txQueueLen atomic.Int64 // one more than it is; 0: TxQueueLen
	rx         rxMode
}

// AllocNetdev makes a device with txqs transmit queues (Linux:
// alloc_netdev_mqs). The name may end in %d. It is not known to any stack
// before RegisterNetdev.
func AllocNetdev(name string, ops Ops, txqs int) *NetDevice {
	d := &NetDevice{Ops: ops, TxQueueLen: DefaultTxQueueLen}
	d.name.Store(&name)
	d.growRxQueues(1)
	d.GrowTxQueues(max(1, txqs))
	return d
}

// EtherSetup gives dev the properties of an Ethernet device (Linux:
// ether_setup).
func EtherSetup(dev *NetDevice) {
	dev.Type = ARPHRD_ETHER
	dev.HardHeaderLen = EthHdrLen
	dev.AddrLen = 6
	dev.Broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	dev.MinMTU = 68 // RFC 791: what every IPv4 link must carry
	dev.MaxMTU = 65535
	dev.mtu.Store(1500)
	dev.flags.Store(IFF_BROADCAST | IFF_MULTICAST)
}

// Name returns the interface name, "eth0".
func (d *NetDevice) Name() string { return *d.name.Load() }

// Ifindex returns the interface index, 0 before registration.
func (d *NetDevice) Ifindex() int32 { return d.ifindex.Load() }

// Net returns the stack the device is registered with, or was, nil before.
func (d *NetDevice) Net() *Net { return d.net.Load() }

// MTU returns the largest payload of a frame in bytes.
func (d *NetDevice) MTU() int { return int(d.mtu.Load()) }

// MTUChanger is implemented by Ops that must know of a new MTU beforehand or
// may refuse it (Linux: ndo_change_mtu).
type MTUChanger interface {
	ChangeMTU(dev *NetDevice, mtu int) error
}

// AddrSetter is implemented by Ops that must know of a new hardware address or
// may refuse it (Linux: ndo_set_mac_address).
type AddrSetter interface {
	SetAddr(dev *NetDevice, addr [6]byte) error
}

// SetMTU changes the MTU (Linux: dev_set_mtu). EINVAL when it is not within
// MinMTU and MaxMTU, or the driver's error.
func (d *NetDevice) SetMTU(mtu int) error {
	if mtu < d.MinMTU || d.MaxMTU > 0 && mtu > d.MaxMTU {
		return fmt.Errorf("napi: %s: MTU %d outside %d..%d: %w", d.Name(), mtu, d.MinMTU, d.MaxMTU, syscall.EINVAL)
	}
	return d.configure(EventChangeMTU, func() error {
		if c, ok := d.Ops.(MTUChanger); ok && d.net.Load() != nil {
			if err := c.ChangeMTU(d, mtu); err != nil {
				return err
			}
		}
		d.mtu.Store(int32(mtu))
		return nil
	})
}

// HardwareAddr returns the link-layer address.
func (d *NetDevice) HardwareAddr() [6]byte {
	a := d.addr.Load()
	return [6]byte{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24), byte(a >> 32), byte(a >> 40)}
}

// SetHardwareAddr changes the link-layer address (Linux: dev_set_mac_address).
// EADDRNOTAVAIL for a multicast or zero address, or the driver's error.
func (d *NetDevice) SetHardwareAddr(addr [6]byte) error {
	if addr[0]&1 != 0 || addr == ([6]byte{}) {
		return syscall.EADDRNOTAVAIL
	}
	return d.configure(EventChangeAddr, func() error {
		if c, ok := d.Ops.(AddrSetter); ok && d.net.Load() != nil {
			if err := c.SetAddr(d, addr); err != nil {
				return err
			}
		}
		d.addr.Store(mac48(addr[:]))
		if d.registered.Load() {
			d.addrAssign.Store(addrSet)
		}
		return nil
	})
}

// configure runs f and announces ev when it succeeded. Before registration
// nobody is there to be told.
func (d *NetDevice) configure(ev Event, f func() error) error {
	n := d.net.Load()
	if n == nil {
		return f()
	}
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	if err := f(); err != nil {
		return err
	}
	if d.here(n) {
		n.notify(ev, d)
	}
	return nil
}

// Flags returns the interface flags (Linux: dev_get_flags).
func (d *NetDevice) Flags() uint32 {
	f := d.flags.Load()&^(IFF_PROMISC|IFF_ALLMULTI) | d.rx.asked.Load()
	if d.CarrierOK() {
		f |= IFF_LOWER_UP
		if f&IFF_UP != 0 {
			f |= IFF_RUNNING
		}
	}
	return f
}

// SetFlags sets and clears flags other than UP, RUNNING and LOWER_UP, which
// follow from Open, Close and the carrier, and PROMISC and ALLMULTI, which are
// counted. It is for drivers; ChangeFlags is what a program does.
func (d *NetDevice) SetFlags(set, clear uint32) {
	const derived = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_PROMISC | IFF_ALLMULTI
	d.flags.Or(set &^ derived)
	d.flags.And(^(clear &^ derived))
}

// IsUp reports whether the device is open.
func (d *NetDevice) IsUp() bool { return d.flags.Load()&IFF_UP != 0 }

// Features returns what the device does in hardware.
func (d *NetDevice) Features() Features { return Features(d.features.Load()) }

// CarrierOn notes that the link is there (Linux: netif_carrier_on). Any
// context; the Change event follows in process context.
func (d *NetDevice) CarrierOn() { d.setCarrier(true) }

// CarrierOff notes that the link is gone (Linux: netif_carrier_off). Packets
// to transmit are dropped until it is back.
func (d *NetDevice) CarrierOff() { d.setCarrier(false) }

// CarrierOK reports whether the link is there; true until a driver says
// otherwise.
func (d *NetDevice) CarrierOK() bool { return !d.noLink.Load() }

func (d *NetDevice) setCarrier(on bool) {
	if d.noLink.Swap(!on) == !on {
		return
	}
	d.watched.Store(true)
	if d.registered.Load() {
		if on {
			d.ups.Add(1)
		} else {
			d.downs.Add(1)
		}
	}
	// Nobody asks for the link of a device that is down (linkwatch_do_dev).
	d.notifyIf(EventChange, (*NetDevice).IsUp)
}

// here reports whether d is registered with n. The caller holds n's rtnl.
func (d *NetDevice) here(n *Net) bool { return d.net.Load() == n && d.registered.Load() }

// notifyLater announces ev in process context: the caller may be softirq or
// hold rtnl (Linux: linkwatch).
func (d *NetDevice) notifyLater(ev Event) { d.notifyIf(ev, func(*NetDevice) bool { return true }) }

// notifyIf is notifyLater if only is true when the time has come.
func (d *NetDevice) notifyIf(ev Event, only func(*NetDevice) bool) {
	if n := d.net.Load(); n != nil {
		go func() {
			n.rtnl.Lock()
			defer n.rtnl.Unlock()
			if d.here(n) && only(d) {
				n.notify(ev, d)
			}
		}()
	}
}

// AddNAPI makes a polling context of the device (Linux: netif_napi_add). It is
// disabled. weight 0 means DefaultWeight.
func (d *NetDevice) AddNAPI(p Poller, weight int) *NAPI {
	if weight <= 0 {
		weight = DefaultWeight
	}
	n := &NAPI{dev: d, poller: p, weight: weight, gro: &gro{}}
	n.state.Store(napiOff)
	for {
		old := d.napis.Load()
		l := []*NAPI{n}
		if old != nil {
			l = append(slices.Clone(*old), n)
		}
		d.growRxQueues(len(l))
		n.rxq = d.RxQueues()[len(l)-1]
		if d.napis.CompareAndSwap(old, &l) {
			return n
		}
	}
}

// NAPIs returns the device's polling contexts. The slice is shared and must
// not be changed.
func (d *NetDevice) NAPIs() []*NAPI {
	if p := d.napis.Load(); p != nil {
		return *p
	}
	return nil
}

// Open brings the device up (Linux: dev_open). Nil when it is up already;
// ENODEV when it is not registered, or the driver's error.
func (d *NetDevice) Open() error {
	n := d.net.Load()
	if n == nil {
		return fmt.Errorf("napi: %s: %w", d.Name(), syscall.ENODEV)
	}
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	if !d.here(n) {
		return fmt.Errorf("napi: %s: %w", d.Name(), syscall.ENODEV)
	}
	if d.IsUp() {
		return nil
	}
	for _, q := range d.TxQueues {
		q.stopped.Store(false)
	}
	// Before ndo_open, as Linux sets __LINK_STATE_START: the first packet may
	// arrive inside it.
	d.flags.Or(IFF_UP)
	d.activated.Store(true)
	if err := d.Ops.Open(d); err != nil {
		d.flags.And(^uint32(IFF_UP))
		return err
	}
	for _, q := range d.TxQueues[:d.realTx.Load()] {
		q.activate()
	}
	if d.rx.inUse() {
		d.rx.mu.Lock()
		d.applyRxMode()
		d.rx.mu.Unlock()
	}
	n.notify(EventUp, d)
	return nil
}

// Close takes the device down (Linux: dev_close). Queued packets are dropped;
// none is received or transmitted after it returns. Process context only.
func (d *NetDevice) Close() {
	n := d.net.Load()
	if n == nil {
		return
	}
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	if d.net.Load() == n {
		n.close(d)
	}
}

// close is Close; the caller holds rtnl.
func (n *Net) close(d *NetDevice) {
	if !d.IsUp() {
		return
	}
	n.notify(EventGoingDown, d)
	d.flags.And(^uint32(IFF_UP))
	for _, q := range d.TxQueues {
		q.deactivate()
	}
	if err := d.Ops.Stop(d); err != nil {
		n.Logf("napi: %s: stop: %v", d.Name(), err) // it is down all the same, as in Linux
	}
	for _, s := range n.softs {
		s.flushBacklog(d)
	}
	n.notify(EventDown, d)
}
