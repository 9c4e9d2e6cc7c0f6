package ipmr

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
)

// Limits; see the package comment.
const (
	MaxVIFs        = 32    // MAXVIFS
	maxTables      = 32    // Linux has no bound
	maxEntries     = 16384 // nor here
	maxUnresolved  = 1024
	maxUnresBytes  = 4 << 20
	maxTableID     = 1000000000 // what fits in the name of a register device
	unresolvedLife = int64(10e9)
	assertInterval = int64(3e9) // MFC_ASSERT_THRESH
)

// DefaultTable is the table that forwards (Linux: RT_TABLE_DEFAULT).
const DefaultTable = 253

// EventKind says what an Event is about.
type EventKind uint8

// Kinds of events.
const (
	RouteNew   EventKind = iota + 1 // RTM_NEWROUTE: entered, changed, or asked for
	RouteDel                        // RTM_DELROUTE
	Report                          // RTM_NEWCACHEREPORT: an upcall
	Forwarding                      // RTM_NEWNETCONF: mc_forwarding of a device, or of all
)

// Event is something netlink listeners hear of (Linux: mroute_netlink_event,
// igmpmsg_netlink_event, inet_netconf_notify_devconf).
type Event struct {
	Kind  EventKind
	Route Route           // of a RouteNew or RouteDel
	Table uint32          // of a Report, as what follows
	Msg   []byte          // the packet the daemon gets, struct igmpmsg and what follows; only to look at now
	Dev   *napi.NetDevice // of a Forwarding, nil for all
}

// Router is the multicast routing of one namespace. It implements
// ip.MulticastRouter.
type Router struct {
	ip    *ip.Net
	net   *napi.Net
	clock napi.Clock
	def   *table // the default table, which alone forwards

	// Notify hears of changes and upcalls. It must not block, and is set before
	// packets flow. May be nil.
	Notify func(Event)

	// cfg has one request go on at a time (Linux: RTNL). It is taken inside the
	// lock of the device layer and outside mu; doomed is under it.
	cfg    sync.Mutex
	doomed []*napi.NetDevice // register devices to be unregistered, after cfg

	mu sync.RWMutex
	// Under mu: the tables and all they hold.
	tables  []*table // by id
	entries int      // of all caches
	choice  map[*ip.Sock]uint32

	unres unresolved
}

// table is one multicast routing table (Linux: struct mr_table).
type table struct {
	id     uint32
	sk     atomic.Pointer[ip.Sock] // the daemon's
	vifs   [MaxVIFs]vif
	maxvif int
	regVif int // number of the register vif, -1 for none

	mfc  map[key][]*entry
	list []*entry // in the order they were entered

	assert, pim, wholeWrong bool // MRT_ASSERT, MRT_PIM
}

// New makes the multicast routing of a namespace with its default table, and
// becomes the IP layer's MR (Linux: ipmr_net_init, ip_mr_init). The caller
// registers Event.
func New(n *ip.Net) (*Router, error) {
	r := &Router{ip: n, net: n.Dev, clock: n.Dev.Clock(), choice: map[*ip.Sock]uint32{}}
	pool := n.Dev.SKB().Pool()
	r.unres.init(r, min(maxUnresBytes, int64(pool.MaxPages())*int64(pool.PageSize())/16))
	r.def = newTable(DefaultTable)
	r.tables = []*table{r.def}
	n.MR = r
	n.Dev.Proc().Register("ip_mr_vif", r.showVIFs)
	n.Dev.Proc().Register("ip_mr_cache", r.showCache)
	if err := n.AddProtocol(header.ProtoPIM, &ip.Protocol{Handler: r.rcvPIM}); err != nil {
		return nil, fmt.Errorf("ipmr: %w", err)
	}
	return r, nil
}

func newTable(id uint32) *table { return &table{id: id, regVif: -1, mfc: map[key][]*entry{}} }

// Close drops what waits and the devices made here; for the end of a namespace.
func (r *Router) Close() {
	r.cfg.Lock()
	defer r.unlock()
	for _, t := range r.tables {
		r.clean(t, flushMFC|flushMFCStatic|flushVIFs|flushVIFsStatic)
	}
	r.unres.close()
}

// unlock releases cfg and then ends the devices that are of no use any more:
// what that sets off may need cfg.
func (r *Router) unlock() {
	gone := r.doomed
	r.doomed = nil
	r.cfg.Unlock()
	for _, d := range gone {
		r.net.UnregisterNetdev(d)
	}
}

