package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/sys/netlink"
)

// Attributes of links (Linux: IFLA_*).
const (
	iflaAddress        = 1
	iflaBroadcast      = 2
	iflaIfname         = 3
	iflaMTU            = 4
	iflaLink           = 5
	iflaQdisc          = 6
	iflaStats          = 7
	iflaMaster         = 10
	iflaTxQLen         = 13
	iflaMap            = 14
	iflaOperState      = 16
	iflaLinkMode       = 17
	iflaLinkInfo       = 18
	iflaIfalias        = 20
	iflaStats64        = 23
	iflaAFSpec         = 26
	iflaGroup          = 27
	iflaExtMask        = 29
	iflaPromiscuity    = 30
	iflaNumTxQueues    = 31
	iflaNumRxQueues    = 32
	iflaCarrier        = 33
	iflaCarrierChanges = 35
	iflaProtoDown      = 39
	iflaGSOMaxSegs     = 40
	iflaGSOMaxSize     = 41
	iflaXDP            = 43
	iflaMinMTU         = 50
	iflaMaxMTU         = 51
	iflaAltIfname      = 53
	iflaInfoKind       = 1
	iflaInfoData       = 2
	iflaInetConf       = 1
	ifinfomsgLen       = 16
	ifNameSize         = 16
)

// States of RFC 2863 (Linux: IF_OPER_*).
const (
	operUnknown   = 0
	operDown      = 2
	operLowerDown = 7
	operUp        = 6
)

// linkPolicy is ifla_policy.
var linkPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	iflaAddress:     {Kind: netlink.Binary, Len: 32},
	iflaBroadcast:   {Kind: netlink.Binary, Len: 32},
	iflaIfname:      {Kind: netlink.String, Len: ifNameSize - 1},
	iflaMTU:         {Kind: netlink.U32},
	iflaLink:        {Kind: netlink.U32},
	iflaMaster:      {Kind: netlink.U32},
	iflaTxQLen:      {Kind: netlink.U32},
	iflaMap:         {Kind: netlink.Unspec, Len: 32},
	iflaOperState:   {Kind: netlink.U8},
	iflaLinkMode:    {Kind: netlink.U8},
	iflaLinkInfo:    {Kind: netlink.Nested},
	iflaIfalias:     {Kind: netlink.String, Len: 255},
	iflaAFSpec:      {Kind: netlink.Nested},
	iflaGroup:       {Kind: netlink.U32},
	iflaExtMask:     {Kind: netlink.U32},
	iflaPromiscuity: {Kind: netlink.U32},
	iflaNumTxQueues: {Kind: netlink.U32},
	iflaNumRxQueues: {Kind: netlink.U32},
	iflaCarrier:     {Kind: netlink.U8},
	iflaProtoDown:   {Kind: netlink.U8},
	iflaAltIfname:   {Kind: netlink.String, Len: 127},
}}

var linkInfoPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	iflaInfoKind: {Kind: netlink.String},
	iflaInfoData: {Kind: netlink.Nested},
}}

// linkProps are properties of a link that nothing but these messages knows.
type linkProps struct {
	alias string
	group uint32
	kind  string
}

func (r *Route) prop(dev *napi.NetDevice) linkProps {
	if p, ok := r.props.Load(dev.Ifindex()); ok {
		return p.(linkProps)
	}
	return linkProps{}
}

func (r *Route) dumpLinks(q *request) error {
	var a netlink.Attrs
	var err error
	if len(q.Data) >= ifinfomsgLen {
		if a, err = q.Parse(ifinfomsgLen, &linkPolicy, q.Strict()); err != nil {
			return err
		}
	} else if q.Strict() {
		return q.fail(syscall.EINVAL, "Invalid header for link dump")
	}
	// A request may want only links of a kind or below a master.
	kind := ""
	if a.Has(iflaLinkInfo) {
		li, err := netlink.Parse(a[iflaLinkInfo], &linkInfoPolicy, false, nil)
		if err != nil {
			return err
		}
		kind = li.Str(iflaInfoKind)
	}
	if a.U32(iflaMaster) != 0 {
		return q.Dump(empty()) // nothing has a master
	}
	return q.Dump(netlink.Dump{Seq: r.seq(genLink), Next: netlink.List(r.dev.Devs(), func(b *netlink.Builder, dev *napi.NetDevice) {
		if kind == "" || kind == r.kind(dev) {
			r.putLink(b, rtmNewLink, dev, q.family)
		}
	})})
}

