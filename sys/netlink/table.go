package netlink

import (
	"encoding/binary"
	"fmt"
	"sync"
	"syscall"
	"unsafe"

	"barewire/inet/sock"
	"barewire/napi"
)

// MaxLinks is the number of protocols (Linux: MAX_LINKS).
const MaxLinks = 32

// MaxGroups bounds the groups of a protocol.
const MaxGroups = 64

// Protocol is the kernel's side of a netlink protocol.
type Protocol struct {
	// Groups is the number of its multicast groups, at most 64.
	Groups int
	// Rcv answers a request, in the sender's context. Its error is acknowledged
	// as a syscall.Errno, after what it put on the socket with Request.Reply.
	Rcv func(r *Request) error
	// Changed is called after sockets joined or left groups, or ended with
	// some: HasListeners may say something else than before. It may be called
	// though nothing changed. Nil for nobody.
	Changed func()
	// Closed is called when the socket of a port ended (Linux:
	// NETLINK_URELEASE). Nil for nobody.
	Closed func(port uint32)
}

// Table is the netlink sockets of one namespace.
type Table struct {
	clock napi.Clock
	rand  func([]byte)
	pid   uint32

	protos [MaxLinks]*Protocol // set before the first socket

	mu    sync.RWMutex
	ports map[portKey]*Sock
	socks map[*Sock]struct{} // all
}

type portKey struct {
	proto int
	port  uint32
}

// New makes an empty table. pid is the port the first socket of a process gets
// when it does not choose; rand is a source of random bytes.
func New(clock napi.Clock, rand func([]byte), pid uint32) *Table {
	return &Table{clock: clock, rand: rand, pid: pid, ports: map[portKey]*Sock{}, socks: map[*Sock]struct{}{}}
}

// Register enters a protocol (Linux: netlink_kernel_create), before sockets
// are made. EINVAL or EEXIST.
func (t *Table) Register(proto int, p *Protocol) error {
	if proto < 0 || proto >= MaxLinks || p.Groups > MaxGroups || p.Rcv == nil {
		return syscall.EINVAL
	}
	if t.protos[proto] != nil {
		return syscall.EEXIST
	}
	t.protos[proto] = p
	return nil
}

// Create makes a socket; it is the family's [sock.CreateFunc] (Linux:
// netlink_create). ESOCKTNOSUPPORT, EPROTONOSUPPORT.
func (t *Table) Create(s *sock.Socket, protocol int) error {
	if s.Type != syscall.SOCK_RAW && s.Type != syscall.SOCK_DGRAM {
		return syscall.ESOCKTNOSUPPORT
	}
	if protocol < 0 || protocol >= MaxLinks || t.protos[protocol] == nil {
		return syscall.EPROTONOSUPPORT
	}
	k := &Sock{t: t, p: t.protos[protocol]}
	k.Sock.Init(sock.Config{Family: syscall.AF_NETLINK, Type: s.Type, Protocol: protocol, Clock: t.clock})
	s.SK, s.Ops = &k.Sock, k
	t.mu.Lock()
	t.socks[k] = struct{}{}
	t.mu.Unlock()
	return nil
}

// Show is the text of /proc/net/netlink (Linux: netlink_native_seq_show): the
// kernel's side of each protocol, and the sockets. A socket is told from others
// by a number and not by where it is.
func (t *Table) Show(b []byte) []byte {
	b = append(b, "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"...)
	const line = "%016x %-3d %-10d %08x %-8d %-8d %-5d %-8d %-8d %-8d\n"
	t.mu.RLock()
	defer t.mu.RUnlock()
	for proto, p := range t.protos {
		if p == nil {
			continue
		}
		b = fmt.Appendf(b, line, proto+1, proto, 0, 0, 0, 0, 0, 2, 0, 0)
		for k := range t.socks {
			if k.Protocol != proto {
				continue
			}
			k.mu.Lock()
			rmem, dump := k.rmem, 0
			if k.dump != nil {
				dump = 1
			}
			k.mu.Unlock()
			b = fmt.Appendf(b, line, uint32(uintptr(unsafe.Pointer(k))>>4), proto, k.port, uint32(k.groups.Load()), rmem, 0, dump, 2, k.drops.Load(), k.Ino())
		}
	}
	return b
}

// insert gives k a port (Linux: netlink_insert). EADDRINUSE, EBUSY.
func (t *Table) insert(k *Sock, port uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.insertLocked(k, port)
}

func (t *Table) insertLocked(k *Sock, port uint32) error {
	if k.bound {
		if k.port == port {
			return nil
		}
		return syscall.EBUSY
	}
	key := portKey{k.Protocol, port}
	if t.ports[key] != nil {
		return syscall.EADDRINUSE
	}
	t.ports[key] = k
	k.port, k.bound = port, true
	return nil
}

// autobind gives k a port of its own (Linux: netlink_autobind): the process's
// id if it is free, else one that no process has.
func (t *Table) autobind(k *Sock) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.bound {
		return nil
	}
	port := t.pid
	for n := uint32(0); t.ports[portKey{k.Protocol, port}] != nil; n++ {
		var r [4]byte
		t.rand(r[:])
		port = uint32(-4096 - int32((binary.NativeEndian.Uint32(r[:])+n)&0x3fffffff))
	}
	return t.insertLocked(k, port)
}

func (t *Table) remove(k *Sock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.socks, k)
	if k.bound {
		delete(t.ports, portKey{k.Protocol, k.port})
	}
}

// lookup returns the socket with a port, nil if there is none.
func (t *Table) lookup(proto int, port uint32) *Sock {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.ports[portKey{proto, port}]
}

// Unicast sends msg from the kernel to the socket of a port (Linux:
// nlmsg_unicast). It does not block. ECONNREFUSED when there is no such socket,
// EAGAIN when it has no room; its reader then learns so from ENOBUFS.
func (t *Table) Unicast(proto int, port uint32, msg []byte) error {
	k := t.lookup(proto, port)
	if k == nil {
		return syscall.ECONNREFUSED
	}
	if !k.deliver(message{data: msg}) {
		return syscall.EAGAIN
	}
	return nil
}

// HasListeners reports whether a socket is in a group (Linux:
// netlink_has_listeners).
func (t *Table) HasListeners(proto, group int) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for k := range t.socks {
		if k.Protocol == proto && k.inGroup(group) {
			return true
		}
	}
	return false
}

// Broadcast sends msg to the members of a group from the kernel (Linux:
// netlink_broadcast). It does not block; who has no room loses it and learns
// so from ENOBUFS. msg must not be changed afterwards.
func (t *Table) Broadcast(proto, group int, msg []byte) { t.broadcast(proto, group, 0, nil, msg) }

func (t *Table) broadcast(proto, group int, from uint32, except *Sock, msg []byte) {
	t.mu.RLock()
	var to []*Sock
	for k := range t.socks {
		// As in Linux a socket without a port hears nothing: its port is the one
		// of the sender, who does not hear himself.
		if k != except && k.bound && k.Protocol == proto && k.inGroup(group) {
			to = append(to, k)
		}
	}
	t.mu.RUnlock()
	for _, k := range to {
		k.deliver(message{data: msg, from: from, group: group})
	}
}
