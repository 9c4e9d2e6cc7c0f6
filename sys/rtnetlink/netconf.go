package rtnetlink

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"syscall"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/sys/netlink"
)

// Attributes of network configuration (Linux: NETCONFA_*), and the two indexes
// that stand for no device.
const (
	netconfIfindex        = 1
	netconfForwarding     = 2
	netconfRPFilter       = 3
	netconfMcForwarding   = 4
	netconfProxyNeigh     = 5
	netconfIgnoreLinkdown = 6
	netconfBcForwarding   = 8
	netconfAll            = -1 // of an Ifindex; of a type, every attribute
	netconfDefault        = -2
	netconfmsgLen         = 1
)

var netconfPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	netconfIfindex:        {Kind: netlink.U32},
	netconfForwarding:     {Kind: netlink.U32},
	netconfRPFilter:       {Kind: netlink.U32},
	netconfProxyNeigh:     {Kind: netlink.U32},
	netconfIgnoreLinkdown: {Kind: netlink.U32},
	netconfBcForwarding:   {Kind: netlink.Unspec},
}}

// putNetconf appends a message about some settings of a device, of all, or of
// those to come (Linux: inet_netconf_fill_devconf). A nil conf leaves the index
// alone.
func putNetconf(b *netlink.Builder, typ uint16, index int32, c *ip.DevConf, what int) {
	b.Begin(typ, 0)
	b.Raw(afInet)
	b.AttrU32(netconfIfindex, uint32(index))
	if c != nil {
		for _, f := range []struct {
			typ uint16
			v   *atomic.Int32
		}{
			{netconfForwarding, &c.Forwarding}, {netconfRPFilter, &c.RPFilter}, {netconfMcForwarding, &c.McForwarding},
			{netconfBcForwarding, &c.BcForwarding}, {netconfProxyNeigh, &c.ProxyARP}, {netconfIgnoreLinkdown, &c.IgnoreLinkdown},
		} {
			if what == netconfAll || what == int(f.typ) {
				b.AttrU32(f.typ, uint32(f.v.Load()))
			}
		}
	}
	b.End()
}

// devConfOf returns the settings an index stands for, nil if there are none.
func (r *Route) devConfOf(index int32) *ip.DevConf {
	switch index {
	case netconfAll:
		return &r.ip.ConfAll
	case netconfDefault:
		return &r.ip.ConfDefault
	}
	if d := r.ip.InDev(index); d != nil {
		return d.Conf
	}
	return nil
}

// getNetconf is inet_netconf_get_devconf.
func (r *Route) getNetconf(q *request) error {
	if len(q.Data) < netconfmsgLen {
		return q.fail(syscall.EINVAL, "ipv4: Invalid header for netconf get request")
	}
	a, err := q.Parse(netconfmsgLen, &netconfPolicy, q.Strict())
	if err != nil {
		return err
	}
	if q.Strict() && !only(a, netconfIfindex) {
		return q.fail(syscall.EINVAL, "ipv4: Unsupported attribute in netconf get request")
	}
	if !a.Has(netconfIfindex) {
		return syscall.EINVAL
	}
	index := int32(a.U32(netconfIfindex))
	c := r.devConfOf(index)
	if c == nil {
		return syscall.ENODEV
	}
	q.Reply(func(b *netlink.Builder) { putNetconf(b, rtmNewNetconf, index, c, netconfAll) })
	return nil
}

// dumpNetconf is inet_netconf_dump_devconf: the devices, then all and default.
func (r *Route) dumpNetconf(q *request) error {
	if q.Strict() {
		if len(q.Data) < netconfmsgLen {
			return q.fail(syscall.EINVAL, "ipv4: Invalid header for netconf dump request")
		}
		if len(q.Data) > 4 {
			return q.fail(syscall.EINVAL, "ipv4: Invalid data after header in netconf dump request")
		}
	}
	var list []int32
	for _, dev := range r.dev.Devs() {
		list = append(list, dev.Ifindex())
	}
	list = append(list, netconfAll, netconfDefault)
	return q.Dump(netlink.Dump{Seq: r.seq(genLink), Next: netlink.List(list, func(b *netlink.Builder, index int32) {
		if c := r.devConfOf(index); c != nil {
			putNetconf(b, rtmNewNetconf, index, c, netconfAll)
		}
	})})
}

func (r *Route) tellNetconf(typ uint16, index int32, c *ip.DevConf, what int) {
	r.tell(groupNetconf, func(b *netlink.Builder) { putNetconf(b, typ, index, c, what) })
}

// netconfEvent announces the settings of a device that came or went. Under
// another name they are other files, so that they go and come (Linux:
// devinet_sysctl_register).
func (r *Route) netconfEvent(ev napi.Event, dev *napi.NetDevice) {
	index := dev.Ifindex()
	if ev == napi.EventUnregister || ev == napi.EventChangeName {
		r.tellNetconf(rtmDelNetconf, index, nil, 0)
	}
	if ev == napi.EventRegister || ev == napi.EventChangeName {
		if c := r.devConfOf(index); c != nil {
			r.tellNetconf(rtmNewNetconf, index, c, netconfAll)
		}
	}
}

// netconfFiles are the settings whose change is announced, by name; read-only.
var netconfFiles = map[string]int{
	"forwarding": netconfForwarding, "rp_filter": netconfRPFilter, "proxy_arp": netconfProxyNeigh,
	"ignore_routes_with_linkdown": netconfIgnoreLinkdown, "bc_forwarding": netconfBcForwarding,
}

// settingChanged announces a setting that somebody wrote (Linux:
// devinet_conf_proc, inet_forward_change).
func (r *Route) settingChanged(name string) {
	if name == "net.ipv4.ip_forward" {
		name = "net.ipv4.conf.all.forwarding"
	}
	rest, ok := strings.CutPrefix(name, "net.ipv4.conf.")
	dev, file, ok2 := strings.Cut(rest, ".")
	what := netconfFiles[file]
	if !ok || !ok2 || what == 0 {
		return
	}
	var to []int32
	switch dev {
	case "all":
		to = []int32{netconfAll}
		if what == netconfForwarding { // it changes every other
			to = append(to, netconfDefault)
			for _, d := range r.dev.Devs() {
				to = append(to, d.Ifindex())
			}
		}
	case "default":
		to = []int32{netconfDefault}
	default:
		if d := r.dev.DevByName(strings.ReplaceAll(dev, "/", ".")); d != nil {
			to = []int32{d.Ifindex()}
		}
	}
	for _, index := range to {
		if c := r.devConfOf(index); c != nil {
			r.tellNetconf(rtmNewNetconf, index, c, what)
		}
	}
}

// index32 reads an index from a message.
func index32(b []byte) int32 { return int32(binary.NativeEndian.Uint32(b)) }