// table returns the table with an id, nil if there is none; cfg or mu is held.
func (r *Router) table(id uint32) *table {
	for _, t := range r.tables {
		if t.id == id {
			return t
		}
	}
	return nil
}

// tableOf returns the table a sock chose with MRT_TABLE; cfg or mu is held.
func (r *Router) tableOf(s *ip.Sock) *table {
	if id, ok := r.choice[s]; ok {
		return r.table(id)
	}
	return r.table(DefaultTable)
}

// chooseTable is MRT_TABLE; cfg is held.
func (r *Router) chooseTable(s *ip.Sock, id uint32) error {
	t := r.tableOf(s)
	if t != nil && t.sk.Load() == s {
		return syscall.EBUSY
	}
	if id >= maxTableID && id != DefaultTable {
		return syscall.EINVAL
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Zero is what a sock has that chose nothing: the table is made, and not
	// used.
	if r.table(id) == nil {
		if len(r.tables) >= maxTables {
			return syscall.ENOMEM
		}
		r.tables = append(r.tables, newTable(id))
	}
	if id == 0 {
		delete(r.choice, s)
	} else {
		r.choice[s] = id
	}
	return nil
}

// Drop implements ip.MulticastRouter. What the sock routed ended when it left
// the chain of router alerts.
func (r *Router) Drop(s *ip.Sock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.choice, s)
}

// start makes the sock the daemon's of its table (Linux: MRT_INIT); cfg is
// held.
func (r *Router) start(t *table, s *ip.Sock) error {
	if t.sk.Load() != nil {
		return syscall.EADDRINUSE
	}
	if err := s.RouterAlert(true, func() { r.stop(s) }); err != nil {
		return err
	}
	t.sk.Store(s)
	r.ip.ConfAll.McForwarding.Add(1)
	r.notify(Event{Kind: Forwarding})
	return nil
}

// stop ends what a sock routed (Linux: mrtsock_destruct).
func (r *Router) stop(s *ip.Sock) {
	r.cfg.Lock()
	defer r.unlock()
	for _, t := range r.tables {
		if t.sk.Load() == s {
			r.ip.ConfAll.McForwarding.Add(-1)
			r.notify(Event{Kind: Forwarding})
			t.sk.Store(nil)
			r.clean(t, flushVIFs|flushMFC)
		}
	}
}

// Flags of MRT_FLUSH (Linux: MRT_FLUSH_*).
const (
	flushMFC = 1 << iota
	flushMFCStatic
	flushVIFs
	flushVIFsStatic
)

// clean is mroute_clean_tables; cfg is held.
func (r *Router) clean(t *table, flags uint32) {
	static := func(is bool, static, not uint32) bool {
		if is {
			return flags&static != 0
		}
		return flags&not != 0
	}
	for i := range t.maxvif {
		if t.vifs[i].dev != nil && static(t.vifs[i].flags&vifStatic != 0, flushVIFsStatic, flushVIFs) {
			r.delVIF(t, i, false)
		}
	}
	var gone []*entry
	r.mu.Lock()
	keep := t.list[:0:0]
	for _, e := range t.list {
		if static(e.static.Load(), flushMFCStatic, flushMFC) {
			gone = append(gone, e)
			t.unhash(e)
		} else {
			keep = append(keep, e)
		}
	}
	t.list = keep
	r.entries -= len(gone)
	r.mu.Unlock()
	for _, e := range gone {
		r.tell(RouteDel, t, e)
	}
	if flags&flushMFC != 0 {
		r.unres.flush(t)
	}
}

// Event follows the devices: one that goes is no vif any more (Linux:
// ipmr_device_event). It is called under the lock of the device layer.
func (r *Router) Event(ev napi.Event, dev *napi.NetDevice) {
	if ev != napi.EventUnregister {
		return
	}
	r.cfg.Lock()
	defer r.cfg.Unlock()
	for _, t := range r.tables {
		for i := range t.maxvif {
			if t.vifs[i].dev == dev {
				r.delVIF(t, i, true)
			}
		}
	}
}

func (r *Router) notify(ev Event) {
	if r.Notify != nil {
		r.Notify(ev)
	}
}

var _ ip.MulticastRouter = (*Router)(nil)
