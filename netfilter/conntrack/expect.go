package conntrack

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/skb/header"
)

// ExpectFlags are bits of an expectation (Linux: NF_CT_EXPECT_*).
type ExpectFlags uint8

// Flags of expectations, with Linux's values.
const (
	ExpectPermanent ExpectFlags = 1 << iota // stays when it was fulfilled
	ExpectInactive                          // matches nothing for now
	ExpectUserspace                         // made by a program
)

// Expect is an expected connection (Linux: struct nf_conntrack_expect). The
// caller fills the exported fields and leaves them alone once it is given to
// [Table.Expect].
type Expect struct {
	// Tuple is that of the expected first packet. Of its source only the bits
	// of the masks count.
	Tuple       Tuple
	SrcMask     header.Addr
	SrcPortMask uint16

	Class  uint8 // index of the policy of the master's helper
	Flags  ExpectFlags
	Master *Conn
	// Helper is the helper of the expected connection, nil for none.
	Helper *Helper
	// OnMatch is called with the connection that fulfils it, before that is
	// confirmed, as nf_nat_follow_master is.
	OnMatch func(c *Conn, e *Expect)

	// For the NAT: where the expected connection really goes, and the
	// direction of the master it answers to.
	SavedAddr header.Addr
	SavedPort uint16
	Dir       Dir

	id      uint32
	expires int64
	next    *Expect
	listed  bool
}

// ID returns a number that tells it from others.
func (e *Expect) ID() uint32 { return e.id }

// Expires returns the time left in ns, not less than 0.
func (e *Expect) Expires() int64 { return max(e.expires-e.Master.table.now(), 0) }

// expectTable is the expectations of a namespace by what they certainly have of
// the first packet: where it goes. A Go map hashes with a secret of its own.
type expectTable struct {
	count atomic.Int32 // read without the lock: mostly there are none
	mu    sync.Mutex
	m     map[expectKey]*Expect
}

type expectKey struct {
	dst   header.Addr
	port  uint16
	proto uint8
}

func (s *expectTable) init() { s.m = make(map[expectKey]*Expect) }

func (e *Expect) key() expectKey {
	return expectKey{e.Tuple.Dst, e.Tuple.DstPort, e.Tuple.Proto}
}

// matches reports whether the expectation is of a packet with tuple k.
func (e *Expect) matches(k *Tuple) bool {
	return e.key() == expectKey{k.Dst, k.DstPort, k.Proto} &&
		(e.Tuple.Src^k.Src)&e.SrcMask == 0 && (e.Tuple.SrcPort^k.SrcPort)&e.SrcPortMask == 0
}

// sameZone reports whether both are of one zone.
func sameZone(a, b Zone) bool { return a.ID == b.ID && a.Dirs == b.Dirs }

// clashes reports whether a packet could be of both (Linux: expect_clash).
func (e *Expect) clashes(o *Expect) bool {
	return e.key() == o.key() && (e.Tuple.Src^o.Tuple.Src)&e.SrcMask&o.SrcMask == 0 &&
		(e.Tuple.SrcPort^o.Tuple.SrcPort)&e.SrcPortMask&o.SrcPortMask == 0 &&
		sameZone(e.Master.zone, o.Master.zone)
}

// same reports whether o says again what e says (Linux: expect_matches).
func (e *Expect) same(o *Expect) bool {
	return e.Master == o.Master && e.Class == o.Class && e.Tuple == o.Tuple &&
		e.SrcMask == o.SrcMask && e.SrcPortMask == o.SrcPortMask
}

// Expect enters an expectation (Linux: nf_ct_expect_related). The same one again
// takes the old one's place. EBUSY when packets could be of another one too,
// EMFILE when the connection or the table has as many as it may, ESHUTDOWN when
// the master has no helper or is gone, EINVAL for a class there is no policy of.
// Of its own helper's expectations the oldest gives way.
func (t *Table) Expect(e *Expect) error {
	m := e.Master
	if m == nil || m.table != t || m.IsDying() {
		return syscall.ESHUTDOWN
	}
	help := m.Help()
	if help == nil {
		return syscall.ESHUTDOWN
	}
	h := help.helper.Load()
	if h == nil {
		return syscall.ESHUTDOWN
	}
	if int(e.Class) >= len(h.Policies) {
		return syscall.EINVAL
	}
	p := &h.Policies[e.Class]
	e.Tuple.Zone = 0
	var gone []*Expect
	s := &t.expect
	now := t.now()
	s.mu.Lock()
	err := func() error {
		for o := s.m[e.key()]; o != nil; o = o.next {
			switch {
			case o.expires <= now || o.same(e):
				gone = append(gone, o)
			case o.clashes(e):
				return syscall.EBUSY
			}
		}
		for _, o := range gone {
			s.unlink(o)
		}
		if p.Max > 0 && int(help.expecting[e.Class]) >= p.Max {
			for _, o := range help.expects { // oldest first
				if o.Class == e.Class {
					s.unlink(o)
					gone = append(gone, o)
					break
				}
			}
		}
		if help.expecting[e.Class] == 255 {
			return syscall.EMFILE
		}
		if int(s.count.Load()) >= int(t.Conf.ExpectMax.Load()) {
			if t.fullLog.allow(now) {
				t.cfg.Logf("nf_conntrack: expectation table full")
			}
			return syscall.EMFILE
		}
		e.id = t.ids.Add(1)
		e.expires = now + p.Timeout
		e.listed = true
		e.next = s.m[e.key()]
		s.m[e.key()] = e
		s.count.Add(1)
		help.expects = append(help.expects, e)
		help.expecting[e.Class]++
		return nil
	}()
	s.mu.Unlock()
	for _, o := range gone {
		if !o.listed {
			t.Stat.ExpectDelete.Add(1)
			t.tellExpect(ExpectEventDestroy, o)
		}
	}
	if err == nil {
		t.Stat.ExpectCreate.Add(1)
		t.tellExpect(ExpectEventNew, e)
	}
	return err
}

