package napi

import "sync/atomic"

// DevStats are the counters of a device that are not per queue (Linux: struct
// rtnl_link_stats64, same meanings). Drivers add errors and drops here; the
// device layer counts packets and bytes per queue. [NetDevice.GetStats] sums.
type DevStats struct {
	RxPackets, TxPackets atomic.Uint64 // beyond those counted per queue
	RxBytes, TxBytes     atomic.Uint64

	RxErrors, TxErrors   atomic.Uint64
	RxDropped, TxDropped atomic.Uint64
	Multicast            atomic.Uint64
	Collisions           atomic.Uint64

	RxLengthErrors  atomic.Uint64
	RxOverErrors    atomic.Uint64
	RxCRCErrors     atomic.Uint64
	RxFrameErrors   atomic.Uint64
	RxFifoErrors    atomic.Uint64
	RxMissedErrors  atomic.Uint64
	RxNoHandler     atomic.Uint64
	TxAbortedErrors atomic.Uint64
	TxCarrierErrors atomic.Uint64
	TxFifoErrors    atomic.Uint64
}

// LinkStats is a copy of a device's counters, queues included (Linux: struct
// rtnl_link_stats64).
type LinkStats struct {
	RxPackets, TxPackets uint64
	RxBytes, TxBytes     uint64
	RxErrors, TxErrors   uint64
	RxDropped, TxDropped uint64
	Multicast            uint64
	Collisions           uint64

	RxLengthErrors  uint64
	RxOverErrors    uint64
	RxCRCErrors     uint64
	RxFrameErrors   uint64
	RxFifoErrors    uint64
	RxMissedErrors  uint64
	RxNoHandler     uint64
	TxAbortedErrors uint64
	TxCarrierErrors uint64
	TxFifoErrors    uint64
}

// QueueStats counts what passed one queue. Bytes include the link header.
type QueueStats struct {
	Packets atomic.Uint64
	Bytes   atomic.Uint64
}

// GetStats returns the device's counters (Linux: dev_get_stats).
func (d *NetDevice) GetStats() LinkStats {
	s := &d.Stats
	r := LinkStats{
		RxPackets: s.RxPackets.Load(), TxPackets: s.TxPackets.Load(),
		RxBytes: s.RxBytes.Load(), TxBytes: s.TxBytes.Load(),
		RxErrors: s.RxErrors.Load(), TxErrors: s.TxErrors.Load(),
		RxDropped: s.RxDropped.Load(), TxDropped: s.TxDropped.Load(),
		Multicast: s.Multicast.Load(), Collisions: s.Collisions.Load(),
		RxLengthErrors: s.RxLengthErrors.Load(), RxOverErrors: s.RxOverErrors.Load(),
		RxCRCErrors: s.RxCRCErrors.Load(), RxFrameErrors: s.RxFrameErrors.Load(),
		RxFifoErrors: s.RxFifoErrors.Load(), RxMissedErrors: s.RxMissedErrors.Load(),
		RxNoHandler:     s.RxNoHandler.Load(),
		TxAbortedErrors: s.TxAbortedErrors.Load(), TxCarrierErrors: s.TxCarrierErrors.Load(),
		TxFifoErrors: s.TxFifoErrors.Load(),
	}
	for _, n := range d.NAPIs() {
		r.RxPackets += n.Stats.Packets.Load()
		r.RxBytes += n.Stats.Bytes.Load()
		r.Multicast += n.multicast.Load()
	}
	for _, q := range d.TxQueues {
		r.TxPackets += q.Stats.Packets.Load()
		r.TxBytes += q.Stats.Bytes.Load()
		r.TxDropped += q.Dropped.Load()
	}
	return r
}
