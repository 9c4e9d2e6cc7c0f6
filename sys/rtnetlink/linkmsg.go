package rtnetlink

import (
	"encoding/binary"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/sys/netlink"
)

// skipStats of IFLA_EXT_MASK leaves the counters out (Linux:
// RTEXT_FILTER_SKIP_STATS).
const skipStats = 1 << 3

// qdiscName is what Linux would have installed: nothing before the device was
// opened once, and no queue where the driver has none.
func qdiscName(dev *napi.NetDevice) string {
	switch {
	case !dev.Activated():
		return "noop"
	case dev.Type == napi.ARPHRD_LOOPBACK || dev.Kind() != "":
		return "noqueue"
	case len(dev.TxQueues) > 1:
		return "mq"
	}
	return "pfifo_fast"
}

// linkMsg says what a message about a link is for.
type linkMsg struct {
	typ    uint16
	family uint8
	ext    uint32 // the request's IFLA_EXT_MASK
	change uint32 // flags that turned; all for a link that came or went
	newNS  bool   // it went to another namespace and is not gone
}

// putLink appends a message about a link (Linux: rtnl_fill_ifinfo).
func (r *Route) putLink(b *netlink.Builder, dev *napi.NetDevice, m linkMsg) {
	kind := dev.Kind()
	b.Begin(m.typ, 0)
	var h [ifinfomsgLen]byte
	h[0] = m.family
	binary.NativeEndian.PutUint16(h[2:], dev.Type)
	binary.NativeEndian.PutUint32(h[4:], uint32(dev.Ifindex()))
	binary.NativeEndian.PutUint32(h[8:], dev.Flags())
	binary.NativeEndian.PutUint32(h[12:], m.change)
	b.Raw(h[:]...)
	b.AttrString(iflaIfname, dev.Name())
	b.AttrU32(iflaTxQLen, uint32(dev.QueueLen()))
	b.AttrU8(iflaOperState, uint8(dev.OperState()))
	b.AttrU8(iflaLinkMode, 0)
	immutable := uint8(0)
	if dev.Flags()&napi.IFF_LOOPBACK != 0 {
		immutable = 1
	}
	b.AttrU8(iflaNetnsImmutable, immutable)
	b.AttrU32(iflaMTU, uint32(dev.MTU()))
	b.AttrU32(iflaMinMTU, uint32(dev.MinMTU))
	b.AttrU32(iflaMaxMTU, uint32(dev.MaxMTU))
	b.AttrU32(iflaGroup, dev.Group())
	b.AttrU32(iflaPromiscuity, uint32(dev.Promiscuity()))
	b.AttrU32(iflaAllMulti, uint32(dev.AllMulti()))
	b.AttrU32(iflaNumTxQueues, uint32(len(dev.TxQueues)))
	b.AttrU32(iflaGSOMaxSegs, 65535)
	for _, t := range []uint16{iflaGSOMaxSize, iflaGROMaxSize, iflaGSOIPv4MaxSize, iflaGROIPv4MaxSize} {
		b.AttrU32(t, 65536)
	}
	b.AttrU32(iflaTSOMaxSize, 8*65535) // cut in software: TSO_MAX_SIZE
	b.AttrU32(iflaTSOMaxSegs, 65535)
	b.AttrU32(iflaNumRxQueues, uint32(max(1, len(dev.NAPIs()))))
	if n := dev.Iflink(); n != dev.Ifindex() {
		b.AttrU32(iflaLink, uint32(n))
	}
	r.putLinkNetns(b, dev)
	carrier := uint8(0)
	if dev.CarrierOK() {
		carrier = 1
	}
	b.AttrU8(iflaCarrier, carrier)
	b.AttrString(iflaQdisc, qdiscName(dev))
	if s := dev.Alias(); s != "" {
		b.AttrString(iflaIfalias, s)
	}
	up, down := dev.CarrierChanges()
	b.AttrU32(iflaCarrierChanges, up+down)
	b.AttrU32(iflaCarrierUp, up)
	b.AttrU32(iflaCarrierDown, down)
	b.AttrU8(iflaProtoDown, 0)
	var ports [32]byte // struct rtnl_link_ifmap: none, and no shared memory
	b.Attr(iflaMap, ports[:]...)
	hw := dev.HardwareAddr()
	if n := dev.AddrLen; n > 0 {
		b.Attr(iflaAddress, hw[:n]...)
		b.Attr(iflaBroadcast, dev.Broadcast[:n]...)
	}
	if m.ext&skipStats == 0 {
		putStats(b, dev.GetStats())
	}
	x := b.Nest(iflaXDP, false)
	b.AttrU8(iflaXDPAttached, 0)
	b.EndNest(x)
	if kind != "" {
		n := b.Nest(iflaLinkInfo, false)
		b.AttrString(iflaInfoKind, kind)
		b.EndNest(n)
	}
	if d := r.ip.InDev(dev.Ifindex()); d != nil {
		n := b.Nest(iflaAFSpec, false)
		f := b.Nest(afInet, false)
		b.Attr(iflaInetConf, devConf(dev, d.Conf)...)
		b.EndNest(f)
		b.EndNest(n)
	}
	putPropList(b, dev)
	b.End()
}

// putStats appends the counters, in both widths.
func putStats(b *netlink.Builder, l napi.LinkStats) {
	s := stats64(l)
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
func devConf(dev *napi.NetDevice, c *ip.DevConf) []byte {
	noXfrm := int32(0) // IPsec leaves loopback alone (inetdev_init)
	if dev.Flags()&napi.IFF_LOOPBACK != 0 {
		noXfrm = 1
	}
	v := [...]int32{
		c.Forwarding.Load(), c.McForwarding.Load(), c.ProxyARP.Load(), c.AcceptRedirects.Load(),
		c.SecureRedirects.Load(), c.SendRedirects.Load(), c.SharedMedia.Load(), c.RPFilter.Load(),
		c.AcceptSourceRoute.Load(), c.BootpRelay.Load(), c.LogMartians.Load(), c.Tag.Load(), c.ArpFilter.Load(),
		c.MediumID.Load(), noXfrm, noXfrm, c.ForceIGMPVersion.Load(), c.ArpAnnounce.Load(), c.ArpIgnore.Load(),
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
