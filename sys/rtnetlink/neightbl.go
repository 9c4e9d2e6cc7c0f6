package rtnetlink

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/sys/netlink"
)

// Messages and attributes of neighbour tables (Linux: struct ndtmsg, NDTA_*,
// NDTPA_*).
const (
	rtmNewNeighTbl = 64
	rtmGetNeighTbl = 66
	rtmSetNeighTbl = 67

	ndtmsgLen      = 4
	ndtaName       = 1
	ndtaThresh1    = 2
	ndtaThresh2    = 3
	ndtaThresh3    = 4
	ndtaConfig     = 5
	ndtaParms      = 6
	ndtaStats      = 7
	ndtaGCInterval = 8

	ndtpaIfindex       = 1
	ndtpaRefcnt        = 2
	ndtpaReachable     = 3
	ndtpaBaseReachable = 4
	ndtpaRetrans       = 5
	ndtpaGCStale       = 6
	ndtpaDelayProbe    = 7
	ndtpaQueueLen      = 8
	ndtpaAppProbes     = 9
	ndtpaUcastProbes   = 10
	ndtpaMcastProbes   = 11
	ndtpaAnycastDelay  = 12
	ndtpaProxyDelay    = 13
	ndtpaProxyQlen     = 14
	ndtpaLocktime      = 15
	ndtpaQueueBytes    = 16
	ndtpaMcastReprobes = 17
	ndtpaIntervalProbe = 19

	arpTableName  = "arp_cache"
	neighEntryLen = 384 // of Linux's struct neighbour with an IPv4 address
)

// neighTblPolicy is nl_neightbl_policy.
var neighTblPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ndtaName:       {Kind: netlink.String},
	ndtaThresh1:    {Kind: netlink.U32},
	ndtaThresh2:    {Kind: netlink.U32},
	ndtaThresh3:    {Kind: netlink.U32},
	ndtaGCInterval: {Kind: netlink.U64},
	ndtaParms:      {Kind: netlink.Nested},
}}

// neighParmPolicy is nl_ntbl_parm_policy.
var neighParmPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ndtpaIfindex:       {Kind: netlink.U32},
	ndtpaQueueLen:      {Kind: netlink.U32},
	ndtpaQueueBytes:    {Kind: netlink.U32},
	ndtpaProxyQlen:     {Kind: netlink.U32},
	ndtpaAppProbes:     {Kind: netlink.U32},
	ndtpaUcastProbes:   {Kind: netlink.U32},
	ndtpaMcastProbes:   {Kind: netlink.U32},
	ndtpaMcastReprobes: {Kind: netlink.U32},
	ndtpaBaseReachable: {Kind: netlink.U64},
	ndtpaGCStale:       {Kind: netlink.U64},
	ndtpaDelayProbe:    {Kind: netlink.U64},
	ndtpaIntervalProbe: {Kind: netlink.U64},
	ndtpaRetrans:       {Kind: netlink.U64},
	ndtpaAnycastDelay:  {Kind: netlink.U64},
	ndtpaProxyDelay:    {Kind: netlink.U64},
	ndtpaLocktime:      {Kind: netlink.U64},
}}

// times and counts are the settings of a device by attribute.
func neighTimes(p *neigh.Parms) map[int]*atomic.Int64 {
	return map[int]*atomic.Int64{
		ndtpaBaseReachable: &p.BaseReachableTime, ndtpaGCStale: &p.GCStaleTime, ndtpaDelayProbe: &p.DelayProbeTime,
		ndtpaRetrans: &p.RetransTime, ndtpaAnycastDelay: &p.AnycastDelay, ndtpaProxyDelay: &p.ProxyDelay,
		ndtpaLocktime: &p.LockTime, ndtpaIntervalProbe: &p.IntervalProbeTime,
	}
}

func neighCounts(p *neigh.Parms) map[int]*atomic.Int32 {
	return map[int]*atomic.Int32{
		ndtpaQueueBytes: &p.QueueBytes, ndtpaProxyQlen: &p.ProxyQlen, ndtpaAppProbes: &p.AppProbes,
		ndtpaUcastProbes: &p.UcastProbes, ndtpaMcastProbes: &p.McastProbes, ndtpaMcastReprobes: &p.McastReprobes,
	}
}

// dumpNeighTbls is neightbl_dump_info: the table, then the settings of each
// device.
func (r *Route) dumpNeighTbls(q *request) error {
	if q.Strict() {
		switch d := q.Data; {
		case len(d) < ndtmsgLen:
			return q.fail(syscall.EINVAL, "Invalid header for neighbor table dump request")
		case d[1] != 0 || d[2] != 0 || d[3] != 0:
			return q.fail(syscall.EINVAL, "Invalid values in header for neighbor table dump request")
		case len(d) > ndtmsgLen:
			return q.fail(syscall.EINVAL, "Invalid data after header in neighbor table dump request")
		}
	}
	if q.family != afUnspec && q.family != afInet {
		return q.Dump(empty())
	}
	devs := []*napi.NetDevice{nil} // of the table itself
	for _, d := range r.dev.Devs() {
		if r.ip.InDev(d.Ifindex()) != nil {
			devs = append(devs, d)
		}
	}
	return q.Dump(netlink.Dump{Next: netlink.List(devs, r.putNeighTbl)})
}

