package tcp

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
	"syscall"

	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// TCP MD5 signatures (RFC 2385; Linux: CONFIG_TCP_MD5SIG): every segment has the
// MD5 sum of its addresses, header, data and a key. The keys of a sock are an
// immutable list, so that softirq code reads them without its lock; a connection
// gets the key of its peer from the listener.

const (
	md5OptLen    = 20 // TCPOLEN_MD5SIG_ALIGNED
	md5KeyMax    = 80 // TCP_MD5SIG_MAXKEYLEN
	md5KeySize   = 136
	md5FlagPfx   = 1 // TCP_MD5SIG_FLAG_PREFIX
	md5FlagIface = 2 // TCP_MD5SIG_FLAG_IFINDEX
)

// md5Key is the key for a peer, or for all of a network.
type md5Key struct {
	addr   header.Addr
	prefix uint8
	flags  uint8
	key    []byte
}

func (k *md5Key) matches(a header.Addr) bool { return k.prefix == 0 || (k.addr^a)>>(32-k.prefix) == 0 }

// md5Keys are the keys of a sock, those of longer prefixes first. Immutable.
type md5Keys []md5Key

// md5Lookup returns the key for a peer, nil if there is none (Linux:
// tcp_md5_do_lookup).
func (s *Sock) md5Lookup(a header.Addr) *md5Key {
	l := s.md5.Load()
	if l == nil {
		return nil
	}
	for i := range *l {
		if k := &(*l)[i]; k.matches(a) {
			return k
		}
	}
	return nil
}

// md5Peer is the key of the connection.
func (s *Sock) md5Peer() *md5Key {
	if s.md5.Load() == nil {
		return nil
	}
	return s.md5Lookup(s.Ident().Daddr)
}

// setMD5 is TCP_MD5SIG and TCP_MD5SIG_EXT (Linux: tcp_v4_parse_md5_keys), with
// struct tcp_md5sig. A key of no length deletes. Errors: EINVAL, ENOENT for one
// that is to be deleted and does not exist, ENOMEM beyond net.core.optmem_max.
// An interface must be an L3 master (VRF), of which there are none here.
func (s *Sock) setMD5(val []byte, ext bool) error {
	const size = 128 + 8 + md5KeyMax
	if len(val) < size || binary.LittleEndian.Uint16(val) != syscall.AF_INET {
		return syscall.EINVAL
	}
	p := val[128:]
	flags, n := p[0], int(binary.LittleEndian.Uint16(p[2:]))
	k := md5Key{addr: header.Addr(binary.BigEndian.Uint32(val[4:])), prefix: 32, flags: flags & md5FlagIface}
	if ext && flags&md5FlagPfx != 0 {
		if k.prefix = p[1]; k.prefix > 32 {
			return syscall.EINVAL
		}
	}
	if ext && flags&md5FlagIface != 0 && binary.LittleEndian.Uint32(p[4:]) != 0 || n > md5KeyMax {
		return syscall.EINVAL
	}
	k.key = slices.Clone(p[8 : 8+n])
	s.lock()
	defer s.unlock()
	return s.changeMD5(k)
}

// changeMD5 enters or deletes a key. The sock is owned.
func (s *Sock) changeMD5(k md5Key) error {
	var l md5Keys
	if old := s.md5.Load(); old != nil {
		l = slices.Clone(*old)
	}
	i := slices.IndexFunc(l, func(o md5Key) bool { return o.addr == k.addr && o.prefix == k.prefix && o.flags == k.flags })
	switch {
	case i >= 0 && len(k.key) == 0:
		l = slices.Delete(l, i, i+1)
	case i >= 0:
		l[i] = k
	case len(k.key) == 0:
		return syscall.ENOENT
	case (len(l)+1)*md5KeySize > int(s.tcp.ip.Limits.OptmemMax.Load()):
		return syscall.ENOMEM
	default:
		l = append(l, k)
		slices.SortStableFunc(l, func(a, b md5Key) int { return int(b.prefix) - int(a.prefix) })
	}
	s.md5.Store(&l)
	return nil
}

// inheritMD5 gives a connection the key of its peer.
func (s *Sock) inheritMD5(l *Sock, peer header.Addr) {
	if k := l.md5Lookup(peer); k != nil {
		s.md5.Store(&md5Keys{{addr: peer, prefix: 32, key: k.key}})
		s.headerLen += md5OptLen
	}
}

// md5Scratch is what computing a sum needs.
type md5Scratch struct {
	h   hash.Hash
	buf [12 + header.TCPMinLen]byte
	sum []byte
}

