package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// Attributes and flags of addresses (Linux: IFA_*).
const (
	ifaAddress    = 1
	ifaLocal      = 2
	ifaLabel      = 3
	ifaBroadcast  = 4
	ifaCacheInfo  = 6
	ifaFlags      = 8
	ifaRtPriority = 9
	ifaTargetNS   = 10
	ifaProto      = 11
	ifaddrmsgLen  = 8

	ifaFSecondary = 0x01
	ifaFPermanent = 0x80
)

// addrPolicy is ifa_ipv4_policy.
var addrPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ifaAddress:    {Kind: netlink.U32},
	ifaLocal:      {Kind: netlink.U32},
	ifaLabel:      {Kind: netlink.String, Len: ifNameSize - 1},
	ifaBroadcast:  {Kind: netlink.U32},
	ifaCacheInfo:  {Kind: netlink.Unspec, Len: 16},
	ifaFlags:      {Kind: netlink.U32},
	ifaRtPriority: {Kind: netlink.U32},
	ifaTargetNS:   {Kind: netlink.U32},
	ifaProto:      {Kind: netlink.U8},
}}

// devAddr is an address with its device.
type devAddr struct {
	dev *napi.NetDevice
	ifa ip.Ifaddr
}

// addrFilter reads of which device a list of addresses is to be, 0 for all
// (Linux: inet_valid_dump_ifaddr_req).
func (r *Route) addrFilter(q *request) (index int32, err error) {
	if !q.Strict() {
		return 0, nil
	}
	if len(q.Data) < ifaddrmsgLen {
		return 0, q.fail(syscall.EINVAL, "ipv4: Invalid header for address dump request")
	}
	if q.Data[1] != 0 || q.Data[2] != 0 || q.Data[3] != 0 {
		return 0, q.fail(syscall.EINVAL, "ipv4: Invalid values in header for address dump request")
	}
	a, err := q.Parse(ifaddrmsgLen, &addrPolicy, true)
	if err != nil {
		return 0, err
	}
	if !only(a) {
		return 0, q.fail(syscall.EINVAL, "ipv4: Unsupported attribute in dump request")
	}
	if index = int32(binary.NativeEndian.Uint32(q.Data[4:])); index != 0 && r.dev.DevByIndex(index) == nil {
		return 0, syscall.ENODEV
	}
	return index, nil
}

func (r *Route) dumpAddrs(q *request) error {
	index, err := r.addrFilter(q)
	if err != nil {
		return err
	}
	var list []devAddr
	for _, dev := range r.dev.Devs() {
		if index != 0 && dev.Ifindex() != index {
			continue
		}
		if d := r.ip.InDev(dev.Ifindex()); d != nil {
			for _, a := range d.Addrs() {
				list = append(list, devAddr{dev, a})
			}
		}
	}
	return q.Dump(netlink.Dump{Seq: r.seq(genAddr), Filtered: index != 0, Next: netlink.List(list, func(b *netlink.Builder, a devAddr) {
		r.putAddr(b, rtmNewAddr, a.dev, &a.ifa)
	})})
}

// putAddr is inet_fill_ifaddr.
func (r *Route) putAddr(b *netlink.Builder, typ uint16, dev *napi.NetDevice, a *ip.Ifaddr) {
	b.Begin(typ, 0)
	flags := a.Flags &^ (ifaFPermanent | ifaFSecondary)
	if a.ValidLft == ip.Forever {
		flags |= ifaFPermanent
	}
	if a.Secondary {
		flags |= ifaFSecondary
	}
	var h [ifaddrmsgLen]byte
	h[0], h[1], h[2], h[3] = afInet, uint8(a.Bits), uint8(flags), uint8(a.Scope)
	binary.NativeEndian.PutUint32(h[4:], uint32(dev.Ifindex()))
	b.Raw(h[:]...)
	if a.Address != 0 {
		b.AttrBE32(ifaAddress, uint32(a.Address))
	}
	b.AttrBE32(ifaLocal, uint32(a.Local))
	if a.Broadcast != 0 {
		b.AttrBE32(ifaBroadcast, uint32(a.Broadcast))
	}
	b.AttrString(ifaLabel, r.label(dev, a))
	if a.Protocol != 0 {
		b.AttrU8(ifaProto, a.Protocol)
	}
	b.AttrU32(ifaFlags, flags)
	if a.Metric != 0 {
		b.AttrU32(ifaRtPriority, a.Metric)
	}
	// What is left of the lifetimes, which count from the last change.
	age := uint32((r.dev.Clock().Now() - a.Updated) / 1e9)
	left := func(l uint32) uint32 {
		if l == ip.Forever || a.ValidLft == ip.Forever {
			return ip.Forever // a permanent address shows no end
		}
		return l - min(age, l)
	}
	var c [16]byte // struct ifa_cacheinfo
	for i, v := range []uint32{left(a.PreferredLft), left(a.ValidLft), uint32(a.Created / (1e9 / userHZ)), uint32(a.Updated / (1e9 / userHZ))} {
		binary.NativeEndian.PutUint32(c[i*4:], v)
	}
	b.Attr(ifaCacheInfo, c[:]...)
	b.End()
}

