package ipmr

import (
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// Input implements ip.MulticastRouter (Linux: ip_mr_input).
func (r *Router) Input(b *skb.Buff, rt *ip.Rtable) {
	local := rt.Flags&ip.RTCFLocal != 0
	dev, _ := b.Dev.(*napi.NetDevice)
	if dev == nil || ip.Forwarded(b) {
		// What was forwarded and came back is only for who listens here.
		r.finish(b, local)
		return
	}
	t := r.def
	h := header.IPv4(b.Data())
	if !local {
		if ip.HasRouterAlert(b) {
			if r.ip.AlertRouters(b) {
				return
			}
		} else if h.Protocol() == header.ProtoIGMP {
			// Version 1 hosts do not alert; their reports are the daemon's all
			// the same.
			if s := t.sk.Load(); s != nil {
				s.RcvRaw(b)
				return
			}
		}
	}
	r.mu.RLock()
	vif := t.findVIF(dev)
	e := t.lookup(key{h.Src(), h.Dst()}, vif)
	r.mu.RUnlock()
	if e == nil {
		if local {
			c := b.Clone()
			r.ip.LocalDeliver(b)
			b = c
		}
		if vif < 0 {
			b.Free(skb.IPInNoRoutes)
			return
		}
		r.unres.hold(t, vif, b)
		return
	}
	if local {
		r.forward(t, dev, b, e, true)
		r.ip.LocalDeliver(b)
		return
	}
	r.forward(t, dev, b, e, false)
}

// finish ends the way of a packet that is not forwarded.
func (r *Router) finish(b *skb.Buff, local bool) {
	if local {
		r.ip.LocalDeliver(b)
		return
	}
	b.Free(skb.NotSpecified)
}

// knows reports whether there is an entry of the very source and group.
func (r *Router) knows(t *table, k key) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return t.find(k, -1) != nil
}

// again looks once more for the way of a packet that was about to wait. Consumes
// b.
func (r *Router) again(t *table, b *skb.Buff) {
	h := header.IPv4(b.Data())
	dev, _ := b.Dev.(*napi.NetDevice)
	r.mu.RLock()
	e := t.find(key{h.Src(), h.Dst()}, -1)
	r.mu.RUnlock()
	if e == nil || dev == nil {
		b.Free(skb.NotSpecified)
		return
	}
	r.forward(t, dev, b, e, false)
}

// out is a vif a copy goes by.
type out struct {
	v   *vif
	dev *napi.NetDevice
	reg bool
}

// forward sends copies of a packet on (Linux: ip_mr_forward). With keep it
// borrows b, otherwise it consumes it.
func (r *Router) forward(t *table, dev *napi.NetDevice, b *skb.Buff, e *entry, keep bool) {
	var outs [MaxVIFs]out
	n := r.choose(t, dev, b, e, outs[:])
	for i := range n {
		c := b
		if keep || i < n-1 {
			c = b.Clone()
		}
		r.xmit(t, c, &outs[i])
	}
	if n == 0 && !keep {
		b.Free(skb.NotSpecified)
	}
}

// choose decides by which vifs a packet goes on, counts it, and tells the daemon
// of one that came by the wrong one.
func (r *Router) choose(t *table, dev *napi.NetDevice, b *skb.Buff, e *entry, outs []out) (n int) {
	w := e.way.Load()
	size := uint64(b.Len())
	e.packets.Add(1)
	e.bytes.Add(size)
	now := r.clock.Now()
	e.lastUse.Store(now)
	ttl := header.IPv4(b.Data()).TTL()
	add := func(i int) {
		if v := &t.vifs[i]; v.dev != nil {
			outs[n] = out{v, v.dev, v.flags&vifRegister != 0}
			n++
		}
	}
	r.mu.RLock()
	vif := t.findVIF(dev)
	if !t.arrived(e, w, vif, dev) {
		r.mu.RUnlock()
		if rt := ip.RtableOf(b); rt != nil && rt.IsOutput() {
			return 0 // our own, sent by another vif: that was its way
		}
		r.wrong(t, b, e, w, vif, now)
		return 0
	}
	defer r.mu.RUnlock()
	if w.parent < MaxVIFs {
		t.vifs[w.parent].pktIn.Add(1)
		t.vifs[w.parent].bytesIn.Add(size)
	}
	if e.key == (key{}) {
		// For all groups there is only the way up.
		if vif >= 0 && vif != w.parent && w.parent < MaxVIFs && ttl > w.ttls[w.parent] {
			add(w.parent)
		}
		return n
	}
	for i := w.maxvif - 1; i >= w.minvif; i-- {
		if (e.origin != 0 || i != vif) && ttl > w.ttls[i] {
			add(i)
		}
	}
	return n
}

// arrived reports whether a packet of the entry may come by a device: by the
// parent, and for all sources of a group by any vif of the static tree. mu is
// held.
func (t *table) arrived(e *entry, w *way, vif int, dev *napi.NetDevice) bool {
	if w.parent >= MaxVIFs {
		return false
	}
	if e.origin == 0 && vif >= 0 {
		if p := t.findAnyParent(w.parent); p != nil && p.way.Load().ttls[vif] < 255 {
			return true
		}
	}
	return t.vifs[w.parent].dev == dev
}

// wrong counts a packet that came by another vif than its entry says, and asks
// for an assert if the daemon wants to hear of it, every three seconds at most.
func (r *Router) wrong(t *table, b *skb.Buff, e *entry, w *way, vif int, now int64) {
	e.wrongIf.Add(1)
	r.mu.RLock()
	assert, pim, whole := t.assert, t.pim, t.wholeWrong
	r.mu.RUnlock()
	last := e.lastAssert.Load()
	// Sparse mode changes trees, and cannot ask that it came by a vif of ours.
	if vif < 0 || !assert || !pim && w.ttls[vif] == 255 || now-last <= assertInterval ||
		!e.lastAssert.CompareAndSwap(last, now) {
		return
	}
	r.report(t, b, vif, msgWrongVIF) // its errors are the daemon's loss
	if whole {
		r.report(t, b, vif, msgWholeWrong)
	}
}

// xmit sends a copy by a vif (Linux: ipmr_queue_fwd_xmit). Consumes b.
func (r *Router) xmit(t *table, b *skb.Buff, o *out) {
	size := uint64(b.Len())
	if o.reg {
		o.v.pktOut.Add(1)
		o.v.bytesOut.Add(size)
		o.dev.Stats.TxPackets.Add(1)
		o.dev.Stats.TxBytes.Add(size)
		r.report(t, b, 0, msgWholePkt)
		b.Consume()
		return
	}
	rt := r.ip.PrepareMulticast(b, o.dev)
	if rt == nil {
		return
	}
	o.v.pktOut.Add(1)
	o.v.bytesOut.Add(size)
	r.ip.ForwardMulticast(b, rt)
}
