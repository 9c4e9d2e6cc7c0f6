package netlink

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/sock"
)

// AddrLen is the length of struct sockaddr_nl.
const AddrLen = 12

// Options a program sets with setsockopt(SOL_NETLINK), as bits.
const (
	optPktInfo = 1 << iota
	optBroadcastError
	optNoENOBUFS
	optCapAck
	optExtAck
	optStrict
	optListenAll
)

// Sock is a netlink socket (Linux: struct netlink_sock).
type Sock struct {
	sock.Sock
	sock.NoOps
	t *Table
	p *Protocol

	port   uint32 // with bound under the table's lock
	bound  bool
	opts   atomic.Uint32
	groups atomic.Uint64 // bit n-1: member of group n

	dstPort  atomic.Uint32
	dstGroup atomic.Uint32
	drops    atomic.Uint64

	mu        sync.Mutex // what follows
	queue     []message
	rmem      int // charge of the queue
	congested bool
	closed    bool
	maxRead   int // largest buffer a reader brought
	dump      *dump
	dumpMu    sync.Mutex // one part at a time; before mu
}

func (s *Sock) opt(o uint32) bool { return s.opts.Load()&o != 0 }

// Port returns the socket's port, 0 before it is bound.
func (s *Sock) Port() uint32 {
	s.t.mu.RLock()
	defer s.t.mu.RUnlock()
	return s.port
}

func (s *Sock) isBound() bool {
	s.t.mu.RLock()
	defer s.t.mu.RUnlock()
	return s.bound
}

func (s *Sock) inGroup(g int) bool {
	return g > 0 && g <= MaxGroups && s.groups.Load()&(1<<(g-1)) != 0
}

func groupMask(g int) uint32 {
	if g < 1 || g > 32 {
		return 0
	}
	return 1 << (g - 1)
}

func putU32(b []byte, v uint32) { binary.NativeEndian.PutUint32(b, v) }

// putAddr writes a struct sockaddr_nl and returns its length.
func putAddr(b []byte, port, groups uint32) int {
	var a [AddrLen]byte
	binary.NativeEndian.PutUint16(a[:], syscall.AF_NETLINK)
	putU32(a[4:], port)
	putU32(a[8:], groups)
	copy(b, a[:])
	return AddrLen
}

func parseAddr(sa []byte) (port, groups uint32, err error) {
	if len(sa) < AddrLen || binary.NativeEndian.Uint16(sa) != syscall.AF_NETLINK {
		return 0, 0, syscall.EINVAL
	}
	return binary.NativeEndian.Uint32(sa[4:]), binary.NativeEndian.Uint32(sa[8:]), nil
}

// Release ends the socket.
func (s *Sock) Release() error {
	bound, port := s.isBound(), s.Port()
	s.t.remove(s)
	s.mu.Lock()
	s.closed = true
	s.queue, s.rmem, s.dump = nil, 0, nil
	s.mu.Unlock()
	s.Destroy()
	if s.groups.Load() != 0 {
		s.changed()
	}
	if bound && s.p.Closed != nil {
		s.p.Closed(port)
	}
	return nil
}

// Bind gives the socket a port and its groups (Linux: netlink_bind). Port 0
// chooses one.
func (s *Sock) Bind(sa []byte) error {
	port, groups, err := parseAddr(sa)
	if err != nil {
		return err
	}
	if s.isBound() {
		if port != s.Port() {
			return syscall.EINVAL
		}
	} else if port != 0 {
		err = s.t.insert(s, port)
	} else {
		err = s.t.autobind(s)
	}
	if err != nil {
		return err
	}
	if s.p.Groups < 32 {
		groups &= 1<<s.p.Groups - 1
	}
	for {
		old := s.groups.Load()
		if s.groups.CompareAndSwap(old, old&^0xffffffff|uint64(groups)) {
			s.changed()
			return nil
		}
	}
}

// changed tells the protocol that its groups have other members.
func (s *Sock) changed() {
	if s.p.Changed != nil {
		s.p.Changed()
	}
}

// Connect sets where messages without an address go (Linux: netlink_connect).
func (s *Sock) Connect(sa []byte, _ int) error {
	if len(sa) < 2 {
		return syscall.EINVAL
	}
	if binary.NativeEndian.Uint16(sa) == syscall.AF_UNSPEC {
		s.SetState(sock.StateClose)
		s.dstPort.Store(0)
		s.dstGroup.Store(0)
		return nil
	}
	port, groups, err := parseAddr(sa)
	if err != nil {
		return err
	}
	if err := s.t.autobind(s); err != nil {
		return err
	}
	s.SetState(sock.StateEstablished)
	s.dstPort.Store(port)
	s.dstGroup.Store(firstGroup(groups))
	return nil
}

func firstGroup(mask uint32) uint32 {
	for g := uint32(1); mask != 0; g, mask = g+1, mask>>1 {
		if mask&1 != 0 {
			return g
		}
	}
	return 0
}