// newAddr is inet_rtm_newaddr.
func (r *Route) newAddr(q *request) error {
	a, err := q.Parse(ifaddrmsgLen, &addrPolicy, false)
	if err != nil {
		return err
	}
	bits := int(q.Data[1])
	if bits > 32 {
		return q.fail(syscall.EINVAL, "ipv4: Invalid prefix length")
	}
	if !a.Has(ifaLocal) {
		return q.fail(syscall.EINVAL, "ipv4: Local address is not supplied")
	}
	if a.Has(ifaCacheInfo) {
		preferred, valid := binary.NativeEndian.Uint32(a[ifaCacheInfo]), binary.NativeEndian.Uint32(a[ifaCacheInfo][4:])
		if valid == 0 || preferred > valid {
			return q.fail(syscall.EINVAL, "ipv4: address lifetime invalid")
		}
	}
	dev := r.dev.DevByIndex(int32(binary.NativeEndian.Uint32(q.Data[4:])))
	if dev == nil {
		return q.fail(syscall.ENODEV, "ipv4: Device not found")
	}
	if r.ip.InDev(dev.Ifindex()) == nil {
		return syscall.ENOBUFS
	}
	c := ip.AddrConfig{
		Local: header.Addr(a.BE32(ifaLocal)), Bits: bits, Broadcast: header.Addr(a.BE32(ifaBroadcast)),
		Scope: fib.Scope(q.Data[3]), Label: a.Str(ifaLabel), Metric: a.U32(ifaRtPriority), Protocol: a.U8(ifaProto),
		Flags: uint32(q.Data[2]),
	}
	if a.Has(ifaFlags) {
		c.Flags = a.U32(ifaFlags)
	}
	c.Flags &^= ifaFPermanent | ifaFSecondary
	if a.Has(ifaAddress) {
		c.Peer = header.Addr(a.BE32(ifaAddress))
	}
	if a.Has(ifaCacheInfo) {
		c.PreferredLft, c.ValidLft = binary.NativeEndian.Uint32(a[ifaCacheInfo]), binary.NativeEndian.Uint32(a[ifaCacheInfo][4:])
	}
	if c.Local == 0 {
		return nil // as in Linux nothing is added, and that is no error
	}
	err = errnoOf(r.ip.NewAddr(dev, c, q.Flags))
	if err == syscall.EEXIST {
		return q.fail(syscall.EEXIST, "ipv4: Address already assigned")
	}
	return err
}

// delAddr is inet_rtm_deladdr.
func (r *Route) delAddr(q *request) error {
	a, err := q.Parse(ifaddrmsgLen, &addrPolicy, false)
	if err != nil {
		return err
	}
	dev := r.dev.DevByIndex(int32(binary.NativeEndian.Uint32(q.Data[4:])))
	if dev == nil || r.ip.InDev(dev.Ifindex()) == nil {
		return q.fail(syscall.ENODEV, "ipv4: Device not found")
	}
	for _, o := range r.ip.InDev(dev.Ifindex()).Addrs() {
		if a.Has(ifaLocal) && header.Addr(a.BE32(ifaLocal)) != o.Local ||
			a.Has(ifaLabel) && a.Str(ifaLabel) != r.label(dev, &o) ||
			a.Has(ifaAddress) && (int(q.Data[1]) != o.Bits || !o.Match(header.Addr(a.BE32(ifaAddress)))) {
			continue
		}
		return errnoOf(r.ip.DelAddrConfig(dev, ip.AddrConfig{Local: o.Local, Bits: o.Bits, Peer: o.Address}))
	}
	return q.fail(syscall.EADDRNOTAVAIL, "ipv4: Address not found")
}

// label is the address's own, or the device's name.
func (r *Route) label(dev *napi.NetDevice, a *ip.Ifaddr) string {
	if a.Label != "" {
		return a.Label
	}
	return dev.Name()
}
