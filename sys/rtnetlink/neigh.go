package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/header"
	"barewire/inet/neigh"
	"barewire/napi"
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
	return q.Dump(netlink.Dump{Seq: r.seq(genNeigh), Filtered: index != 0 && !proxies, Next: netlink.List(list, func(b *netlink.Builder, e neigh.Entry) {
		if index != 0 && (e.Dev == nil || e.Dev.Ifindex() != index) {
			return
		}
		// As in Linux, what is only being used without ARP is not listed as a
		// neighbour by who did not ask for it: the program filters by state.
		putNeigh(b, rtmNewNeigh, &e)
	})})
}

// putNeigh is neigh_fill_info and pneigh_fill_info.
func putNeigh(b *netlink.Builder, typ uint16, e *neigh.Entry) {
	b.Begin(typ, 0)
	var h [ndmsgLen]byte
	h[0] = afInet
	if e.Dev != nil {
		binary.NativeEndian.PutUint32(h[4:], uint32(e.Dev.Ifindex()))
	}
	binary.NativeEndian.PutUint16(h[8:], uint16(e.State))
	h[10] = e.Flags
	h[11] = syscall.RTN_UNICAST
	proxy := e.Flags&neigh.NTFProxy != 0
	switch {
	case proxy:
		h[11] = syscall.RTN_UNICAST
		binary.NativeEndian.PutUint16(h[8:], 0) // NUD_NONE
	case e.Addr.IsMulticast():
		h[11] = syscall.RTN_MULTICAST
	}
	b.Raw(h[:]...)
	b.AttrBE32(ndaDst, uint32(e.Addr))
	if !proxy {
		if e.State&(neigh.NUDIncomplete|neigh.NUDFailed|neigh.NUDNone) == 0 && e.State != 0 {
			b.Attr(ndaLladdr, e.HW[:]...)
		}
		b.AttrU32(ndaProbes, uint32(e.Probes))
		var c [16]byte // struct nda_cacheinfo
		for i, ns := range []int64{e.Confirmed, e.Used, e.Updated} {
			binary.NativeEndian.PutUint32(c[i*4:], uint32(ns/(1e9/userHZ)))
		}
		binary.NativeEndian.PutUint32(c[12:], uint32(min(1, e.Queued)))
		b.Attr(ndaCacheInfo, c[:]...)
	}
	b.End()
}

// neighRequest is what the three requests check alike.
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
	}
	if a.Has(ndaLladdr) && len(a[ndaLladdr]) < 6 {
		err = q.fail(syscall.EINVAL, "Invalid link address")
		return
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
	if q.ndFlags()&neigh.NTFProxy != 0 {
		r.gen[genNeigh].Add(1)
		return errnoOf(t.AddProxy(dev, addr, q.ndFlags()))
	}
	if dev == nil {
		return q.fail(syscall.EINVAL, "Device not specified")
	}
	var hw []byte
	if a.Has(ndaLladdr) {
		hw = a[ndaLladdr][:6]
	}
	old := t.Lookup(dev, addr)
	switch {
	case old == nil && q.Flags&netlink.FlagCreate == 0:
		return syscall.ENOENT
	case old != nil && q.Flags&netlink.FlagExcl != 0:
		return syscall.EEXIST
	}
	err = errnoOf(t.Add(dev, addr, hw, uint32(q.ndState()), q.ndFlags()))
	if err == syscall.EINVAL && hw == nil {
		return q.fail(syscall.EINVAL, "No link layer address given")
	}
	return err
}

// delNeigh is neigh_delete.
func (r *Route) delNeigh(q *request) error {
	a, err := q.Parse(ndmsgLen, &neighPolicy, false)
	if err != nil {
		return err
	}
	if !a.Has(ndaDst) {
		return q.fail(syscall.EINVAL, "Network address not specified")
	}
	var dev *napi.NetDevice
	if i := q.ndIndex(); i != 0 {
		if dev = r.dev.DevByIndex(i); dev == nil {
			return syscall.ENODEV
		}
	}
	if len(a[ndaDst]) < 4 {
		return q.fail(syscall.EINVAL, "Invalid network address")
	}
	addr := header.Addr(a.BE32(ndaDst))
	if q.ndFlags()&neigh.NTFProxy != 0 {
		r.gen[genNeigh].Add(1)
		return errnoOf(r.ip.Neigh.DelProxy(dev, addr))
	}
	if dev == nil {
		return syscall.EINVAL
	}
	return errnoOf(r.ip.Neigh.Delete(dev, addr))
}

// getNeigh is neigh_get.
func (r *Route) getNeigh(q *request) error {
	a, err := q.Parse(ndmsgLen, &neighPolicy, true)
	if err != nil {
		return err
	}
	if q.ndState() != 0 || q.Data[11] != 0 {
		return q.fail(syscall.EINVAL, "Invalid values in header for neighbor get request")
	}
	if q.ndFlags()&^neigh.NTFProxy != 0 {
		return q.fail(syscall.EINVAL, "Invalid flags in header for neighbor get request")
	}
	if !a.Has(ndaDst) {
		return q.Ack.Missing(syscall.EINVAL, ndaDst, "")
	}
	if len(a[ndaDst]) != 4 {
		return q.fail(syscall.EINVAL, "Invalid network address in neighbor get request")
	}
	var dev *napi.NetDevice
	if i := q.ndIndex(); i != 0 {
		if dev = r.dev.DevByIndex(i); dev == nil {
			return q.fail(syscall.ENODEV, "Unknown device ifindex")
		}
	}
	addr := header.Addr(a.BE32(ndaDst))
	list := r.ip.Neigh.Entries()
	if q.ndFlags()&neigh.NTFProxy != 0 {
		list = r.ip.Neigh.Proxies()
	} else if dev == nil {
		return q.fail(syscall.EINVAL, "No device specified")
	}
	for i := range list {
		if e := &list[i]; e.Addr == addr && e.Dev == dev {
			q.Reply(func(b *netlink.Builder) { putNeigh(b, rtmNewNeigh, e) })
			return nil
		}
	}
	if q.ndFlags()&neigh.NTFProxy != 0 {
		return q.fail(syscall.ENOENT, "Proxy neighbour entry not found")
	}
	return q.fail(syscall.ENOENT, "Neighbour entry not found")
}

// neighEvent announces a change of a neighbour.
func (r *Route) neighEvent(e neigh.Entry) {
	r.gen[genNeigh].Add(1)
	r.tell(groupNeigh, func(b *netlink.Builder) { putNeigh(b, rtmNewNeigh, &e) })
}
