package neigh

import (
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// States of a neighbour, bits with Linux's NUD_* values.
const (
	NUDNone       = 0x00
	NUDIncomplete = 0x01
	NUDReachable  = 0x02
	NUDStale      = 0x04
	NUDDelay      = 0x08
	NUDProbe      = 0x10
	NUDFailed     = 0x20
	NUDNoARP      = 0x40
	NUDPermanent  = 0x80

	nudInTimer   = NUDIncomplete | NUDReachable | NUDDelay | NUDProbe
	nudValid     = NUDPermanent | NUDNoARP | NUDReachable | NUDProbe | NUDStale | NUDDelay
	nudConnected = NUDPermanent | NUDNoARP | NUDReachable
)

// Flags of a neighbour (Linux: NTF_*; those from bit 8 on are NTF_EXT_*).
const (
	NTFUse          = 0x01 // a request: as if a packet had used it
	NTFSelf         = 0x02
	NTFProxy        = 0x08
	NTFExtLearned   = 0x10 // known from elsewhere: not collected
	NTFSticky       = 0x40
	NTFRouter       = 0x80
	NTFManaged      = 0x100 // kept resolved though nobody uses it
	NTFExtValidated = 0x400 // somebody else proves it: never fails, not collected

	ntfExempt = NTFExtLearned | NTFExtValidated
)

// minTimer keeps a timer that is due from firing in a loop (Linux: HZ/100).
const minTimer = 10e6

// hhead is a ready link header (Linux: hh_cache).
type hhead [header.EthHLen]byte

// Neigh is one neighbour (Linux: struct neighbour).
type Neigh struct {
	hashNext atomic.Pointer[Neigh]
	state    atomic.Uint32
	hh       atomic.Pointer[hhead] // set while the address is known
	dead     atomic.Bool

	flags atomic.Uint32 // NTFExtLearned, NTFRouter, NTFManaged, NTFExtValidated

	typ   uint8         // RTN_*: what the address is
	proto atomic.Uint32 // RTPROT_*: who entered it

	t    *Table
	dev  *napi.NetDevice
	addr header.Addr
	p    *Parms

	mu         sync.Mutex
	timer      napi.Timer
	queue      skb.List
	queueBytes int
	probes     int
	created    int64
	confirmed  int64 // last proof that it is there
	updated    int64 // last change
	used       int64 // last time a packet needed a look at the state; 0 never

	// Guarded by the table.
	next, prev *Neigh // its list
	exempt     bool   // not collected, not counted
	managed    bool   // on the list of those kept resolved
	unlinked   bool
}

// Dev returns the device of the link.
func (n *Neigh) Dev() *napi.NetDevice { return n.dev }

// Addr returns the protocol address.
func (n *Neigh) Addr() header.Addr { return n.addr }

// Parms returns the settings of the neighbour's device.
func (n *Neigh) Parms() *Parms { return n.p }

// State returns the state, a NUD* bit.
func (n *Neigh) State() uint32 { return n.state.Load() }

// Dead reports whether the entry has left the table; a cached pointer must
// then be looked up again.
func (n *Neigh) Dead() bool { return n.dead.Load() }

// HW returns the hardware address; ok is false while it is not known.
func (n *Neigh) HW() (hw [6]byte, ok bool) {
	if n.state.Load()&nudValid == 0 {
		return hw, false
	}
	if h := n.hh.Load(); h != nil {
		return [6]byte(h[0:6]), true
	}
	return hw, false
}

func (n *Neigh) hwLocked() (hw [6]byte) {
	if h := n.hh.Load(); h != nil {
		hw = [6]byte(h[0:6])
	}
	return hw
}

// setHW builds the cached header. The only allocation in the life of a
// neighbour beside its own: addresses hardly ever change.
func (n *Neigh) setHW(hw [6]byte) {
	h := new(hhead)
	e := header.Ethernet(h[:])
	e.SetDst(hw)
	e.SetSrc(n.dev.HardwareAddr())
	e.SetType(header.EthPIP)
	n.hh.Store(h)
}

// Output gives an IPv4 packet its link header and transmits it, or keeps it
// until the neighbour is resolved (Linux: neigh_output). b.Dev is the device,
// Data the network header, and there is headroom. Consumes b. Errors are those
// of DevQueueXmit; a packet that waits is no error.
func (n *Neigh) Output(b *skb.Buff) error {
	if n.state.Load()&nudConnected != 0 {
		if h := n.hh.Load(); h != nil {
			return n.xmit(b, h)
		}
	}
	return n.resolveOutput(b)
}

func (n *Neigh) xmit(b *skb.Buff, h *hhead) error {
	copy(b.Push(header.EthHLen), h[:])
	b.ResetMacHeader()
	return n.t.net.DevQueueXmit(b)
}

// resolveOutput is neigh_resolve_output.
func (n *Neigh) resolveOutput(b *skb.Buff) error {
	if n.eventSend(b) {
		return nil // kept or dropped
	}
	h := n.hh.Load()
	if h == nil {
		b.Free(skb.NeighFailed)
		return syscall.EINVAL
	}
	return n.xmit(b, h)
}
