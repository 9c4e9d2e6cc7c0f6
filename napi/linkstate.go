package napi

import "syscall"

// OperState is the operational status of RFC 2863 (Linux: IF_OPER_*).
type OperState uint8

// Operational states. Values are those of IFLA_OPERSTATE.
const (
	OperUnknown        OperState = 0 // nothing was ever said of the carrier
	OperDown           OperState = 2
	OperLowerLayerDown OperState = 3 // the other end, or what it stands on, is down
	OperUp             OperState = 6
)

// String returns the word of /sys/class/net/NAME/operstate.
func (s OperState) String() string {
	switch s {
	case OperDown:
		return "down"
	case OperLowerLayerDown:
		return "lowerlayerdown"
	case OperUp:
		return "up"
	}
	return "unknown"
}

// OperState returns the device's operational status (Linux: default_operstate).
// A device whose carrier never turned is not watched, and its state is unknown
// while it is open.
func (d *NetDevice) OperState() OperState {
	switch {
	case !d.IsUp():
		return OperDown
	case !d.CarrierOK() && d.Iflink() != d.Ifindex():
		return OperLowerLayerDown
	case !d.CarrierOK():
		return OperDown
	case !d.watched.Load():
		return OperUnknown
	}
	return OperUp
}

// Iflink returns the index of the device this one stands on or is joined to,
// as seen in that one's namespace; its own when there is none (Linux:
// dev_get_iflink).
func (d *NetDevice) Iflink() int32 {
	if p := VethPeer(d); p != nil {
		return p.Ifindex()
	}
	return d.Ifindex()
}

// CarrierChanges returns how often the carrier came and went since the device
// was registered (Linux: carrier_up_count, carrier_down_count).
func (d *NetDevice) CarrierChanges() (up, down uint32) { return d.ups.Load(), d.downs.Load() }

// CarrierChanger is implemented by Ops that let a program turn the carrier
// (Linux: ndo_change_carrier).
type CarrierChanger interface {
	ChangeCarrier(dev *NetDevice, on bool) error
}

// ChangeCarrier turns the carrier as a program wishes (Linux:
// dev_change_carrier). EOPNOTSUPP where it is the wire's.
func (d *NetDevice) ChangeCarrier(on bool) error {
	c, ok := d.Ops.(CarrierChanger)
	if !ok {
		return syscall.EOPNOTSUPP
	}
	return c.ChangeCarrier(d, on)
}

// Who gave a device its address (Linux: NET_ADDR_*) and its name (NET_NAME_*).
const (
	addrPermanent   = 0
	addrRandom      = 1
	addrSet         = 3
	nameEnum        = 1 // by the kernel, a number in order
	namePredictable = 2
	nameUser        = 3
	nameRenamed     = 4
)

// AddrAssign tells where the link-layer address comes from, as NET_ADDR_*.
func (d *NetDevice) AddrAssign() uint8 { return uint8(d.addrAssign.Load()) }

// NameAssign tells where the name comes from, as NET_NAME_*.
func (d *NetDevice) NameAssign() uint8 {
	if n := d.nameAssign.Load(); n != 0 {
		return uint8(n)
	}
	switch {
	case d.Type == ARPHRD_LOOPBACK:
		return namePredictable
	case d.Kind() != "":
		return nameUser
	}
	return nameEnum
}

// Activated reports whether the device was ever opened; only then has it the
// queueing discipline of its kind (Linux: attach_default_qdiscs).
func (d *NetDevice) Activated() bool { return d.activated.Load() }
