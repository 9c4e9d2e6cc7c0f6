package neigh

import (
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// Request is what the administrator says about a neighbour (Linux: struct ndmsg
// and its attributes).
type Request struct {
	Dev   *napi.NetDevice
	Addr  header.Addr
	HW    *[6]byte // nil keeps what is known
	State uint8    // NUD* bits
	Flags uint32   // NTF*
	Proto uint8    // RTPROT_*; 0 keeps what there is

	Create  bool // it may be new
	Excl    bool // it must be
	Replace bool // a different address is taken though the old one is valid
}

// Set enters a neighbour or changes it (Linux: neigh_add). With NTFUse or
// NTFManaged the state is not what is asked for: the neighbour is resolved as if
// a packet had used it. Errors: ENOENT without Create, EEXIST with Excl, EINVAL
// for a valid state without an address and for flags that do not go together,
// ENOBUFS when the table is full. why is Linux's words for it, or empty. A
// permanent neighbour does not count against the table's thresholds. Process
// context.
func (t *Table) Set(r *Request) (why string, err error) {
	f := updAdmin | updOverride | updOverrideRouter
	asks := r.Flags&(NTFUse|NTFManaged) != 0
	state := uint32(r.State)
	n := t.Lookup(r.Dev, r.Addr)
	if n == nil {
		switch {
		case !r.Create:
			return "", syscall.ENOENT
		case state&NUDPermanent != 0 && r.Flags&NTFManaged != 0:
			return "Invalid NTF_* flag for permanent entry", syscall.EINVAL
		case r.Flags&NTFExtValidated != 0 && (asks || state&nudValid == 0):
			return "Cannot create externally validated neighbor with an invalid state", syscall.EINVAL
		}
		if n, err = t.get(r.Dev, r.Addr, state&NUDPermanent != 0 || r.Flags&ntfExempt != 0); err != nil {
			return "", err
		}
		n.setFlags(r.Flags, ntfExempt|NTFManaged) // no news of a neighbour that is new
	} else {
		will := state
		if asks {
			will = n.State() &^ NUDPermanent
		}
		switch {
		case r.Excl:
			return "", syscall.EEXIST
		case r.Flags&NTFExtValidated != 0 && will&nudValid == 0:
			return "Cannot mark neighbor as externally validated with an invalid state", syscall.EINVAL
		case !r.Replace:
			f = updAdmin
		}
	}
	if r.Proto != 0 {
		n.proto.Store(uint32(r.Proto))
	}
	if asks {
		f |= updUse
	}
	if why, err = n.update(r.HW, state, f, r.Flags); err == nil && asks {
		n.eventSend(nil)
	}
	return why, err
}

// Add is Set that makes the neighbour or replaces the one there is.
func (t *Table) Add(dev *napi.NetDevice, addr header.Addr, lladdr []byte, state uint32, flags uint32) error {
	r := Request{Dev: dev, Addr: addr, State: uint8(state), Flags: flags, Create: true, Replace: true}
	if lladdr != nil {
		if len(lladdr) != 6 {
			return syscall.EINVAL
		}
		r.HW = (*[6]byte)(lladdr)
	}
	_, err := t.Set(&r)
	return err
}

// Delete removes a neighbour (Linux: neigh_delete). ENOENT when it is not
// there.
func (t *Table) Delete(dev *napi.NetDevice, addr header.Addr) error {
	n := t.Lookup(dev, addr)
	if n == nil {
		return syscall.ENOENT
	}
	n.update(nil, NUDFailed, updOverride|updAdmin, 0)
	t.mu.Lock()
	if n.unlinked {
		t.mu.Unlock()
		return nil // somebody else was faster
	}
	t.unlink(n)
	t.mu.Unlock()
	t.bury([]*Neigh{n})
	return nil
}

// Entry is a copy of one neighbour for listings.
type Entry struct {
	Dev    *napi.NetDevice // nil in a proxy entry for every device
	Addr   header.Addr
	HW     [6]byte
	State  uint32
	Flags  uint32 // NTF*
	Type   uint8  // RTN_*: what the address is
	Proto  uint8  // RTPROT_*: who entered it
	Gone   bool   // it has left the table
	Timed  bool   // a timer runs for it
	Queued int    // packets waiting
	Probes int    // solicitations since the last proof

	// Ages in nanoseconds, as in struct nda_cacheinfo.
	Confirmed, Used, Updated int64
}

// entry copies n.
func (n *Neigh) entry(now int64) Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := Entry{Dev: n.dev, Addr: n.addr, HW: n.hwLocked(), State: n.state.Load(), Flags: n.flags.Load(), Type: n.typ, Proto: uint8(n.proto.Load()), Timed: n.timer.Pending(),
		Queued: n.queue.Len(), Probes: n.probes,
		Confirmed: now - n.confirmed, Used: now - max(n.used, n.created), Updated: now - n.updated}
	return e
}

// Find returns a copy of one neighbour; ok is false if there is none.
func (t *Table) Find(dev *napi.NetDevice, addr header.Addr) (e Entry, ok bool) {
	n := t.Lookup(dev, addr)
	if n == nil {
		return e, false
	}
	return n.entry(t.clock.Now()), true
}

// Entries returns all neighbours, oldest first.
func (t *Table) Entries() []Entry {
	t.mu.Lock()
	var all []*Neigh
	for n := t.list; n != nil; n = n.next {
		all = append(all, n)
	}
	t.mu.Unlock()
	now := t.clock.Now()
	out := make([]Entry, 0, len(all))
	for _, n := range all {
		out = append(out, n.entry(now))
	}
	return out
}

// tell announces a change of state to the listener.
func (t *Table) tell(n *Neigh) {
	if t.Notify != nil {
		t.Notify(n.entry(t.clock.Now()))
	}
}

// tellGone announces that an entry has left the table.
func (t *Table) tellGone(n *Neigh) {
	if t.Notify != nil {
		e := n.entry(t.clock.Now())
		e.Gone = true
		t.Notify(e)
	}
}
