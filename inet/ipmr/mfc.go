package ipmr

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// key names an entry: where packets come from, 0 for anywhere, and the group, 0
// for any.
type key struct{ origin, group header.Addr }

// entry is a way packets to a group take (Linux: struct mfc_cache).
type entry struct {
	key
	way    atomic.Pointer[way]
	static atomic.Bool // not entered by the daemon

	packets, bytes, wrongIf atomic.Uint64
	lastUse, lastAssert     atomic.Int64
}

// way is what the daemon says about an entry; a change replaces it.
type way struct {
	parent int            // vif packets come by; 65535 for one that is not there
	ttls   [MaxVIFs]uint8 // what the time to live must exceed by each vif; 255 never
	minvif int            // the vifs that have one, from here
	maxvif int            // to below here
}

// noParent is the parent of an entry whose device is no vif.
const noParent = 0xffff

// mfcctl is the content of struct mfcctl, as far as it is a request.
type mfcctl struct {
	key
	parent int
	ttls   [MaxVIFs]uint8
}

const mfcctlLen = 60

func parseMfcctl(p []byte) mfcctl {
	return mfcctl{
		key:    key{header.Addr(binary.BigEndian.Uint32(p)), header.Addr(binary.BigEndian.Uint32(p[4:]))},
		parent: int(binary.NativeEndian.Uint16(p[8:])),
		ttls:   [MaxVIFs]uint8(p[10:42]),
	}
}

// newWay takes over the thresholds of vifs that are in use (Linux:
// ipmr_update_thresholds); cfg is held.
func (t *table) newWay(c *mfcctl) *way {
	w := &way{parent: c.parent, minvif: MaxVIFs}
	for i := range w.ttls {
		w.ttls[i] = 255
		if i < t.maxvif && t.vifs[i].dev != nil && c.ttls[i] != 0 && c.ttls[i] < 255 {
			w.ttls[i] = c.ttls[i]
			w.minvif = min(w.minvif, i)
			w.maxvif = i + 1
		}
	}
	return w
}

// find returns the entry of a key, with parent not -1 the one packets come to by
// it (Linux: ipmr_cache_find_parent); cfg or mu is held.
func (t *table) find(k key, parent int) *entry {
	for _, e := range t.mfc[k] {
		if parent == -1 || e.way.Load().parent == parent {
			return e
		}
	}
	return nil
}

// findAny returns an entry for all sources of a group that has the vif, or whose
// parent is upstream of it (Linux: mr_mfc_find_any); mu is held.
func (t *table) findAny(group header.Addr, vif int) *entry {
	if group != 0 {
		for _, e := range t.mfc[key{0, group}] {
			w := e.way.Load()
			if w.ttls[vif] < 255 {
				return e
			}
			if w.parent < MaxVIFs {
				if p := t.findAnyParent(w.parent); p != nil && p.way.Load().ttls[vif] < 255 {
					return e
				}
			}
		}
	}
	return t.findAnyParent(vif)
}

// findAnyParent returns the entry for everything that has the vif (Linux:
// mr_mfc_find_any_parent); mu is held.
func (t *table) findAnyParent(vif int) *entry {
	for _, e := range t.mfc[key{}] {
		if e.way.Load().ttls[vif] < 255 {
			return e
		}
	}
	return nil
}

// lookup is how Input finds the entry of a packet; vif is that of its device,
// -1 for none. mu is held.
func (t *table) lookup(k key, vif int) *entry {
	if e := t.find(k, -1); e != nil || vif < 0 {
		return e
	}
	return t.findAny(k.group, vif)
}

// unhash takes an entry out of the hash; mu is held.
func (t *table) unhash(e *entry) {
	l := slices.DeleteFunc(slices.Clone(t.mfc[e.key]), func(o *entry) bool { return o == e })
	if len(l) == 0 {
		delete(t.mfc, e.key)
		return
	}
	t.mfc[e.key] = l
}

// addMFC enters a way or changes the one there is (Linux: ipmr_mfc_add); cfg is
// held. ENFILE for a parent that cannot be, EINVAL for what is no group, ENOMEM
// when the cache is full.
func (r *Router) addMFC(t *table, c *mfcctl, daemon bool, parent int) error {
	if c.parent >= MaxVIFs {
		return syscall.ENFILE
	}
	now := r.clock.Now()
	if e := t.find(c.key, parent); e != nil {
		e.way.Store(t.newWay(c))
		e.lastUse.Store(now)
		if !daemon {
			e.static.Store(true)
		}
		r.tell(RouteNew, t, e)
		return nil
	}
	if c.group != 0 && !c.group.IsMulticast() {
		return syscall.EINVAL
	}
	if r.entries >= maxEntries {
		return syscall.ENOMEM
	}
	e := &entry{key: c.key}
	e.way.Store(t.newWay(c))
	e.static.Store(!daemon)
	e.lastUse.Store(now)
	e.lastAssert.Store(now - assertInterval - 1)
	r.mu.Lock()
	t.mfc[c.key] = append([]*entry{e}, t.mfc[c.key]...)
	t.list = append(t.list, e)
	r.entries++
	r.mu.Unlock()
	r.unres.resolve(t, e)
	r.tell(RouteNew, t, e)
	return nil
}

// delMFC is ipmr_mfc_delete; cfg is held. ENOENT when it is not there.
func (r *Router) delMFC(t *table, k key, parent int) error {
	e := t.find(k, parent)
	if e == nil {
		return syscall.ENOENT
	}
	r.mu.Lock()
	t.unhash(e)
	t.list = slices.DeleteFunc(slices.Clone(t.list), func(o *entry) bool { return o == e })
	r.entries--
	r.mu.Unlock()
	r.tell(RouteDel, t, e)
	return nil
}

// Route is a copy of an entry, for listings (Linux: what ipmr_fill_mroute
// tells).
type Route struct {
	Table         uint32
	Origin, Group header.Addr
	Static        bool // not entered by the daemon
	Unresolved    bool // the daemon was asked; nothing below is known

	In   *napi.NetDevice // device packets come by, nil if it is gone
	Outs []Out

	Packets, Bytes, WrongIf uint64
	Idle                    int64 // since the last packet, ns
}

// Out is a device packets go on by.
type Out struct {
	Dev *napi.NetDevice
	TTL uint8 // the packet's must exceed it
}

// routeOf copies an entry; cfg or mu is held.
func (r *Router) routeOf(t *table, e *entry) Route {
	w := e.way.Load()
	o := Route{Table: t.id, Origin: e.origin, Group: e.group, Static: e.static.Load(),
		Packets: e.packets.Load(), Bytes: e.bytes.Load(), WrongIf: e.wrongIf.Load(),
		Idle: max(r.clock.Now()-e.lastUse.Load(), 0)}
	if w.parent < MaxVIFs {
		o.In = t.vifs[w.parent].dev
	}
	for i := w.minvif; i < w.maxvif; i++ {
		if dev := t.vifs[i].dev; dev != nil && w.ttls[i] < 255 {
			o.Outs = append(o.Outs, Out{dev, w.ttls[i]})
		}
	}
	return o
}

// tell announces an entry; cfg is held.
func (r *Router) tell(kind EventKind, t *table, e *entry) {
	if r.Notify != nil {
		r.Notify(Event{Kind: kind, Route: r.routeOf(t, e)})
	}
}
