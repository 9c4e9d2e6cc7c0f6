package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/napi"
	"barewire/sys/netlink"
)

// Attributes and handles of queueing disciplines (Linux: TCA_*, TC_H_*).
const (
	tcaKind       = 1
	tcaOptions    = 2
	tcaStats      = 3
	tcaStats2     = 7
	tcaHWOffload  = 12
	tcaStatsBasic = 1
	tcaStatsQueue = 3
	tcmsgLen      = 20
	tcHRoot       = 0xffffffff
)

// The queues of napi are first in, first out, and not to be chosen; here they
// are shown as what Linux puts there by default.

// qdisc is one discipline of a device.
type qdisc struct {
	dev            *napi.NetDevice
	kind           string
	parent         uint32
	queues         []*napi.TxQueue // it counts for
	options        []byte
	handle, refcnt uint32
}

// prioOptions is struct tc_prio_qopt of pfifo_fast: three bands and the band
// of each priority.
var prioOptions = []byte{3, 0, 0, 0, 1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1} // read-only

// qdiscs returns the disciplines of a device, none before it was opened once.
func qdiscs(dev *napi.NetDevice) []qdisc {
	root := qdisc{dev: dev, kind: qdiscName(dev), parent: tcHRoot, queues: dev.TxQueues, refcnt: 2}
	switch root.kind {
	case "noop":
		return nil
	case "pfifo_fast":
		root.options = prioOptions
	case "mq":
		l := []qdisc{root}
		for i := range dev.TxQueues {
			l = append(l, qdisc{dev: dev, kind: "pfifo_fast", parent: uint32(i + 1), queues: dev.TxQueues[i : i+1], options: prioOptions, refcnt: 1})
		}
		return l
	}
	return []qdisc{root}
}

// putQdisc is tc_fill_qdisc.
func putQdisc(b *netlink.Builder, d qdisc) {
	b.Begin(rtmNewQdisc, 0)
	var h [tcmsgLen]byte
	binary.NativeEndian.PutUint32(h[4:], uint32(d.dev.Ifindex()))
	binary.NativeEndian.PutUint32(h[8:], d.handle)
	binary.NativeEndian.PutUint32(h[12:], d.parent)
	binary.NativeEndian.PutUint32(h[16:], d.refcnt)
	b.Raw(h[:]...)
	b.AttrString(tcaKind, d.kind)
	if d.options != nil {
		b.Attr(tcaOptions, d.options...)
	}
	b.AttrU8(tcaHWOffload, 0)
	var bytes, packets, drops uint64
	var qlen uint32
	if d.kind != "noqueue" {
		for _, q := range d.queues {
			bytes += q.Stats.Bytes.Load()
			packets += q.Stats.Packets.Load()
			drops += q.Dropped.Load()
			qlen += uint32(q.Len())
		}
	}
	var basic [16]byte // struct gnet_stats_basic
	binary.NativeEndian.PutUint64(basic[:], bytes)
	binary.NativeEndian.PutUint32(basic[8:], uint32(packets))
	var queue [20]byte // struct gnet_stats_queue
	binary.NativeEndian.PutUint32(queue[:], qlen)
	binary.NativeEndian.PutUint32(queue[8:], uint32(drops))
	n := b.Nest(tcaStats2, false)
	b.Attr(tcaStatsBasic, basic[:]...)
	b.Attr(tcaStatsQueue, queue[:]...)
	b.EndNest(n)
	var old [40]byte // struct tc_stats
	binary.NativeEndian.PutUint64(old[:], bytes)
	binary.NativeEndian.PutUint32(old[8:], uint32(packets))
	binary.NativeEndian.PutUint32(old[12:], uint32(drops))
	binary.NativeEndian.PutUint32(old[28:], qlen)
	b.Attr(tcaStats, old[:]...)
	b.End()
}

// dumpQdiscs is tc_dump_qdisc.
func (r *Route) dumpQdiscs(q *request) error {
	var list []qdisc
	for _, dev := range r.dev.Devs() {
		list = append(list, qdiscs(dev)...)
	}
	return q.Dump(netlink.Dump{Seq: r.seq(genLink), Next: netlink.List(list, putQdisc)})
}

// getQdisc is tc_get_qdisc of what cannot be changed: the root of a device.
func (r *Route) getQdisc(q *request) error {
	if len(q.Data) < tcmsgLen {
		return q.fail(syscall.EINVAL, "Invalid header length")
	}
	dev := r.dev.DevByIndex(index32(q.Data[4:]))
	if dev == nil {
		return syscall.ENODEV
	}
	handle, parent := binary.NativeEndian.Uint32(q.Data[8:]), binary.NativeEndian.Uint32(q.Data[12:])
	for _, d := range qdiscs(dev) {
		if parent != 0 && parent == d.parent {
			if handle != 0 {
				return q.fail(syscall.EINVAL, "Invalid handle")
			}
			if q.Flags&netlink.FlagEcho != 0 { // else it is for the group's listeners alone
				q.Reply(func(b *netlink.Builder) { putQdisc(b, d) })
			}
			return nil
		}
	}
	if parent == 0 {
		return q.fail(syscall.ENOENT, "Failed to find qdisc with specified handle")
	}
	return q.fail(syscall.ENOENT, "Failed to find specified qdisc")
}
