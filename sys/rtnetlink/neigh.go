package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// Attributes of neighbours (Linux: NDA_*).
const (
	ndaDst       = 1
	ndaLladdr    = 2
	ndaCacheInfo = 3
	ndaProbes    = 4
	ndaIfindex   = 8
	ndaMaster    = 9
	ndaProtocol  = 12
	ndaFlagsExt  = 15
	ndmsgLen     = 12
	userHZ       = 100 // of times in messages
	ntfExtShift  = 8   // NTF_EXT_SHIFT
)

var neighPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ndaDst:       {Kind: netlink.Binary, Len: 32},
	ndaLladdr:    {Kind: netlink.Binary, Len: 32},
	ndaCacheInfo: {Kind: netlink.Unspec, Len: 16},
	ndaProbes:    {Kind: netlink.U32},
	ndaIfindex:   {Kind: netlink.U32},
	ndaMaster:    {Kind: netlink.U32},
	ndaProtocol:  {Kind: netlink.U8},
	ndaFlagsExt:  {Kind: netlink.U32},
}}

// Fields of struct ndmsg.
func (q *request) ndIndex() int32  { return int32(binary.NativeEndian.Uint32(q.Data[4:])) }
func (q *request) ndState() uint16 { return binary.NativeEndian.Uint16(q.Data[8:]) }
func (q *request) ndFlags() uint8  { return q.Data[10] }

func (r *Route) dumpNeighs(q *request) error {
	var index int32
	proxies := false
	if len(q.Data) >= ndmsgLen {
		a, err := q.Parse(ndmsgLen, &neighPolicy, q.Strict())
		if err != nil {
			return err
		}
		if q.Strict() {
			switch {
			case q.ndIndex() != 0 || q.ndState() != 0 || q.Data[11] != 0:
				return q.fail(syscall.EINVAL, "Invalid values in header for neighbor dump request")
			case q.ndFlags()&^neigh.NTFProxy != 0:
				return q.fail(syscall.EINVAL, "Invalid flags in header for neighbor dump request")
			case !only(a, ndaIfindex, ndaMaster):
				return q.fail(syscall.EINVAL, "Unsupported attribute in neighbor dump request")
			}
		}
		if a.Has(ndaIfindex) {
			index = int32(a.U32(ndaIfindex))
		}
		if a.U32(ndaMaster) != 0 {
			return q.Dump(netlink.Dump{Next: empty().Next, Filtered: true})
		}
		proxies = q.ndFlags() == neigh.NTFProxy
	} else if q.Strict() {
		return q.fail(syscall.EINVAL, "Invalid header for neighbor dump request")
	}
	list := r.ip.Neigh.Entries()
	if proxies {
		list = r.ip.Neigh.Proxies()
	}
	return q.Dump(netlink.Dump{Filtered: index != 0 && !proxies, Next: netlink.List(list, func(b *netlink.Builder, e neigh.Entry) {
		if index != 0 && (e.Dev == nil || e.Dev.Ifindex() != index) {
			return
		}
		// As in Linux, what is only being used without ARP is not listed as a
		// neighbour by who did not ask for it: the program filters by state.
		putNeigh(b, rtmNewNeigh, 0, &e)
	})})
}

// putNeigh is neigh_fill_info and pneigh_fill_info.
func putNeigh(b *netlink.Builder, typ, flags uint16, e *neigh.Entry) {
	const valid = ^uint32(neigh.NUDIncomplete | neigh.NUDFailed)
	b.Begin(typ, flags)
	var h [ndmsgLen]byte
	h[0] = afInet
	if e.Dev != nil {
		binary.NativeEndian.PutUint32(h[4:], uint32(e.Dev.Ifindex()))
	}
	binary.NativeEndian.PutUint16(h[8:], uint16(e.State))
	h[10], h[11] = uint8(e.Flags), e.Type
	b.Raw(h[:]...)
	b.AttrBE32(ndaDst, uint32(e.Addr))
	if e.Flags&neigh.NTFProxy == 0 {
		if e.State&valid != 0 {
			b.Attr(ndaLladdr, e.HW[:e.Dev.AddrLen]...)
		}
		b.AttrU32(ndaProbes, uint32(e.Probes))
		var c [16]byte // struct nda_cacheinfo
		for i, ns := range []int64{e.Confirmed, e.Used, e.Updated} {
			binary.NativeEndian.PutUint32(c[i*4:], uint32(ns/(1e9/userHZ)))
		}
		if e.Timed { // the reference Linux counts
			c[12] = 1
		}
		b.Attr(ndaCacheInfo, c[:]...)
	}
	if e.Proto != 0 {
		b.AttrU8(ndaProtocol, e.Proto)
	}
	if ext := e.Flags >> ntfExtShift; ext != 0 {
		b.AttrU32(ndaFlagsExt, ext)
	}
	b.End()
}

// neighRequest is what requests that change something check alike (Linux:
// neigh_add, neigh_delete).
func (r *Route) neighRequest(q *request) (dev *napi.NetDevice, addr header.Addr, a netlink.Attrs, err error) {
	if a, err = q.Parse(ndmsgLen, &neighPolicy, false); err != nil {
		return
	}
	if !a.Has(ndaDst) {
		err = q.fail(syscall.EINVAL, "Network address not specified")
		return
	}
	if i := q.ndIndex(); i != 0 {
		if dev = r.dev.DevByIndex(i); dev == nil {
			err = syscall.ENODEV
			return
		}
		if q.Type == rtmNewNeigh && a.Has(ndaLladdr) && len(a[ndaLladdr]) < dev.AddrLen {
			err = q.fail(syscall.EINVAL, "Invalid link address")
			return
		}
	}
	if len(a[ndaDst]) < 4 {
		err = q.fail(syscall.EINVAL, "Invalid network address")
		return
	}
	return dev, header.Addr(a.BE32(ndaDst)), a, nil
}

