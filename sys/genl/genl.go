// Package genl is NETLINK_GENERIC (Linux: net/netlink/genetlink.c): families of
// messages that are found by name.
//
// [New] enters the protocol and its own family, nlctrl, which tells a program
// the number, the operations, the groups and the attributes of a family.
// [Table.Register] enters others, before there are sockets. Requests are
// carried out one at a time (Linux: genl_mutex).
package genl

import (
	"fmt"
	"sync"
	"syscall"

	"barewire/sys/netlink"
)

// HeaderLen is the length of struct genlmsghdr.
const HeaderLen = 4

// Numbers that are given out (Linux: GENL_ID_CTRL, GENL_START_ALLOC).
const (
	idCtrl  = 0x10
	idFirst = 0x13
)

// Op is what a family does for one command (Linux: struct genl_split_ops).
type Op struct {
	Cmd uint8
	// Policy describes the request's attributes; nil: there are none.
	Policy *netlink.Policy
	// Strict refuses unknown attributes and wrong lengths.
	Strict bool
	// Do answers a request, Dump one for a list. Either may be nil.
	Do, Dump func(r *Request) error
	// Admin says that the command is for administrators; it is only shown.
	Admin bool
}

// Family is one set of messages (Linux: struct genl_family). It does not change
// once registered.
type Family struct {
	Name    string
	Version uint8
	MaxAttr int // greatest type of attribute, as nlctrl tells it
	Ops     []Op
	Groups  []string
	// FirstGroup is the number of the first group, 0 for any (Linux keeps some
	// from before groups had names).
	FirstGroup int

	id    uint16
	group int // number of the first group
	t     *Table
}

// Request is a request to a family.
type Request struct {
	*netlink.Request
	Cmd   uint8
	Attrs netlink.Attrs
	f     *Family
}

// Table is the families of one namespace.
type Table struct {
	nl       *netlink.Table
	mu       sync.Mutex // one request at a time
	families []*Family  // by number; set before the first socket
	groups   uint64     // numbers in use
}

// New enters NETLINK_GENERIC. The error is that of a protocol that is there
// already.
func New(nl *netlink.Table) (*Table, error) {
	t := &Table{nl: nl}
	p := &netlink.Protocol{Groups: netlink.MaxGroups, Rcv: t.rcv}
	if err := nl.Register(syscall.NETLINK_GENERIC, p); err != nil {
		return nil, fmt.Errorf("genl: %w", err)
	}
	return t, t.Register(t.ctrl())
}

// Register enters a family (Linux: genl_register_family). EEXIST for a name
// that is taken, ENOMEM when the groups have run out.
func (t *Table) Register(f *Family) error {
	if t.byName(f.Name) != nil {
		return syscall.EEXIST
	}
	f.t, f.id = t, uint16(idFirst+len(t.families)-1)
	if len(t.families) == 0 {
		f.id = idCtrl
	}
	if f.group = f.FirstGroup; f.group == 0 {
		f.group = int(f.id)
	}
	for i := range f.Groups {
		g := f.group + i
		if g < 1 || g > netlink.MaxGroups || t.groups&(1<<(g-1)) != 0 {
			return syscall.ENOMEM
		}
		t.groups |= 1 << (g - 1)
	}
	t.families = append(t.families, f)
	return nil
}

func (t *Table) byName(name string) *Family {
	for _, f := range t.families {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func (t *Table) byID(id uint16) *Family {
	for _, f := range t.families {
		if f.id == id {
			return f
		}
	}
	return nil
}

// rcv is genl_rcv_msg.
func (t *Table) rcv(nr *netlink.Request) error {
	f := t.byID(nr.Type)
	if f == nil {
		return syscall.ENOENT
	}
	if len(nr.Data) < HeaderLen {
		return syscall.EINVAL
	}
	r := &Request{Request: nr, Cmd: nr.Data[0], f: f}
	for i := range f.Ops {
		op := &f.Ops[i]
		if op.Cmd != r.Cmd {
			continue
		}
		do := op.Do
		if nr.Flags&netlink.FlagDump == netlink.FlagDump {
			do = op.Dump
		}
		if do == nil {
			break
		}
		if op.Policy != nil {
			var err error
			if r.Attrs, err = nr.Parse(HeaderLen, op.Policy, op.Strict); err != nil {
				return err
			}
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		return do(r)
	}
	return syscall.EOPNOTSUPP
}

// begin starts a message of the family.
func (f *Family) begin(b *netlink.Builder, cmd uint8) {
	b.Begin(f.id, 0)
	b.Raw(cmd, f.Version, 0, 0)
}

// Answer sends the requester a message; put appends its attributes.
func (r *Request) Answer(cmd uint8, put func(b *netlink.Builder)) error {
	r.Reply(func(b *netlink.Builder) {
		r.f.begin(b, cmd)
		put(b)
		b.End()
	})
	return nil
}

// Listened reports whether somebody is in the family's group of that index.
func (f *Family) Listened(group int) bool {
	return f.t.nl.HasListeners(syscall.NETLINK_GENERIC, f.group+group)
}

// Multicast sends a message to the members of a group, by its index; put
// appends the attributes. It does not block.
func (f *Family) Multicast(group int, cmd uint8, put func(b *netlink.Builder)) {
	var b netlink.Builder
	f.begin(&b, cmd)
	put(&b)
	b.End()
	f.t.nl.Broadcast(syscall.NETLINK_GENERIC, f.group+group, b.Bytes())
}