// unlink takes e out, if it is there; mu is held.
func (s *expectTable) unlink(e *Expect) bool {
	if !e.listed {
		return false
	}
	e.listed = false
	k := e.key()
	if s.m[k] == e {
		if e.next == nil {
			delete(s.m, k)
		} else {
			s.m[k] = e.next
		}
	} else {
		for o := s.m[k]; o != nil; o = o.next {
			if o.next == e {
				o.next = e.next
				break
			}
		}
	}
	s.count.Add(-1)
	if help := e.Master.Help(); help != nil {
		if i := slices.Index(help.expects, e); i >= 0 {
			help.expects = slices.Delete(help.expects, i, i+1)
			help.expecting[e.Class]--
		}
	}
	return true
}

// Unexpect takes an expectation out (Linux: nf_ct_unexpect_related). It reports
// false when it was not there any more.
func (t *Table) Unexpect(e *Expect) bool {
	t.expect.mu.Lock()
	ok := t.expect.unlink(e)
	t.expect.mu.Unlock()
	if ok {
		t.Stat.ExpectDelete.Add(1)
		t.tellExpect(ExpectEventDestroy, e)
	}
	return ok
}

// removeExpectations drops those of a connection that ends (Linux:
// nf_ct_remove_expectations).
func (t *Table) removeExpectations(c *Conn) {
	help := c.Help()
	if help == nil {
		return
	}
	t.expect.mu.Lock()
	l := slices.Clone(help.expects)
	for _, e := range l {
		t.expect.unlink(e)
	}
	t.expect.mu.Unlock()
	for _, e := range l {
		t.Stat.ExpectDelete.Add(1)
		t.tellExpect(ExpectEventDestroy, e)
	}
}

// findExpect returns the expectation of a first packet and takes it out unless
// it is permanent (Linux: nf_ct_find_expectation).
func (t *Table) findExpect(k *Tuple, z Zone, now int64) *Expect {
	s := &t.expect
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.m[expectKey{k.Dst, k.DstPort, k.Proto}]; e != nil; e = e.next {
		if e.Flags&ExpectInactive != 0 || e.expires <= now || !e.matches(k) || !sameZone(e.Master.zone, z) {
			continue
		}
		// A master that is not confirmed may yet be dropped, and then be
		// another connection.
		if st := e.Master.Status(); st&Confirmed == 0 || st&Dying != 0 {
			return nil
		}
		if e.Flags&ExpectPermanent == 0 {
			s.unlink(e)
		}
		return e
	}
	return nil
}

// FindExpect returns the expectation with exactly this destination whose source
// matches, nil if there is none. It stays.
func (t *Table) FindExpect(k Tuple) *Expect {
	s := &t.expect
	now := t.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.m[expectKey{k.Dst, k.DstPort, k.Proto}]; e != nil; e = e.next {
		if e.expires > now && e.matches(&k) {
			return e
		}
	}
	return nil
}

// Expectations returns all expectations, the soonest to expire first.
func (t *Table) Expectations() []*Expect {
	s := &t.expect
	now := t.now()
	var l []*Expect
	s.mu.Lock()
	for _, e := range s.m {
		for ; e != nil; e = e.next {
			if e.expires > now {
				l = append(l, e)
			}
		}
	}
	s.mu.Unlock()
	slices.SortFunc(l, func(a, b *Expect) int { return int((a.expires - b.expires) >> 1) })
	return l
}

// ExpectCount returns how many expectations there are.
func (t *Table) ExpectCount() int { return int(t.expect.count.Load()) }

// expireExpects drops those whose time is over.
func (t *Table) expireExpects(now int64) {
	if t.expect.count.Load() == 0 {
		return
	}
	var l []*Expect
	s := &t.expect
	s.mu.Lock()
	for _, e := range s.m {
		for ; e != nil; e = e.next {
			if e.expires <= now {
				l = append(l, e)
			}
		}
	}
	for _, e := range l {
		s.unlink(e)
	}
	s.mu.Unlock()
	for _, e := range l {
		t.Stat.ExpectDelete.Add(1)
		t.tellExpect(ExpectEventDestroy, e)
	}
}
