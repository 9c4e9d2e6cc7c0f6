package napi

import (
	"slices"
	"syscall"
)

// MaxAltNames bounds the alternative names of a device, so that a list of them
// fits one attribute with room for one more (Linux bounds its bytes).
const MaxAltNames = 256

// altNameLen is what an alternative name may have in bytes (Linux: ALTIFNAMSIZ
// less the zero byte).
const altNameLen = 127

// Kind is the word for devices that a program makes, "" for hardware and
// loopback (Linux: rtnl_link_ops.kind).
func (d *NetDevice) Kind() string {
	switch d.Ops.(type) {
	case *veth:
		return "veth"
	case *Tun:
		return "tun"
	case dummy:
		return "dummy"
	}
	return ""
}

// Alias returns the text an administrator gave the device (Linux: ifalias).
func (d *NetDevice) Alias() string {
	if p := d.alias.Load(); p != nil {
		return *p
	}
	return ""
}

// MaxAlias bounds an alias in bytes (Linux: IFALIASZ less the zero byte).
const MaxAlias = 255

// SetAlias changes the text; EINVAL when it is too long (Linux: dev_set_alias).
func (d *NetDevice) SetAlias(s string) error {
	if len(s) > MaxAlias {
		return syscall.EINVAL
	}
	return d.configure(EventChange, func() error { d.alias.Store(&s); return nil })
}

// Group returns the number of the device's group, 0 at first.
func (d *NetDevice) Group() uint32 { return d.group.Load() }

// SetGroup changes it (Linux: dev_set_group).
func (d *NetDevice) SetGroup(g uint32) error {
	return d.configure(EventChange, func() error { d.group.Store(g); return nil })
}

// AltNames returns the other names DevByName finds the device under. The slice
// is shared and must not be changed.
func (d *NetDevice) AltNames() []string {
	if p := d.altNames.Load(); p != nil {
		return *p
	}
	return nil
}

// AddAltName gives a registered device another name to be found under (Linux:
// netdev_name_node_alt_create). It is announced as Change. EINVAL for a bad one
// or too many, EEXIST for a taken one, ENODEV when dev is not registered here.
func (n *Net) AddAltName(dev *NetDevice, name string) error {
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	switch {
	case !dev.here(n):
		return syscall.ENODEV
	case name == "" || len(name) > altNameLen || len(dev.AltNames()) >= MaxAltNames:
		return syscall.EINVAL
	case n.DevByName(name) != nil:
		return syscall.EEXIST
	}
	n.setAltNames(dev, append(slices.Clone(dev.AltNames()), name))
	return nil
}

// DelAltName takes it away (Linux: netdev_name_node_alt_destroy). ENOENT when
// there is no such name, EINVAL when it is not an alternative name of dev.
func (n *Net) DelAltName(dev *NetDevice, name string) error {
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	switch {
	case !dev.here(n):
		return syscall.ENODEV
	case n.DevByName(name) == nil:
		return syscall.ENOENT
	case !slices.Contains(dev.AltNames(), name):
		return syscall.EINVAL
	}
	n.setAltNames(dev, slices.DeleteFunc(slices.Clone(dev.AltNames()), func(s string) bool { return s == name }))
	return nil
}

// setAltNames enters the list; the caller holds rtnl.
func (n *Net) setAltNames(dev *NetDevice, l []string) {
	dev.altNames.Store(&l)
	n.devs.Store(newDevTable(n.devs.Load().list))
	n.notify(EventChange, dev)
}