// md5Pool has scratch of one stack, so that signing allocates nothing.
type md5Pool struct{ p sync.Pool }

// sign writes the sum of a segment to dst (Linux: tcp_v4_md5_hash_skb): pseudo
// header, header without options and with checksum 0, data, key. b begins with
// the TCP header.
func (m *md5Pool) sign(dst []byte, k *md5Key, b *skb.Buff, h header.TCP, src, to header.Addr) {
	x, _ := m.p.Get().(*md5Scratch)
	if x == nil {
		x = &md5Scratch{h: md5.New(), sum: make([]byte, 0, md5.Size)}
	}
	p := &x.buf
	binary.BigEndian.PutUint32(p[:], uint32(src))
	binary.BigEndian.PutUint32(p[4:], uint32(to))
	p[8], p[9] = 0, header.ProtoTCP
	binary.BigEndian.PutUint16(p[10:], uint16(b.Len()))
	copy(p[12:], h[:header.TCPMinLen])
	p[12+16], p[12+17] = 0, 0
	x.h.Reset()
	x.h.Write(p[:])
	b.Walk(h.HeaderLen(), b.Len()-h.HeaderLen(), func(d []byte) bool {
		x.h.Write(d)
		return true
	})
	x.h.Write(k.key)
	copy(dst, x.h.Sum(x.sum))
	m.p.Put(x)
}

// md5Option finds the signature of a segment, nil if there is none.
func md5Option(h header.TCP) []byte {
	for p := h.Options(); len(p) >= 2 || len(p) == 1 && p[0] == header.TCPOptNOP; {
		switch p[0] {
		case header.TCPOptEOL:
			return nil
		case header.TCPOptNOP:
			p = p[1:]
			continue
		}
		n := int(p[1])
		if n < 2 || n > len(p) {
			return nil
		}
		if p[0] == header.TCPOptMD5 && n == 2+md5.Size {
			return p[2:n]
		}
		p = p[n:]
	}
	return nil
}

// md5Good reports whether a segment that came in has the sum of a key.
func (t *TCP) md5Good(k *md5Key, b *skb.Buff, h header.TCP, got []byte) bool {
	var want [md5.Size]byte
	in := header.IPv4(b.NetworkHeader())
	t.md5.sign(want[:], k, b, h, in.Src(), in.Dst())
	return bytes.Equal(want[:], got)
}

// md5Check decides whether a segment that came in may be looked at (Linux:
// tcp_inbound_md5_hash). False means that b is gone: signed where that is not
// expected, not signed where it is, or signed with another key.
func (s *Sock) md5Check(b *skb.Buff) bool {
	h := header.TCP(b.TransportHeader())
	h = h[:h.HeaderLen()]
	if len(h) < header.TCPMinLen+2+md5.Size && s.md5.Load() == nil {
		return true
	}
	got := md5Option(h)
	k := s.md5Lookup(header.IPv4(b.NetworkHeader()).Src())
	switch {
	case k == nil && got == nil:
		return true
	case got == nil:
		s.tcp.inc(mib.TCPMD5NotFound)
		discard(b, skb.TCPMD5NotFound)
	case k == nil:
		s.tcp.inc(mib.TCPMD5Unexpected)
		discard(b, skb.TCPMD5Unexpected)
	case s.tcp.md5Good(k, b, h, got):
		return true
	default:
		s.tcp.inc(mib.TCPMD5Failure)
		discard(b, skb.TCPMD5Failure)
	}
	return false
}

// md5Reset finds the key to sign a RST with (Linux: tcp_v4_send_reset). Without
// a connection a listener may have it: one of the segment's port, or, when the
// side that connected is gone, of the port it went to. False means that the
// signature is none of ours, and that there is no RST.
func (t *TCP) md5Reset(b *skb.Buff, s *Sock) (k *md5Key, ok bool) {
	h := header.TCP(b.TransportHeader())
	h = h[:h.HeaderLen()]
	in := header.IPv4(b.NetworkHeader())
	if s != nil {
		return s.md5Lookup(in.Src()), true
	}
	got := md5Option(h)
	if got == nil {
		return nil, true
	}
	for _, port := range [...]uint16{h.DstPort(), h.SrcPort()} {
		l := t.tab.lookupListener(&tuple{laddr: in.Dst(), raddr: in.Src(), lport: port, rport: h.SrcPort()}, b.DevIndex(), nil, nil)
		if l == nil {
			continue
		}
		if k := l.md5Lookup(in.Src()); k != nil && t.md5Good(k, b, h, got) {
			return k, true
		}
	}
	return nil, false
}