// devByRequest finds the device a request names by index or name. nil without
// error: it names one that is not there.
func (r *Route) devByRequest(q *request, a netlink.Attrs) (*napi.NetDevice, error) {
	index := int32(binary.NativeEndian.Uint32(q.Data[4:]))
	switch {
	case index > 0:
		return r.dev.DevByIndex(index), nil
	case index < 0:
		return nil, q.fail(syscall.EINVAL, "ifindex can't be negative")
	case a.Has(iflaIfname):
		return r.dev.DevByName(a.Str(iflaIfname)), nil
	case a.Has(iflaAltIfname):
		return r.dev.DevByName(a.Str(iflaAltIfname)), nil
	}
	return nil, syscall.EINVAL
}

// getLink is rtnl_getlink.
func (r *Route) getLink(q *request) error {
	a, err := q.Parse(ifinfomsgLen, &linkPolicy, q.Strict())
	if err != nil {
		return err
	}
	dev, err := r.devByRequest(q, a)
	if err != nil {
		return err
	}
	if dev == nil {
		return syscall.ENODEV
	}
	q.Reply(func(b *netlink.Builder) { r.putLink(b, rtmNewLink, dev, afUnspec) })
	return nil
}

// operState is the state of RFC 2863.
func operState(dev *napi.NetDevice, kind string) uint8 {
	switch {
	case !dev.IsUp():
		return operDown
	case dev.Type == napi.ARPHRD_LOOPBACK || kind == "dummy":
		return operUnknown
	case dev.CarrierOK():
		return operUp
	case kind == "veth":
		return operLowerDown
	}
	return operDown
}

// qdiscName is what Linux would have installed; queues here have no
// disciplines to choose from.
func qdiscName(dev *napi.NetDevice, kind string) string {
	switch {
	case dev.Type == napi.ARPHRD_LOOPBACK || kind != "":
		if !dev.IsUp() {
			return "noop"
		}
		return "noqueue"
	case !dev.IsUp():
		return "noop"
	case len(dev.TxQueues) > 1:
		return "mq"
	}
	return "pfifo_fast"
}

// putLink appends a message about a link (Linux: rtnl_fill_ifinfo).
func (r *Route) putLink(b *netlink.Builder, typ uint16, dev *napi.NetDevice, family uint8) {
	p := r.prop(dev)
	kind := r.kind(dev)
	b.Begin(typ, 0)
	var h [ifinfomsgLen]byte
	h[0] = family
	binary.NativeEndian.PutUint16(h[2:], dev.Type)
	binary.NativeEndian.PutUint32(h[4:], uint32(dev.Ifindex()))
	binary.NativeEndian.PutUint32(h[8:], dev.Flags())
	b.Raw(h[:]...)
	b.AttrString(iflaIfname, dev.Name())
	b.AttrU32(iflaTxQLen, uint32(dev.QueueLen()))
	b.AttrU8(iflaOperState, operState(dev, kind))
	b.AttrU8(iflaLinkMode, 0)
	b.AttrU32(iflaMTU, uint32(dev.MTU()))
	b.AttrU32(iflaMinMTU, uint32(dev.MinMTU))
	b.AttrU32(iflaMaxMTU, uint32(dev.MaxMTU))
	b.AttrU32(iflaGroup, p.group)
	b.AttrU32(iflaPromiscuity, uint32(dev.Promiscuity()))
	b.AttrU32(iflaNumTxQueues, uint32(len(dev.TxQueues)))
	b.AttrU32(iflaGSOMaxSegs, 65535)
	b.AttrU32(iflaGSOMaxSize, 65536)
	b.AttrU32(iflaNumRxQueues, uint32(max(1, len(dev.NAPIs()))))
	if n := peerIndex(dev); n != 0 {
		b.AttrU32(iflaLink, uint32(n))
	}
	carrier := uint8(0)
	if dev.CarrierOK() && dev.IsUp() {
		carrier = 1
	}
	b.AttrU8(iflaCarrier, carrier)
	b.AttrString(iflaQdisc, qdiscName(dev, kind))
	if p.alias != "" {
		b.AttrString(iflaIfalias, p.alias)
	}
	b.AttrU32(iflaCarrierChanges, 0)
	b.AttrU8(iflaProtoDown, 0)
	var m [32]byte // struct rtnl_link_ifmap: no ports, no shared memory
	b.Attr(iflaMap, m[:]...)
	hw := dev.HardwareAddr()
	b.Attr(iflaAddress, hw[:]...)
	b.Attr(iflaBroadcast, dev.Broadcast[:]...)
	s := stats64(dev.GetStats())
	var s64 [len(s) * 8]byte
	var s32 [24 * 4]byte
	for i, v := range s {
		binary.NativeEndian.PutUint64(s64[i*8:], v)
		if i < 24 {
			binary.NativeEndian.PutUint32(s32[i*4:], uint32(v))
		}
	}
	b.Attr(iflaStats64, s64[:]...)
	b.Attr(iflaStats, s32[:]...)
	if kind != "" {
		n := b.Nest(iflaLinkInfo, false)
		b.AttrString(iflaInfoKind, kind)
		b.EndNest(n)
	}
	if d := r.ip.InDev(dev.Ifindex()); d != nil {
		n := b.Nest(iflaAFSpec, false)
		f := b.Nest(afInet, false)
		b.Attr(iflaInetConf, devConf(d.Conf)...)
		b.EndNest(f)
		b.EndNest(n)
	}
	b.End()
}

