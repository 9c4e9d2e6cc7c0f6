package rtnetlink

import (
	"sync"
	"syscall"

	"barewire/napi"
	"barewire/sys/netlink"
)

// Attributes about namespaces (Linux: NETNSA_*, IFLA_LINK_NETNSID).
const (
	netnsaNSID      = 1
	netnsaPID       = 2
	netnsaFD        = 3
	iflaLinkNetnsID = 37
	rtgenmsgLen     = 1
	nsidNotAssigned = -1
	nsidMax         = 1 << 16 // bounds what a program can enter
	nsidAny         = -1      // of a new one: any that is free
	msgNetnsMissing = "Peer netns reference is missing"
	msgNetnsInvalid = "Peer netns reference is invalid"
)

var netnsPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	netnsaNSID: {Kind: netlink.U32},
	netnsaPID:  {Kind: netlink.U32},
	netnsaFD:   {Kind: netlink.U32},
}}

// nsids are the numbers this namespace knows others by (Linux: net->netns_ids).
type nsids struct {
	mu  sync.Mutex
	ids map[*napi.Net]int32
}

// find returns the number of n, or -1.
func (s *nsids) find(n *napi.Net) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.ids[n]; ok {
		return id
	}
	return nsidNotAssigned
}

// net returns the namespace with a number, nil if there is none.
func (s *nsids) net(id int32) *napi.Net {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.netLocked(id)
}

func (s *nsids) netLocked(id int32) *napi.Net {
	for n, i := range s.ids {
		if i == id {
			return n
		}
	}
	return nil
}

// add gives n a number, the lowest free one for nsidAny (Linux: alloc_netid,
// peernet2id_alloc). EEXIST when it has one already or that one is taken,
// ENOSPC when there are too many.
func (s *nsids) add(n *napi.Net, id int32) (int32, syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.ids[n]; ok {
		return old, syscall.EEXIST
	}
	if len(s.ids) >= nsidMax {
		return 0, syscall.ENOSPC
	}
	if id < 0 {
		for id = 0; s.netLocked(id) != nil; {
			id++
		}
	} else if s.netLocked(id) != nil {
		return 0, syscall.EEXIST
	}
	if s.ids == nil {
		s.ids = map[*napi.Net]int32{}
	}
	s.ids[n] = id
	return id, 0
}

// Forget takes back the number of a namespace that ends, if it has one here, and
// announces it (Linux: unhash_nsid).
func (r *Route) Forget(n *napi.Net) {
	r.nsids.mu.Lock()
	id, ok := r.nsids.ids[n]
	delete(r.nsids.ids, n)
	r.nsids.mu.Unlock()
	if ok {
		r.tell(groupNSID, func(b *netlink.Builder) { putNSID(b, rtmDelNSID, id) })
	}
}

// findNet returns the namespace a descriptor or a process stands for.
func (r *Route) findNet(fd bool, n uint32) (*napi.Net, error) {
	if r.FindNet == nil {
		if fd {
			return nil, syscall.EBADF
		}
		return nil, syscall.ESRCH
	}
	to, err := r.FindNet(fd, n)
	if err == nil && to == nil {
		err = syscall.EINVAL
	}
	return to, errnoOf(err)
}

// linkNet returns the namespace that a request about a link names, def if it
// names none (Linux: rtnl_link_get_net_by_nlattr). Naming it twice is EINVAL.
func (r *Route) linkNet(q *request, a netlink.Attrs, def *napi.Net) (*napi.Net, error) {
	n := 0
	for _, t := range []int{iflaNetNSPID, iflaNetNSFD, iflaTargetNetnsID} {
		if a.Has(t) {
			n++
		}
	}
	if n > 1 {
		return nil, q.fail(syscall.EINVAL, "multiple netns identifying attributes specified")
	}
	switch {
	case a.Has(iflaNetNSPID):
		return r.findNet(false, a.U32(iflaNetNSPID))
	case a.Has(iflaNetNSFD):
		return r.findNet(true, a.U32(iflaNetNSFD))
	case a.Has(iflaTargetNetnsID):
		if to := r.nsids.net(int32(a.U32(iflaTargetNetnsID))); to != nil {
			return to, nil
		}
		return nil, syscall.EINVAL
	}
	return def, nil
}

