package ipmr

import (
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// Config is an entry as netlink describes it (Linux: rtm_to_ipmr_mfcc).
type Config struct {
	Table         uint32
	Origin, Group header.Addr
	In            *napi.NetDevice // device packets come by
	TTLs          [MaxVIFs]uint8  // as in struct mfcctl, by vif
	Daemon        bool            // of the daemon, and gone with it
	Proxy         bool            // one of several of its key, by In
}

// request translates c; cfg is held. ENOENT when there is no such table.
func (r *Router) request(c *Config) (t *table, m mfcctl, parent int, err error) {
	if t = r.table(c.Table); t == nil {
		return nil, m, 0, syscall.ENOENT
	}
	m = mfcctl{key: key{c.Origin, c.Group}, parent: noParent, ttls: c.TTLs}
	if c.In != nil {
		if i := t.findVIF(c.In); i >= 0 {
			m.parent = i
		}
	}
	parent = -1
	if c.Proxy {
		parent = m.parent
	}
	return t, m, parent, nil
}

// NewRoute enters or changes an entry (Linux: ipmr_rtm_route). Errors: ENOENT
// when there is no such table, ENFILE when In is no vif, EINVAL when Group is no
// group, ENOMEM. Process context.
func (r *Router) NewRoute(c *Config) error {
	r.cfg.Lock()
	defer r.unlock()
	t, m, parent, err := r.request(c)
	if err != nil {
		return err
	}
	return r.addMFC(t, &m, c.Daemon, parent)
}

// DelRoute removes an entry. ENOENT when it or its table is not there. Process
// context.
func (r *Router) DelRoute(c *Config) error {
	r.cfg.Lock()
	defer r.unlock()
	t, m, parent, err := r.request(c)
	if err != nil {
		return err
	}
	return r.delMFC(t, m.key, parent)
}

// Get returns the first entry of a source and group (Linux:
// ipmr_rtm_getroute). ENOENT.
func (r *Router) Get(table uint32, origin, group header.Addr) (Route, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.table(table)
	if t == nil {
		return Route{}, syscall.ENOENT
	}
	e := t.find(key{origin, group}, -1)
	if e == nil {
		return Route{}, syscall.ENOENT
	}
	return r.routeOf(t, e), nil
}

// Routes lists the entries of all tables, and of each what waits (Linux:
// mr_table_dump).
func (r *Router) Routes() (out []Route) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.tables {
		for _, e := range t.list {
			out = append(out, r.routeOf(t, e))
		}
		for _, k := range r.unres.keys(t) {
			out = append(out, Route{Table: t.id, Origin: k.origin, Group: k.group, Unresolved: true})
		}
	}
	return out
}

// Table is a copy of a table's settings and vifs, for listings (Linux: what
// ipmr_rtm_dumplink tells).
type Table struct {
	ID                         uint32
	Waiting                    int // sources and groups the daemon was asked about
	RegVIF                     int // -1 for none
	Assert, PIM, WrongVIFWhole bool
	VIFs                       []VIF
}

// VIF is a copy of a vif.
type VIF struct {
	ID                                       int
	Dev                                      *napi.NetDevice
	Flags                                    uint32
	Local, Remote                            [4]byte // as in struct vifctl
	BytesIn, BytesOut, PacketsIn, PacketsOut uint64
}

// Tables lists the tables.
func (r *Router) Tables() (out []Table) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.tables {
		o := Table{ID: t.id, Waiting: len(r.unres.keys(t)), RegVIF: t.regVif, Assert: t.assert, PIM: t.pim, WrongVIFWhole: t.wholeWrong}
		for i := range t.maxvif {
			if v := &t.vifs[i]; v.dev != nil {
				o.VIFs = append(o.VIFs, VIF{ID: i, Dev: v.dev, Flags: v.flags, Local: v.local, Remote: v.remote, BytesIn: v.bytesIn.Load(),
					BytesOut: v.bytesOut.Load(), PacketsIn: v.pktIn.Load(), PacketsOut: v.pktOut.Load()})
			}
		}
		out = append(out, o)
	}
	return out
}