// Getname is netlink_getname.
func (s *Sock) Getname(peer bool, b []byte) (int, error) {
	if peer {
		return putAddr(b, s.dstPort.Load(), groupMask(int(s.dstGroup.Load()))), nil
	}
	return putAddr(b, s.Port(), uint32(s.groups.Load())), nil
}

// Poll is datagram_poll over the socket's own queue.
func (s *Sock) Poll() uint16 {
	ev := s.DatagramPoll()
	s.mu.Lock()
	if len(s.queue) > 0 {
		ev |= sock.EventIn | sock.EventRdNorm
	}
	s.mu.Unlock()
	return ev
}

// SendMsg is netlink_sendmsg: to the kernel the message is a sequence of
// requests, which are answered before it returns.
func (s *Sock) SendMsg(m *sock.Msg, flags int) (int, error) {
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	n := m.Len()
	if n == 0 {
		return 0, syscall.ENODATA
	}
	port, group := s.dstPort.Load(), s.dstGroup.Load()
	if m.NameLen > 0 {
		p, g, err := parseAddr(m.Name[:m.NameLen])
		if err != nil {
			return 0, err
		}
		port, group = p, firstGroup(g)
	}
	if err := s.t.autobind(s); err != nil {
		return 0, err
	}
	if n > s.SendBuffer()-32 {
		return 0, syscall.EMSGSIZE
	}
	// A copy: the program may change its memory while we look at it.
	data := make([]byte, 0, n)
	for _, v := range m.Iov {
		data = append(data, v...)
	}
	if group != 0 {
		s.t.broadcast(s.Protocol, int(group), s.Port(), s, data)
	}
	// A message to a group goes to its port as well, which is the kernel's for
	// who sends to the address it bound.
	if port == 0 {
		s.requests(data)
		return n, nil
	}
	to := s.t.lookup(s.Protocol, port)
	if to == nil {
		return 0, syscall.ECONNREFUSED
	}
	if !to.deliver(message{data: data, from: s.Port()}) {
		return 0, syscall.EAGAIN
	}
	return n, nil
}

// Request is one message of a program to the kernel.
type Request struct {
	Header
	// Data is what follows the header.
	Data []byte
	// Ack takes what is to be said of an error.
	Ack ExtAck

	raw  []byte
	sock *Sock
}

// requests cuts a datagram into messages and has each answered (Linux:
// netlink_rcv_skb).
func (s *Sock) requests(data []byte) {
	for len(data) >= HeaderLen {
		h := parseHeader(data)
		if h.Len < HeaderLen || uint64(h.Len) > uint64(len(data)) {
			return
		}
		r := &Request{Header: h, raw: data[:h.Len:h.Len], sock: s}
		r.Data = r.raw[HeaderLen:]
		data = data[min(align4(int(h.Len)), len(data)):]
		var err error
		if h.Flags&FlagRequest != 0 && h.Type >= typeMin {
			if err = s.p.Rcv(r); err == errDumping {
				continue
			}
		}
		e, ok := err.(syscall.Errno)
		if err != nil && !ok {
			e = syscall.EINVAL
		}
		if h.Flags&FlagAck != 0 || e != 0 {
			s.deliver(message{data: s.ack(r, e)})
		}
	}
}

// Strict reports whether the program asked for strict checks of dump requests
// (NETLINK_GET_STRICT_CHK).
func (r *Request) Strict() bool { return r.sock.opt(optStrict) }

// Reply sends the messages that put makes to the requester.
func (r *Request) Reply(put func(b *Builder)) {
	b := Builder{hdr: Header{Seq: r.Seq, Pid: r.sock.Port()}}
	put(&b)
	r.sock.deliver(message{data: b.Bytes()})
}

// Port returns the requester's port.
func (r *Request) Port() uint32 { return r.sock.Port() }

// Notify announces to a group what the request brought about, in messages with
// its sequence number and the requester's port; with NLM_F_ECHO the requester
// gets it as an answer (Linux: nlmsg_notify).
func (r *Request) Notify(group int, put func(b *Builder)) {
	echo := r.Flags&FlagEcho != 0
	if !echo && !r.sock.t.HasListeners(r.sock.Protocol, group) {
		return
	}
	b := Builder{hdr: Header{Seq: r.Seq, Pid: r.sock.Port()}}
	put(&b)
	var except *Sock
	if echo {
		except = r.sock
		r.sock.deliver(message{data: b.Bytes()})
	}
	r.sock.t.broadcast(r.sock.Protocol, group, 0, except, b.Bytes())
}

// Parse reads the attributes that follow a fixed part of n bytes; see [Parse].
// EINVAL when there is no fixed part.
func (r *Request) Parse(n int, p *Policy, strict bool) (Attrs, error) {
	if len(r.Data) < n {
		return nil, r.Ack.Fail(syscall.EINVAL, "Invalid header length")
	}
	return Parse(r.Data[min(align4(n), len(r.Data)):], p, strict, &r.Ack)
}
