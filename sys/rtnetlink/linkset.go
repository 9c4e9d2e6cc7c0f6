package rtnetlink

import (
	"encoding/binary"
	"errors"
	"syscall"

	"barewire/napi"
	"barewire/sys/netlink"
)

// errnoOf is the number in an error of another room.
func errnoOf(err error) error {
	if err == nil {
		return nil
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return syscall.EINVAL
}

// setLink is rtnl_setlink.
func (r *Route) setLink(q *request) error {
	dev, a, err := r.link(q, false)
	if err != nil {
		return err
	}
	return r.change(q, dev, a)
}

// newLink is rtnl_newlink: it changes a link that is there, and makes one of a
// kind that is not.
func (r *Route) newLink(q *request) error {
	a, err := q.Parse(ifinfomsgLen, &linkPolicy, false)
	if err != nil {
		return err
	}
	var li netlink.Attrs
	if a.Has(iflaLinkInfo) {
		if li, err = netlink.Parse(a[iflaLinkInfo], &linkInfoPolicy, false, &q.Ack); err != nil {
			return err
		}
	}
	index := int32(binary.NativeEndian.Uint32(q.Data[4:]))
	named := index > 0 || a.Has(iflaIfname) || a.Has(iflaAltIfname)
	dev, err := r.devByRequest(q, a)
	if err != nil && (named || index < 0) {
		return err
	}
	if dev != nil {
		switch {
		case q.Flags&netlink.FlagExcl != 0:
			return syscall.EEXIST
		case q.Flags&netlink.FlagReplace != 0:
			return syscall.EOPNOTSUPP
		case li.Has(iflaInfoData): // no kind here can be changed
			return syscall.EOPNOTSUPP
		}
		return r.change(q, dev, a)
	}
	if q.Flags&netlink.FlagCreate == 0 {
		if named || !a.Has(iflaGroup) {
			return syscall.ENODEV
		}
		for _, dev := range r.group(a.U32(iflaGroup)) {
			if err := r.change(q, dev, a); err != nil {
				return err
			}
		}
		return nil
	}
	if a.Has(iflaMap) {
		return syscall.EOPNOTSUPP
	}
	return r.createLink(q, a, li)
}

// validate is validate_linkmsg.
func validate(q *request, a netlink.Attrs) error {
	for _, t := range []int{iflaAddress, iflaBroadcast} {
		if a.Has(t) && len(a[t]) < 6 {
			return syscall.EINVAL
		}
	}
	return nil
}

// change is do_setlink.
func (r *Route) change(q *request, dev *napi.NetDevice, a netlink.Attrs) error {
	if err := validate(q, a); err != nil {
		return err
	}
	to, err := r.linkNet(q, a, dev.Net())
	if err != nil {
		return err
	}
	byIndex := binary.NativeEndian.Uint32(q.Data[4:]) > 0
	if to != dev.Net() {
		name := ""
		if byIndex {
			name = a.Str(iflaIfname)
		}
		if err := r.moveLink(q, dev, to, name); err != nil {
			return err
		}
	}
	if a.Has(iflaMap) {
		return syscall.EOPNOTSUPP
	}
	if a.Has(iflaAddress) {
		if err := r.setAddress(q, dev, [6]byte(a[iflaAddress])); err != nil {
			return err
		}
	}
	if a.Has(iflaMTU) {
		if err := setMTU(q, dev, a.U32(iflaMTU)); err != nil {
			return err
		}
	}
	if a.Has(iflaGroup) && a.U32(iflaGroup) != dev.Group() {
		if err := dev.SetGroup(a.U32(iflaGroup)); err != nil {
			return errnoOf(err)
		}
	}
	if a.Has(iflaIfname) && byIndex && a.Str(iflaIfname) != "" && a.Str(iflaIfname) != dev.Name() {
		if err := to.ChangeName(dev, a.Str(iflaIfname)); err != nil {
			return errnoOf(err)
		}
	}
	if a.Has(iflaIfalias) {
		if err := dev.SetAlias(a.Str(iflaIfalias)); err != nil {
			return errnoOf(err)
		}
	}
	if a.U32(iflaMaster) != 0 {
		if to.DevByIndex(int32(a.U32(iflaMaster))) == nil {
			return syscall.EINVAL
		}
		return syscall.EOPNOTSUPP
	}
	flags, mask := binary.NativeEndian.Uint32(q.Data[8:]), binary.NativeEndian.Uint32(q.Data[12:])
	if flags != 0 || mask != 0 {
		if mask == 0 {
			mask = ^uint32(0)
		}
		if err := dev.ChangeFlags(flags, mask); err != nil {
			return errnoOf(err)
		}
	}
	if a.Has(iflaCarrier) {
		if err := dev.ChangeCarrier(a.U8(iflaCarrier) != 0); err != nil {
			return errnoOf(err)
		}
	}
	if a.Has(iflaTxQLen) {
		if err := dev.SetQueueLen(int(a.U32(iflaTxQLen))); err != nil {
			return errnoOf(err)
		}
	}
	return nil
}

func (r *Route) setAddress(q *request, dev *napi.NetDevice, addr [6]byte) error {
	if addr == dev.HardwareAddr() {
		return nil
	}
	return errnoOf(dev.SetHardwareAddr(addr))
}

func setMTU(q *request, dev *napi.NetDevice, mtu uint32) error {
	if int(mtu) == dev.MTU() {
		return nil
	}
	err := errnoOf(dev.SetMTU(int(int32(mtu))))
	if err == syscall.EINVAL {
		switch {
		case int32(mtu) < 0 || int(mtu) < dev.MinMTU:
			return q.fail(syscall.EINVAL, "mtu less than device minimum")
		case dev.MaxMTU > 0 && int(mtu) > dev.MaxMTU:
			return q.fail(syscall.EINVAL, "mtu greater than device maximum")
		}
	}
	return err
}

// delLink is rtnl_dellink: links that were made here can be taken away.
func (r *Route) delLink(q *request) error {
	a, err := q.Parse(ifinfomsgLen, &linkPolicy, false)
	if err != nil {
		return err
	}
	index := index32(q.Data[4:])
	if index < 0 {
		return syscall.EINVAL
	}
	if index == 0 && !a.Has(iflaIfname) && !a.Has(iflaAltIfname) && a.Has(iflaGroup) {
		return r.delGroup(a.U32(iflaGroup))
	}
	dev, _, err := r.link(q, false)
	if err != nil {
		return err
	}
	if dev.Kind() == "" {
		return syscall.EOPNOTSUPP
	}
	return r.removeLink(dev)
}

// group returns the devices of a group.
func (r *Route) group(g uint32) (l []*napi.NetDevice) {
	for _, dev := range r.dev.Devs() {
		if dev.Group() == g {
			l = append(l, dev)
		}
	}
	return l
}

// delGroup takes away all devices of a group, if that can be done with each
// (Linux: rtnl_group_dellink). The group of those without one is left alone:
// EPERM.
func (r *Route) delGroup(g uint32) error {
	if g == 0 {
		return syscall.EPERM
	}
	l := r.group(g)
	if len(l) == 0 {
		return syscall.ENODEV
	}
	for _, dev := range l {
		if dev.Kind() == "" {
			return syscall.EOPNOTSUPP
		}
	}
	for _, dev := range l {
		if dev.Net() == r.dev && r.dev.DevByIndex(dev.Ifindex()) == dev { // it may have gone with its peer
			r.removeLink(dev)
		}
	}
	return nil
}