// moveLink takes a link into another namespace (Linux:
// dev_change_net_namespace).
func (r *Route) moveLink(q *request, dev *napi.NetDevice, to *napi.Net, name string) error {
	from := dev.Net()
	if from == to {
		return nil
	}
	if dev.Flags()&napi.IFF_LOOPBACK != 0 {
		return q.fail(syscall.EINVAL, "The interface netns is immutable")
	}
	if name == "" && to.DevByName(dev.Name()) != nil {
		return q.fail(syscall.EEXIST, "An interface with the same name exists in the target netns")
	}
	return errnoOf(from.MoveDevice(dev, to, name))
}

// putLinkNetns says where the other end of a pair is when that is elsewhere.
func (r *Route) putLinkNetns(b *netlink.Builder, dev *napi.NetDevice) {
	p := napi.VethPeer(dev)
	if p == nil || p.Net() == nil || p.Net() == r.dev {
		return
	}
	if id, e := r.nsids.add(p.Net(), nsidAny); e == 0 || e == syscall.EEXIST {
		b.AttrU32(iflaLinkNetnsID, uint32(id))
	}
}

// peerNet is the namespace a request of numbers is about, by process or
// descriptor; nil without error: it names none.
func (r *Route) peerNet(q *request, a netlink.Attrs) (*napi.Net, error) {
	var to *napi.Net
	var err error
	attr := netnsaPID
	switch {
	case a.Has(netnsaPID):
		to, err = r.findNet(false, a.U32(netnsaPID))
	case a.Has(netnsaFD):
		attr = netnsaFD
		to, err = r.findNet(true, a.U32(netnsaFD))
	default:
		return nil, nil
	}
	if err != nil {
		return nil, q.Ack.BadVal(err.(syscall.Errno), a[attr], msgNetnsInvalid)
	}
	return to, nil
}

// newNSID is rtnl_net_newid.
func (r *Route) newNSID(q *request) error {
	a, err := q.Parse(rtgenmsgLen, &netnsPolicy, false)
	if err != nil {
		return err
	}
	if !a.Has(netnsaNSID) {
		return q.fail(syscall.EINVAL, "nsid is missing")
	}
	to, err := r.peerNet(q, a)
	if err != nil {
		return err
	}
	if to == nil {
		return q.fail(syscall.EINVAL, msgNetnsMissing)
	}
	id, e := r.nsids.add(to, int32(a.U32(netnsaNSID)))
	switch e {
	case 0:
		r.tell(groupNSID, func(b *netlink.Builder) { putNSID(b, rtmNewNSID, id) })
		return nil
	case syscall.EEXIST:
		if r.nsids.find(to) != nsidNotAssigned {
			return q.Ack.BadVal(e, a[netnsaNSID], "Peer netns already has a nsid assigned")
		}
		return q.Ack.BadVal(e, a[netnsaNSID], "The specified nsid is already used")
	}
	return e
}

// getNSID is rtnl_net_getid.
func (r *Route) getNSID(q *request) error {
	a, err := q.Parse(rtgenmsgLen, &netnsPolicy, q.Strict())
	if err != nil {
		return err
	}
	to, err := r.peerNet(q, a)
	switch {
	case err != nil:
		return err
	case to != nil:
	case a.Has(netnsaNSID):
		if to = r.nsids.net(int32(a.U32(netnsaNSID))); to == nil {
			return q.Ack.BadVal(syscall.ENOENT, a[netnsaNSID], msgNetnsInvalid)
		}
	default:
		return q.fail(syscall.EINVAL, msgNetnsMissing)
	}
	q.Reply(func(b *netlink.Builder) { putNSID(b, rtmNewNSID, r.nsids.find(to)) })
	return nil
}

// dumpNSIDs is rtnl_net_dumpid.
func (r *Route) dumpNSIDs(q *request) error {
	var list []int32
	r.nsids.mu.Lock()
	for _, id := range r.nsids.ids {
		list = append(list, id)
	}
	r.nsids.mu.Unlock()
	return q.Dump(netlink.Dump{Next: netlink.List(list, func(b *netlink.Builder, id int32) { putNSID(b, rtmNewNSID, id) })})
}

// putNSID is rtnl_net_fill.
func putNSID(b *netlink.Builder, typ uint16, id int32) {
	b.Begin(typ, 0)
	b.Raw(afUnspec)
	b.AttrU32(netnsaNSID, uint32(id))
	b.End()
}