// putNeighTbl is neightbl_fill_info, and for a device neightbl_fill_param_info.
func (r *Route) putNeighTbl(b *netlink.Builder, dev *napi.NetDevice) {
	t := r.ip.Neigh
	b.Begin(rtmNewNeighTbl, 0)
	b.Raw(afInet, 0, 0, 0)
	b.AttrString(ndtaName, arpTableName)
	if dev == nil {
		c := t.Config()
		b.Attr(ndtaGCInterval, msecs(c.GCInterval)...)
		b.AttrU32(ndtaThresh1, uint32(c.Thresh1))
		b.AttrU32(ndtaThresh2, uint32(c.Thresh2))
		b.AttrU32(ndtaThresh3, uint32(c.Thresh3))
		cfg := binary.NativeEndian.AppendUint16(nil, 4) // struct ndt_config
		cfg = binary.NativeEndian.AppendUint16(cfg, neighEntryLen)
		for _, v := range []int64{int64(c.Entries), c.LastFlush / 1e6, c.LastRand / 1e6, 0, int64(c.HashMask), 0, 0} {
			cfg = binary.NativeEndian.AppendUint32(cfg, uint32(v))
		}
		b.Attr(ndtaConfig, cfg...)
		s := &r.net.MIB().ARP // struct ndt_stats
		var st []byte
		for _, v := range []*atomic.Uint64{&s.Allocs, &s.Destroys, &s.HashGrows, &s.ResFailed, &s.Lookups, &s.Hits,
			&s.RcvProbesMcast, &s.RcvProbesUcast, &s.PeriodicGCRuns, &s.ForcedGCRuns, &s.TableFulls} {
			st = binary.NativeEndian.AppendUint64(st, v.Load())
		}
		b.Attr(ndtaStats, st...)
	}
	p := t.Defaults()
	if dev != nil {
		p = t.Parms(dev)
	}
	nest := b.Nest(ndtaParms, false)
	if dev != nil {
		b.AttrU32(ndtpaIfindex, uint32(dev.Ifindex()))
	}
	b.AttrU32(ndtpaRefcnt, 1)
	bytes := uint32(p.QueueBytes.Load())
	b.AttrU32(ndtpaQueueBytes, bytes)
	b.AttrU32(ndtpaQueueLen, bytes/neigh.FrameTruesize)
	counts, times := neighCounts(p), neighTimes(p)
	for _, i := range []int{ndtpaProxyQlen, ndtpaAppProbes, ndtpaUcastProbes, ndtpaMcastProbes, ndtpaMcastReprobes} {
		b.AttrU32(uint16(i), uint32(counts[i].Load()))
	}
	b.Attr(ndtpaReachable, msecs(t.ReachableTime(p))...)
	for _, i := range []int{ndtpaBaseReachable, ndtpaGCStale, ndtpaDelayProbe, ndtpaRetrans, ndtpaAnycastDelay,
		ndtpaProxyDelay, ndtpaLocktime, ndtpaIntervalProbe} {
		b.Attr(uint16(i), msecs(times[i].Load())...)
	}
	b.EndNest(nest)
	b.End()
}

func msecs(ns int64) []byte { return binary.NativeEndian.AppendUint64(nil, uint64(ns/1e6)) }

// setNeighTbl is neightbl_set.
func (r *Route) setNeighTbl(q *request) error {
	a, err := q.Parse(ndtmsgLen, &neighTblPolicy, false)
	if err != nil {
		return err
	}
	if !a.Has(ndtaName) {
		return syscall.EINVAL
	}
	if a.Str(ndtaName) != arpTableName || q.family != afUnspec && q.family != afInet {
		return syscall.ENOENT
	}
	t := r.ip.Neigh
	if a.Has(ndtaParms) {
		pa, err := netlink.Parse(a[ndtaParms], &neighParmPolicy, false, &q.Ack)
		if err != nil {
			return err
		}
		p := t.Defaults()
		if i := int32(pa.U32(ndtpaIfindex)); i != 0 {
			dev := r.dev.DevByIndex(i)
			if dev == nil || r.ip.InDev(i) == nil {
				return syscall.ENOENT
			}
			p = t.Parms(dev)
		}
		if pa.Has(ndtpaQueueLen) {
			p.QueueBytes.Store(int32(min(int64(pa.U32(ndtpaQueueLen))*neigh.FrameTruesize, math.MaxInt32)))
		}
		for i, v := range neighCounts(p) {
			if pa.Has(i) {
				v.Store(int32(min(pa.U32(i), math.MaxInt32)))
			}
		}
		for i, v := range neighTimes(p) {
			if pa.Has(i) {
				const longest = uint64(math.MaxInt32) // ms
				v.Store(int64(min(binary.NativeEndian.Uint64(pa[i]), longest)) * int64(time.Millisecond))
			}
		}
	}
	var c neigh.TableChange
	for i, v := range map[int]*int{ndtaThresh1: &c.Thresh1, ndtaThresh2: &c.Thresh2, ndtaThresh3: &c.Thresh3} {
		*v = -1
		if a.Has(i) {
			*v = int(min(a.U32(i), math.MaxInt32))
		}
	}
	c.GCInterval = -1
	if a.Has(ndtaGCInterval) {
		c.GCInterval = int64(min(binary.NativeEndian.Uint64(a[ndtaGCInterval]), math.MaxInt32)) * int64(time.Millisecond)
	}
	t.Change(&c)
	return nil
}
