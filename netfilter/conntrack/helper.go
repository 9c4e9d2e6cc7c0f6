package conntrack

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/netfilter"
	"barewire/skb"
)

// MaxClasses is how many kinds of expectations a helper may have (Linux:
// NF_CT_MAX_EXPECT_CLASSES).
const MaxClasses = 4

// ExpectPolicy bounds the expectations of one class (Linux: struct
// nf_conntrack_expect_policy).
type ExpectPolicy struct {
	Name    string
	Max     int   // of one connection; 0 for no limit
	Timeout int64 // ns
}

// Helper reads the payload of the connections of one application protocol and
// says which connections will follow (Linux: struct nf_conntrack_helper). It is
// immutable once registered.
type Helper struct {
	Name     string // "ftp"
	Proto    uint8
	Policies []ExpectPolicy // one to MaxClasses
	// Help is called with every packet of the connection that goes through,
	// ICMP errors left out, before the first one is confirmed. off is where the
	// transport header begins from b.Data. Accept, or Drop.
	Help func(b *skb.Buff, off int, c *Conn, info Info) netfilter.Verdict
}

// Help is what a connection has for its helper (Linux: struct nf_conn_help).
type Help struct {
	helper atomic.Pointer[Helper]
	// Data is the helper's own, guarded by Conn.LockHelp.
	Data [4]uint64

	// Guarded by the lock of expectations.
	expects   []*Expect
	expecting [MaxClasses]uint8
}

// Helper returns the helper of a connection, nil for none.
func (c *Conn) Helper() *Helper {
	if h := c.help.Load(); h != nil {
		return h.helper.Load()
	}
	return nil
}

// Help returns what the connection has for its helper, nil for nothing.
func (c *Conn) Help() *Help { return c.help.Load() }

// SetHelper gives the connection a helper.
func (c *Conn) SetHelper(h *Helper) {
	help := c.help.Load()
	if help == nil {
		help = &Help{}
		if !c.help.CompareAndSwap(nil, help) {
			help = c.help.Load()
		}
	}
	help.helper.Store(h)
}

// Lock takes the connection's lock, for what a helper or the NAT keeps there. It
// is held for a moment only and no other is taken under it.
func (c *Conn) Lock() { c.mu.Lock() }

// Unlock gives it back.
func (c *Conn) Unlock() { c.mu.Unlock() }

type helperTable struct {
	mu   sync.Mutex
	list []*Helper
}

// RegisterHelper makes a helper known by its name and protocol (Linux:
// nf_conntrack_helper_register). EEXIST if there is one, EINVAL if it is not
// complete.
func (t *Table) RegisterHelper(h *Helper) error {
	if h.Name == "" || h.Help == nil || len(h.Policies) == 0 || len(h.Policies) > MaxClasses {
		return syscall.EINVAL
	}
	t.helpers.mu.Lock()
	defer t.helpers.mu.Unlock()
	for _, o := range t.helpers.list {
		if o.Name == h.Name && o.Proto == h.Proto {
			return syscall.EEXIST
		}
	}
	t.helpers.list = append(t.helpers.list, h)
	return nil
}

// HelperByName finds a helper, nil if there is none (Linux:
// nf_conntrack_helper_try_module_get).
func (t *Table) HelperByName(name string, proto uint8) *Helper {
	t.helpers.mu.Lock()
	defer t.helpers.mu.Unlock()
	for _, h := range t.helpers.list {
		if h.Name == name && h.Proto == proto {
			return h
		}
	}
	return nil
}

// Helpers returns all helpers by name.
func (t *Table) Helpers() []*Helper {
	t.helpers.mu.Lock()
	defer t.helpers.mu.Unlock()
	l := slices.Clone(t.helpers.list)
	slices.SortStableFunc(l, func(a, b *Helper) int { return strings.Compare(a.Name, b.Name) })
	return l
}