// stats64 orders counters as struct rtnl_link_stats64 does.
func stats64(s napi.LinkStats) [25]uint64 {
	return [25]uint64{
		s.RxPackets, s.TxPackets, s.RxBytes, s.TxBytes, s.RxErrors, s.TxErrors, s.RxDropped, s.TxDropped,
		s.Multicast, s.Collisions, s.RxLengthErrors, s.RxOverErrors, s.RxCRCErrors, s.RxFrameErrors,
		s.RxFifoErrors, s.RxMissedErrors, s.TxAbortedErrors, s.TxCarrierErrors, s.TxFifoErrors,
		0, 0, 0, 0, s.RxNoHandler, 0,
	}
}

// devConf is struct ipv4_devconf as IFLA_INET_CONF has it: the settings in the
// order of IPV4_DEVCONF_*.
func devConf(c *ip.DevConf) []byte {
	v := [...]int32{
		c.Forwarding.Load(), c.McForwarding.Load(), c.ProxyARP.Load(), c.AcceptRedirects.Load(),
		c.SecureRedirects.Load(), c.SendRedirects.Load(), c.SharedMedia.Load(), c.RPFilter.Load(),
		c.AcceptSourceRoute.Load(), c.BootpRelay.Load(), c.LogMartians.Load(), c.Tag.Load(), c.ArpFilter.Load(),
		c.MediumID.Load(), 0, 0, c.ForceIGMPVersion.Load(), c.ArpAnnounce.Load(), c.ArpIgnore.Load(),
		c.PromoteSecondaries.Load(), c.ArpAccept.Load(), c.ArpNotify.Load(), c.AcceptLocal.Load(),
		c.SrcValidMark.Load(), c.ProxyARPPVLAN.Load(), c.RouteLocalnet.Load(), c.IGMPv2ReportInterval.Load(),
		c.IGMPv3ReportInterval.Load(), c.IgnoreLinkdown.Load(), c.DropUnicastInL2Mcast.Load(),
		c.DropGratuitousARP.Load(), c.BcForwarding.Load(), c.ArpEvictNoCarrier.Load(),
	}
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.NativeEndian.AppendUint32(b, uint32(x))
	}
	return b
}

// devEvent announces changes of devices (Linux: rtnetlink_event).
func (r *Route) devEvent(ev napi.Event, dev *napi.NetDevice) {
	r.gen[genLink].Add(1)
	typ := uint16(rtmNewLink)
	switch ev {
	case napi.EventUnregister:
		r.props.Delete(dev.Ifindex())
		typ = rtmDelLink
	case napi.EventGoingDown:
		return
	}
	r.tell(groupLink, func(b *netlink.Builder) { r.putLink(b, typ, dev, afUnspec) })
}