// newNeigh is neigh_add.
func (r *Route) newNeigh(q *request) error {
	dev, addr, a, err := r.neighRequest(q)
	if err != nil {
		return err
	}
	t := r.ip.Neigh
	flags := uint32(q.ndFlags())
	if ext := a.U32(ndaFlagsExt); ext != 0 {
		flags |= ext << ntfExtShift
		if flags&^(0xff|neigh.NTFManaged|neigh.NTFExtValidated) != 0 {
			return q.Ack.BadVal(syscall.EINVAL, a[ndaFlagsExt], "reserved bit set")
		}
	}
	if flags&neigh.NTFProxy != 0 {
		if flags&(neigh.NTFManaged|neigh.NTFExtValidated) != 0 {
			return q.fail(syscall.EINVAL, "Invalid NTF_* flag combination")
		}
		return errnoOf(t.AddProxy(dev, addr, flags, a.U8(ndaProtocol)))
	}
	if dev == nil {
		return q.fail(syscall.EINVAL, "Device not specified")
	}
	if r.ip.InDev(dev.Ifindex()) == nil {
		return syscall.EINVAL
	}
	n := neigh.Request{Dev: dev, Addr: addr, State: uint8(q.ndState()), Flags: flags, Proto: a.U8(ndaProtocol),
		Create: q.Flags&netlink.FlagCreate != 0, Excl: q.Flags&netlink.FlagExcl != 0, Replace: q.Flags&netlink.FlagReplace != 0}
	if a.Has(ndaLladdr) {
		n.HW = new([6]byte)
		copy(n.HW[:], a[ndaLladdr])
	}
	why, err := t.Set(&n)
	if why != "" {
		return q.fail(errnoOf(err).(syscall.Errno), why)
	}
	return errnoOf(err)
}

// delNeigh is neigh_delete.
func (r *Route) delNeigh(q *request) error {
	dev, addr, _, err := r.neighRequest(q)
	if err != nil {
		return err
	}
	if q.ndFlags()&neigh.NTFProxy != 0 {
		return errnoOf(r.ip.Neigh.DelProxy(dev, addr))
	}
	if dev == nil {
		return syscall.EINVAL
	}
	return errnoOf(r.ip.Neigh.Delete(dev, addr))
}

// getNeigh is neigh_get.
func (r *Route) getNeigh(q *request) error {
	if len(q.Data) < ndmsgLen {
		return q.fail(syscall.EINVAL, "Invalid header for neighbor get request")
	}
	proxy := q.ndFlags()&neigh.NTFProxy != 0
	switch h := q.Data; {
	case h[1]|h[2]|h[3]|h[11] != 0 || q.ndState() != 0:
		return q.fail(syscall.EINVAL, "Invalid values in header for neighbor get request")
	case q.ndFlags()&^neigh.NTFProxy != 0:
		return q.fail(syscall.EINVAL, "Invalid flags in header for neighbor get request")
	case !proxy && q.ndIndex() == 0:
		return q.fail(syscall.EINVAL, "No device specified")
	}
	a, err := q.Parse(ndmsgLen, &neighPolicy, true)
	switch {
	case err != nil:
		return err
	case !a.Has(ndaDst):
		return q.Ack.Missing(syscall.EINVAL, ndaDst, "")
	case !only(a, ndaDst):
		return q.fail(syscall.EINVAL, "Unsupported attribute in neighbor get request")
	case len(a[ndaDst]) != 4:
		return q.fail(syscall.EINVAL, "Invalid network address in neighbor get request")
	}
	var dev *napi.NetDevice
	if i := q.ndIndex(); i != 0 {
		if dev = r.dev.DevByIndex(i); dev == nil {
			return q.fail(syscall.ENODEV, "Unknown device ifindex")
		}
	}
	addr := header.Addr(a.BE32(ndaDst))
	find, none := r.ip.Neigh.Find, "Neighbour entry not found"
	if proxy {
		find, none = r.ip.Neigh.FindProxy, "Proxy neighbour entry not found"
	}
	e, ok := find(dev, addr)
	if !ok {
		return q.fail(syscall.ENOENT, none)
	}
	q.Reply(func(b *netlink.Builder) { putNeigh(b, rtmNewNeigh, 0, &e) })
	return nil
}

// neighEvent announces a change of a neighbour, or that it has gone.
func (r *Route) neighEvent(e neigh.Entry) {
	typ := uint16(rtmNewNeigh)
	if e.Gone {
		typ = rtmDelNeigh
	}
	port := uint32(0)
	if q := r.current.Load(); q != nil && q.Type&^3 == rtmNewNeigh && typ == rtmNewNeigh {
		port = q.Port() // who changed it, but no number (neigh_update_notify)
	}
	r.tellBy(port, groupNeigh, func(b *netlink.Builder) { putNeigh(b, typ, 0, &e) })
}

// neighAsk asks a program for a neighbour's address, while app_solicit has it
// so (Linux: neigh_app_ns).
func (r *Route) neighAsk(e neigh.Entry) {
	r.tell(groupNeigh, func(b *netlink.Builder) { putNeigh(b, rtmGetNeigh, netlink.FlagRequest, &e) })
}
