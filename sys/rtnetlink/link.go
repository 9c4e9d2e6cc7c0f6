package rtnetlink

import (
	"encoding/binary"
	"syscall"

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
	iflaNumVF          = 21
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
	iflaPropList       = 52
	iflaAltIfname      = 53
	iflaNetNSPID       = 19
	iflaNetNSFD        = 28
	iflaCarrierUp      = 47
	iflaCarrierDown    = 48
	iflaTargetNetnsID  = 46
	iflaGROMaxSize     = 58
	iflaTSOMaxSize     = 59
	iflaTSOMaxSegs     = 60
	iflaAllMulti       = 61
	iflaGSOIPv4MaxSize = 63
	iflaGROIPv4MaxSize = 64
	iflaNetnsImmutable = 67
	iflaInfoKind       = 1
	iflaInfoData       = 2
	iflaInetConf       = 1
	iflaXDPAttached    = 2
	ifinfomsgLen       = 16
	ifNameSize         = 16
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
	iflaIfalias:     {Kind: netlink.Binary, Len: napi.MaxAlias}, // a string that may be empty
	iflaAFSpec:      {Kind: netlink.Nested},
	iflaGroup:       {Kind: netlink.U32},
	iflaExtMask:     {Kind: netlink.U32},
	iflaPromiscuity: {Kind: netlink.U32},
	iflaNumTxQueues: {Kind: netlink.U32},
	iflaNumRxQueues: {Kind: netlink.U32},
	iflaCarrier:     {Kind: netlink.U8},
	iflaProtoDown:   {Kind: netlink.U8},
	iflaAltIfname:   {Kind: netlink.String, Len: 127},
	iflaPropList:    {Kind: netlink.Nested},
	iflaNetNSPID:    {Kind: netlink.U32},
	iflaNetNSFD:     {Kind: netlink.U32},

	iflaTargetNetnsID:  {Kind: netlink.U32},
	iflaNumVF:          {Kind: netlink.U32},
	iflaGSOMaxSegs:     {Kind: netlink.U32},
	iflaGSOMaxSize:     {Kind: netlink.U32},
	iflaCarrierChanges: {Kind: netlink.U32},
	iflaMinMTU:         {Kind: netlink.U32},
	iflaMaxMTU:         {Kind: netlink.U32},
}}

var linkInfoPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	iflaInfoKind: {Kind: netlink.String},
	iflaInfoData: {Kind: netlink.Nested},
}}

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
	if q.Strict() {
		switch {
		case q.Data[1] != 0 || q.Data[2]|q.Data[3] != 0 || binary.NativeEndian.Uint64(q.Data[8:]) != 0:
			return q.fail(syscall.EINVAL, "Invalid values in header for link dump request")
		case index32(q.Data[4:]) != 0:
			return q.fail(syscall.EINVAL, "Filter by device index not supported for link dumps")
		case a.Has(iflaTargetNetnsID):
			return q.fail(syscall.EINVAL, "Invalid target network namespace id")
		case !only(a, iflaMaster, iflaLinkInfo, iflaExtMask):
			return q.fail(syscall.EINVAL, "Unsupported attribute in link dump request")
		}
	}
	// A request may want only links of a kind or below a master.
	kind := ""
	if a.Has(iflaLinkInfo) {
		li, err := netlink.Parse(a[iflaLinkInfo], &linkInfoPolicy, false, nil)
		if err != nil {
			return err
		}
		// One that nothing is of, and nothing ever was, filters nothing.
		if k := li.Str(iflaInfoKind); k == "veth" || k == "dummy" {
			kind = k
		}
	}
	if a.U32(iflaMaster) != 0 {
		return q.Dump(empty()) // nothing has a master
	}
	filtered := kind != "" || a.Has(iflaMaster)
	return q.Dump(netlink.Dump{Seq: r.seq(genLink), Filtered: filtered, Next: netlink.List(r.dev.Devs(), func(b *netlink.Builder, dev *napi.NetDevice) {
		if kind == "" || kind == dev.Kind() {
			r.putLink(b, dev, linkMsg{typ: rtmNewLink, family: q.family, ext: a.U32(iflaExtMask)})
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

// link reads a request about one device (Linux: rtnl_dev_get). ENODEV when it is
// not there.
func (r *Route) link(q *request, strict bool) (*napi.NetDevice, netlink.Attrs, error) {
	a, err := q.Parse(ifinfomsgLen, &linkPolicy, strict)
	if err != nil {
		return nil, nil, err
	}
	dev, err := r.devByRequest(q, a)
	if err == nil && dev == nil {
		err = syscall.ENODEV
	}
	return dev, a, err
}

// getLink is rtnl_getlink.
func (r *Route) getLink(q *request) error {
	if q.Strict() && len(q.Data) >= ifinfomsgLen {
		// Only the index may be set (rtnl_valid_getlink_req).
		if q.Data[1] != 0 || q.Data[2]|q.Data[3] != 0 || binary.NativeEndian.Uint64(q.Data[8:]) != 0 {
			return q.fail(syscall.EINVAL, "Invalid values in header for get link request")
		}
	}
	dev, a, err := r.link(q, q.Strict())
	if err != nil {
		return err
	}
	if q.Strict() && !only(a, iflaIfname, iflaAltIfname, iflaExtMask, iflaTargetNetnsID) {
		return q.fail(syscall.EINVAL, "Unsupported attribute in get link request")
	}
	q.Reply(func(b *netlink.Builder) {
		r.putLink(b, dev, linkMsg{typ: rtmNewLink, ext: a.U32(iflaExtMask)})
	})
	return nil
}

// devEvent announces changes of devices (Linux: rtnetlink_event).
func (r *Route) devEvent(ev napi.Event, dev *napi.NetDevice) {
	if ev == napi.EventGoingDown {
		return
	}
	if ev == napi.EventRegister || ev == napi.EventUnregister {
		r.gen[genLink].Add(1) // Linux: dev_base_seq
	}
	r.netconfEvent(ev, dev)
	// What follows from the carrier is no change of flags.
	const derived = napi.IFF_RUNNING | napi.IFF_LOWER_UP
	m := linkMsg{typ: rtmNewLink, change: (r.flags[dev] ^ dev.Flags()) &^ derived}
	r.flags[dev] = dev.Flags()
	switch ev {
	case napi.EventRegister:
		m.change = ^uint32(0)
	case napi.EventUnregister:
		m.typ, m.change = rtmDelLink, ^uint32(0)
		delete(r.flags, dev)
	}
	r.tellLink(dev, m)
}

func (r *Route) tellLink(dev *napi.NetDevice, m linkMsg) {
	r.tell(groupLink, func(b *netlink.Builder) { r.putLink(b, dev, m) })
}
