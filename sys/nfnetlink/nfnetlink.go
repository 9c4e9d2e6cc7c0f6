package nfnetlink

import (
	"encoding/binary"
	"fmt"
	"sync"
	"syscall"

	"barewire/inet/nf"
	"barewire/sys/netlink"
)

// Subsystems (Linux: NFNL_SUBSYS_*).
const (
	subConntrack = 1
	subExpect    = 2
	subQueue     = 3
	subLog       = 4
	numSubs      = 5
)

// Multicast groups (Linux: enum nfnetlink_groups).
const (
	groupNew = 1 + iota
	groupUpdate
	groupDestroy
	groupExpNew
	groupExpUpdate
	groupExpDestroy
	numGroups = 9 // with those of nf_tables, accounting and traces
)

// genLen is the length of struct nfgenmsg.
const genLen = 4

// command answers one kind of message. Either function may be nil.
type command struct {
	policy   *netlink.Policy
	do, dump func(r *request) error
}

// request is a request to a subsystem.
type request struct {
	*netlink.Request
	family uint8
	resID  uint16 // of struct nfgenmsg, host order
	attrs  netlink.Attrs
}

// Table is NETLINK_NETFILTER of one namespace.
type Table struct {
	nl   *netlink.Table
	nf   *nf.NF
	subs func() [numSubs]map[uint8]command // made when the first message comes; few programs send any

	ct    ctEvents
	log   logTable
	queue queueTable
}

// New enters the protocol. The error is that of one that is there already.
func New(nl *netlink.Table, f *nf.NF) (*Table, error) {
	t := &Table{nl: nl, nf: f}
	t.subs = sync.OnceValue(func() [numSubs]map[uint8]command {
		return [numSubs]map[uint8]command{
			subConntrack: t.conntrackCommands(), subExpect: t.expectCommands(), subLog: t.logCommands(), subQueue: t.queueCommands(),
		}
	})
	p := &netlink.Protocol{Groups: numGroups, Rcv: t.rcv, Changed: t.watch, Closed: t.closed}
	if err := nl.Register(syscall.NETLINK_NETFILTER, p); err != nil {
		return nil, fmt.Errorf("nfnetlink: %w", err)
	}
	return t, nil
}

// Close ends all that programs asked for.
func (t *Table) Close() {
	t.ct.end()
	t.closeLog()
	t.closeQueue()
}

// closed forgets what the socket of a port asked for.
func (t *Table) closed(port uint32) {
	t.logClosed(port)
	t.queueClosed(port)
}

// rcv is nfnetlink_rcv_msg.
func (t *Table) rcv(nr *netlink.Request) error {
	if len(nr.Data) < genLen {
		return nil
	}
	sub, cmd := nr.Type>>8, uint8(nr.Type)
	if sub >= numSubs {
		return syscall.EINVAL
	}
	c, ok := t.subs()[sub][cmd]
	if !ok {
		return syscall.EINVAL
	}
	r := &request{Request: nr, family: nr.Data[0], resID: binary.BigEndian.Uint16(nr.Data[2:])}
	var err error
	if r.attrs, err = nr.Parse(genLen, c.policy, false); err != nil {
		return err
	}
	if c.dump != nil && nr.Flags&netlink.FlagDump == netlink.FlagDump {
		return c.dump(r)
	}
	if c.do == nil {
		return syscall.EOPNOTSUPP
	}
	return c.do(r)
}

// begin starts a message of a subsystem.
func begin(b *netlink.Builder, sub, cmd uint8, flags uint16, family uint8, resID uint16) {
	b.Begin(uint16(sub)<<8|uint16(cmd), flags)
	b.Raw(family, 0, uint8(resID>>8), uint8(resID))
}

// nested parses the attributes within attribute typ, as Linux's
// nla_parse_nested.
func (r *request) nested(val []byte, p *netlink.Policy) (netlink.Attrs, error) {
	return netlink.Parse(val, p, false, &r.Ack)
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func attrBE16(b *netlink.Builder, typ, v uint16) { b.Attr(typ, byte(v>>8), byte(v)) }

func attrBE64(b *netlink.Builder, typ uint16, v uint64) {
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], v)
	b.Attr(typ, p[:]...)
}
