package ip

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Cookie is what a send may say beside the destination (Linux: struct
// ipcm_cookie). [Sock.InitCookie] fills in what the sock says.
type Cookie struct {
	Src    header.Addr
	OIF    int32
	TTL    uint8             // 0 for the sock's
	TOS    int16             // -1 for the sock's
	Proto  int               // raw sockets: the protocol of the header
	OnLink bool              // not through a gateway
	Opt    *header.OptionSet // IP options, nil for none

	sock.Cookie // what is not IP's
}

// InitCookie makes the cookie of a send with flags MSG_* (Linux: ipcm_init_sk).
func (s *Sock) InitCookie(flags int) Cookie {
	return Cookie{
		TOS: -1, OIF: s.BoundDev(), Cookie: s.Sock.InitCookie(), Proto: s.Protocol,
		OnLink: flags&syscall.MSG_DONTROUTE != 0 || s.Flag(sock.FlagDontRoute), Opt: s.snd.Load(),
	}
}

// ParseControl reads the ancillary data of a send (Linux: ip_cmsg_send,
// sock_cmsg_send): of SOL_IP IP_PKTINFO, IP_TTL, IP_TOS, IP_RETOPTS and, on raw
// sockets, IP_PROTOCOL; of SOL_SOCKET what [sock.Sock.ParseCmsg] knows.
// EINVAL for anything malformed or unknown of these levels; items of other
// levels are ignored, as in Linux.
func (s *Sock) ParseControl(c *Cookie, control []byte) error {
	for {
		m, rest, ok, err := sock.NextCmsg(control)
		if !ok {
			return err
		}
		control = rest
		switch m.Level {
		case syscall.SOL_SOCKET:
			err = s.ParseCmsg(&c.Cookie, &m)
		case syscall.SOL_IP:
			err = s.ipControl(c, &m)
		case header.ProtoUDP: // SOL_UDP: segmentation, which is not there
			if s.Type == syscall.SOCK_DGRAM && s.Protocol != header.ProtoICMP {
				err = syscall.EINVAL
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *Sock) ipControl(c *Cookie, m *sock.Cmsg) error {
	switch m.Type {
	case ipRetOpts:
		set, err := s.compileOptions(m.Data[:min(len(m.Data), maxIPOptions)])
		if err != nil {
			return err
		}
		c.Opt = set
		return nil
	case syscall.IP_PKTINFO: // ifindex, spec_dst, addr
		if len(m.Data) != 12 {
			return syscall.EINVAL
		}
		if i := int32(binary.LittleEndian.Uint32(m.Data)); i != 0 {
			c.OIF = i
		}
		c.Src = header.Addr(binary.BigEndian.Uint32(m.Data[4:]))
		return nil
	case syscall.IP_TTL, syscall.IP_TOS, ipProtocol:
	default:
		return syscall.EINVAL
	}
	var v int32
	switch {
	case len(m.Data) == 4:
		v = int32(binary.LittleEndian.Uint32(m.Data))
	case len(m.Data) == 1 && m.Type == syscall.IP_TOS:
		v = int32(m.Data[0])
	default:
		return syscall.EINVAL
	}
	if v < 0 || v > 255 || v == 0 && m.Type != syscall.IP_TOS {
		return syscall.EINVAL
	}
	switch m.Type {
	case syscall.IP_TTL:
		c.TTL = uint8(v)
	case syscall.IP_TOS:
		c.TOS = int16(v)
		c.Priority = tosPriority(uint8(v))
	default:
		c.Proto = int(v)
	}
	return nil
}

// RecvControl puts the ancillary data the program asked for into m (Linux:
// ip_cmsg_recv). b is a received packet with its IP header.
func (s *Sock) RecvControl(m *sock.Msg, b *skb.Buff) {
	s.Sock.RecvControl(m, b)
	if o := s.opts.Load(); o&optCmsg != 0 {
		s.ipRecvControl(m, b, o, false)
	}
}

// ipRecvControl puts the items of the options o. quote says that b is what an
// ICMP error quoted, which has no address to answer from.
func (s *Sock) ipRecvControl(m *sock.Msg, b *skb.Buff, o uint32, quote bool) {
	h, ok := header.ParseIPv4(b.NetworkHeader())
	if !ok {
		return
	}
	var p [12]byte
	if o&OptPktInfo != 0 {
		binary.LittleEndian.PutUint32(p[:], uint32(b.Iif))
		// The address to answer from: that of the packet, unless it was for a
		// group.
		spec := h.Dst()
		if quote {
			spec = 0
		} else if rt := RtableOf(b); rt != nil && rt.Type != fib.Local {
			spec = s.IP.SpecDst(b)
		}
		binary.BigEndian.PutUint32(p[4:], uint32(spec))
		binary.BigEndian.PutUint32(p[8:], uint32(h.Dst()))
		m.PutCmsg(syscall.SOL_IP, syscall.IP_PKTINFO, p[:])
	}
	if o&OptRecvTTL != 0 {
		binary.LittleEndian.PutUint32(p[:], uint32(h.TTL()))
		m.PutCmsg(syscall.SOL_IP, syscall.IP_TTL, p[:4])
	}
	if o&OptRecvTOS != 0 {
		p[0] = h.TOS()
		m.PutCmsg(syscall.SOL_IP, syscall.IP_TOS, p[:1])
	}
	if opts := h.Options(); o&OptRecvOpts != 0 && len(opts) > 0 {
		m.PutCmsg(syscall.SOL_IP, ipRecvOpts, opts)
	}
	if o&OptRetOpts != 0 && h.HeaderLen() > header.IPv4MinLen {
		var set header.OptionSet
		if s.IP.EchoOptions(&set, b) && set.Len > 0 {
			m.PutCmsg(syscall.SOL_IP, ipRetOpts, set.Data[:set.Len])
		} else {
			m.Flags |= syscall.MSG_CTRUNC
		}
	}
	if th := b.TransportHeader(); o&OptOrigDstAddr != 0 && len(th) >= 4 {
		// Ports stand first in every protocol that has them.
		var sa [SockaddrLen]byte
		Sockaddr{Family: syscall.AF_INET, Port: binary.BigEndian.Uint16(th[2:]), Addr: h.Dst()}.Put(sa[:])
		m.PutCmsg(syscall.SOL_IP, ipOrigDstAddr, sa[:])
	}
	if o&OptChecksum != 0 && b.IPSummed == skb.ChecksumComplete {
		// The sum of the data in the machine's byte order.
		sum := ^skb.CsumFold(b.Checksum(0, b.Len(), 0))
		binary.LittleEndian.PutUint32(p[:], uint32(sum<<8|sum>>8))
		m.PutCmsg(syscall.SOL_IP, ipChecksum, p[:4])
	}
	if n := fragMax(b); o&OptRecvFragSize != 0 && n != 0 {
		binary.LittleEndian.PutUint32(p[:], uint32(n))
		m.PutCmsg(syscall.SOL_IP, ipRecvFragSize, p[:4])
	}
}
