package packet

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"barewire/inet/sock"
	"barewire/napi"
)

// Packet is the family of one namespace.
type Packet struct {
	net    *napi.Net
	limits *sock.Limits
	memory *sock.Memory
	remove func() // notifier

	mu       sync.Mutex // configuration of all its socks
	socks    []*Sock    // oldest first (Linux: net->packet.sklist)
	rings    int64      // bytes of all rings
	maxRings int64      // beyond it a ring is ENOMEM

	fanouts    map[uint16]*fanout
	nextFanout uint16 // to try first for a group that asks for a number
}

// New makes the family and enters /proc/net/packet. memory bounds the packet
// memory of all its receive queues together, in bytes; 0 means 8 MiB or an
// eighth of the page pool; rings, which are not of the pool, may take as much
// as that has. limits may be nil.
func New(n *napi.Net, limits *sock.Limits, memory int64) *Packet {
	pool := n.SKB().Pool()
	if memory == 0 {
		memory = min(8<<20, int64(pool.MaxPages())*int64(pool.PageSize())/8)
	}
	p := &Packet{net: n, limits: limits, memory: sock.NewMemory(memory), maxRings: int64(pool.MaxPages()) * int64(pool.PageSize())}
	p.remove = n.RegisterNotifier(p.devEvent)
	n.Proc().Register("packet", p.show)
	return p
}

// Close ends the family. Its sockets must have been released.
func (p *Packet) Close() { p.remove() }

// htons turns a 16-bit number in network order, as it lies in memory, into one
// of the machine, or back.
func htons(v uint16) uint16 { return bits.ReverseBytes16(v) }

// Create makes a socket (Linux: packet_create). protocol is an ethertype in
// network order, 0 for a socket that receives nothing before it is bound.
// ESOCKTNOSUPPORT for a type other than SOCK_RAW and SOCK_DGRAM.
func (p *Packet) Create(s *sock.Socket, protocol int) error {
	if s.Type != syscall.SOCK_RAW && s.Type != syscall.SOCK_DGRAM {
		return syscall.ESOCKTNOSUPPORT
	}
	k := &Sock{p: p, typ: s.Type}
	k.Init(sock.Config{
		Family: syscall.AF_PACKET, Type: s.Type, // as in Linux SO_PROTOCOL is 0
		Clock: p.net.Clock(), Memory: p.memory, Limits: p.limits,
	})
	s.SK, s.Ops = &k.Sock, k
	p.mu.Lock()
	defer p.mu.Unlock()
	p.socks = append(p.socks, k)
	k.num = htons(uint16(protocol))
	k.hook(nil)
	return nil
}

// devEvent follows the devices (Linux: packet_notifier).
func (p *Packet) devEvent(ev napi.Event, dev *napi.NetDevice) {
	switch ev {
	case napi.EventUp, napi.EventDown, napi.EventUnregister:
	default:
		return
	}
	var failed []*Sock
	p.mu.Lock()
	for _, k := range p.socks {
		if ev == napi.EventUnregister {
			// The device forgets its lists by itself, but not its counts.
			k.dropMemberships(dev)
		}
		if k.dev != dev {
			continue
		}
		switch {
		case ev == napi.EventUp:
			k.hook(dev)
			continue
		case k.unhook():
			failed = append(failed, k)
		}
		if ev == napi.EventUnregister {
			k.dev, k.ifindex = nil, -1
			k.gone.Store(true)
		}
	}
	p.mu.Unlock()
	for _, k := range failed {
		k.SetError(syscall.ENETDOWN)
	}
}

// show is /proc/net/packet (Linux: packet_seq_show).
func (p *Packet) show(b []byte) []byte {
	b = append(b, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"...)
	p.mu.Lock()
	socks := slices.Clone(p.socks)
	p.mu.Unlock()
	for _, k := range socks {
		p.mu.Lock()
		num, ifindex, running := k.num, k.ifindex, 0
		if k.remove != nil {
			running = 1
		}
		p.mu.Unlock()
		// Like Linux without privilege: which sock, not where it is.
		id := uint32(uintptr(unsafe.Pointer(k)) >> 4)
		b = fmt.Appendf(b, "%016x %-6d %-4d %04x   %-5d %1d %-6d %-6d %-6d\n",
			id, 1, k.typ, num, ifindex, running, k.RmemAlloc(), 0, k.Ino())
	}
	return b
}

// Lengths of struct sockaddr_ll and of what stands before its address.
const (
	sizeofLL   = 20
	addrAt     = 12
	etherAddrs = 6
)

// sockaddrLL is struct sockaddr_ll.
type sockaddrLL struct {
	protocol uint16 // ethertype, host order
	ifindex  int32
	hatype   uint16
	pkttype  uint8
	halen    uint8
	addr     [8]byte
}

// parseLL reads an address and its family. EINVAL when it is too short.
func parseLL(p []byte) (a sockaddrLL, family uint16, err error) {
	if len(p) < sizeofLL {
		return a, 0, syscall.EINVAL
	}
	a.protocol = binary.BigEndian.Uint16(p[2:])
	a.ifindex = int32(binary.LittleEndian.Uint32(p[4:]))
	a.hatype = binary.LittleEndian.Uint16(p[8:])
	a.pkttype, a.halen = p[10], p[11]
	copy(a.addr[:], p[addrAt:])
	return a, binary.LittleEndian.Uint16(p), nil
}

// put writes the address to the front of p.
func (a *sockaddrLL) put(p *[sizeofLL]byte) {
	binary.LittleEndian.PutUint16(p[:], syscall.AF_PACKET)
	binary.BigEndian.PutUint16(p[2:], a.protocol)
	binary.LittleEndian.PutUint32(p[4:], uint32(a.ifindex))
	binary.LittleEndian.PutUint16(p[8:], a.hatype)
	p[10], p[11] = a.pkttype, a.halen
	copy(p[addrAt:], a.addr[:])
}
