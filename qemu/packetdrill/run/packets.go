package run

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"barewire/qemu/packetdrill/pdl"
)

// state is what a script has done with a socket.
type state int

const (
	fresh state = iota
	listening
	connecting  // connect was called
	synSent     // the script has its SYN
	synReceived // a SYN came in
	established
)

// socket is a socket of the script and its connection. fd is the kernel's, -1
// for a connection not accepted yet.
type socket struct {
	fd            int
	scriptFd      int
	proto         uint8
	state         state
	over          bool           // disconnected: the next connect begins anew
	local, remote netip.AddrPort // the kernel's view; zero: not known
	// Where numbers begin: what the kernel or the runner chose, and the script.
	localISN, remoteISN             uint32
	scriptLocalISN, scriptRemoteISN uint32

	// Timestamps by which the script's are translated.
	ts               map[uint32]uint32 // script's to the kernel's
	tsFound          bool
	tsScript, tsLive uint32
}

// offset is what is added to a number of the script to have one of the kernel's.
// Numbers of SYNs are the script's own, all others count from the connection's
// start.
func offset(live, script uint32, syn bool) uint32 {
	if syn {
		return live - script
	}
	return live
}

// forPacket finds the socket a packet of the script is about, or the connection
// that begins with it.
func (r *runner) forPacket(p *pdl.Packet) (*socket, error) {
	s := r.under
	if p.TCP != nil {
		if p.Inbound && (s == nil || s.state == listening) {
			s = &socket{fd: -1, scriptFd: -1, proto: protoTCP, state: synReceived, ts: map[uint32]uint32{}}
			s.local = netip.AddrPortFrom(r.Local, r.BindPort)
			if r.under != nil && r.under.local.IsValid() && r.under.local.Port() != 0 {
				s.local = netip.AddrPortFrom(r.Local, r.under.local.Port())
			}
			s.remote = netip.AddrPortFrom(r.Remote, r.nextPort)
			r.nextPort++
			s.remoteISN, s.scriptRemoteISN = p.TCP.Seq, p.TCP.Seq
			r.sockets = append(r.sockets, s)
			r.under = s
			return s, nil
		}
		if !p.Inbound && s != nil && s.state == connecting && p.TCP.Flags&(pdl.SYN|pdl.ACK) == pdl.SYN {
			s.state = synSent
			s.scriptLocalISN = p.TCP.Seq
			return s, nil
		}
	}
	if s == nil {
		return nil, errors.New("no socket is there for the packet")
	}
	match := p.ICMP != nil || p.TCP != nil && s.proto == protoTCP || p.UDP != nil && s.proto == protoUDP
	if !match && p.SrcPort == 0 && p.DstPort == 0 {
		return nil, errors.New("the packet is of another protocol than the socket")
	}
	return s, nil
}

// inbound sends a packet of the script to the kernel.
func (r *runner) inbound(p *pdl.Packet) error {
	s, err := r.forPacket(p)
	if err != nil {
		return err
	}
	if t := p.TCP; t != nil {
		switch {
		case s.state == synReceived && t.Flags&pdl.ACK != 0:
			s.state = established
		case s.state == synSent && t.Flags&pdl.SYN != 0:
			if t.Flags&pdl.ACK != 0 {
				s.state = established
			}
			s.remoteISN, s.scriptRemoteISN = t.Seq, t.Seq
		}
	}
	r.addresses(s)
	src, dst := s.remote.Port(), s.local.Port()
	if p.SrcPort != 0 {
		src = p.SrcPort
	}
	if p.DstPort != 0 {
		dst = p.DstPort
	}
	var payload []byte
	proto, csum := uint8(protoTCP), 16
	switch {
	case p.TCP != nil:
		payload, err = r.inboundTCP(s, p.TCP, src, dst)
	case p.UDP != nil:
		proto, csum = protoUDP, 6
		payload = make([]byte, 8+p.UDP.Len)
		be.PutUint16(payload, src)
		be.PutUint16(payload[2:], dst)
		be.PutUint16(payload[4:], uint16(len(payload)))
	default:
		proto, csum = protoICMP, 2
		payload, err = r.inboundICMP(s, p.ICMP)
	}
	if err != nil {
		return err
	}
	size := 0
	if p.TCP != nil && r.MSS > 0 && p.TCP.Len > r.MSS {
		size = r.MSS
	}
	return r.k.Inject(putIP(s.remote.Addr(), s.local.Addr(), proto, p.IP.TOS, p.IP.TTL, payload, csum), size)
}

// addresses fills in what a socket that has not sent yet has no addresses for.
func (r *runner) addresses(s *socket) {
	if !s.remote.IsValid() {
		s.remote = netip.AddrPortFrom(r.Remote, r.ConnectPort)
	}
	if !s.local.IsValid() || s.local.Addr().IsUnspecified() {
		port := r.BindPort
		if s.local.IsValid() && s.local.Port() != 0 {
			port = s.local.Port()
		}
		s.local = netip.AddrPortFrom(r.Local, port)
	}
}

func (r *runner) inboundTCP(s *socket, t *pdl.TCP, src, dst uint16) ([]byte, error) {
	syn := t.Flags&pdl.SYN != 0
	toRemote, toLocal := offset(s.remoteISN, s.scriptRemoteISN, syn), offset(s.localISN, s.scriptLocalISN, syn)
	ack := uint32(0)
	if t.Flags&pdl.ACK != 0 {
		ack = t.Ack + toLocal
	}
	var opts []pdl.TCPOption
	for _, o := range t.Options {
		if o.Kind == pdl.OptSack {
			var bs [][2]uint32
			for _, b := range o.Blocks {
				bs = append(bs, [2]uint32{b[0] + toLocal, b[1] + toLocal})
			}
			o.Blocks = bs
		}
		if o.Kind == pdl.OptTimestamp && t.Flags&pdl.ACK != 0 {
			live, ok := s.ts[o.Echo]
			switch {
			case ok:
			case r.TSEcrScaled && s.tsFound:
				live = o.Echo - s.tsScript + s.tsLive
			default:
				return nil, fmt.Errorf("timestamp %d is echoed, but no packet went out with it", o.Echo)
			}
			o.Echo = live
		}
		opts = append(opts, o)
	}
	b, err := putOptions(opts)
	return segment(src, dst, t.Flags, t.Seq+toRemote, ack, uint16(max(t.Win, 0)), t.Urg, b, t.Len), err
}

// sniff returns the kernel's next packet that is of the socket's.
func (r *runner) sniff(s *socket) (*live, error) {
	deadline := r.start + int64(max(r.at, r.end)+patience)
	if r.event.Time.Kind == pdl.AnyTime {
		deadline = r.k.Now() + int64(60*time.Second)
	}
	for {
		p, at := r.k.Packet(deadline)
		if p == nil {
			return nil, errors.New("no packet went out")
		}
		l, err := parseLive(p)
		if err != nil {
			return nil, err
		}
		l.at = time.Duration(at - r.start)
		if s.matches(l) {
			return l, nil
		}
	}
}

// matches says whether a packet is of the socket's connection; one that is just
// beginning takes its address and number from it.
func (s *socket) matches(l *live) bool {
	if l.proto == protoICMP {
		return !s.remote.IsValid() || l.dst == s.remote.Addr()
	}
	if l.proto != s.proto {
		return false
	}
	src, dst := netip.AddrPortFrom(l.src, l.srcPort), netip.AddrPortFrom(l.dst, l.dstPort)
	if s.remote.IsValid() && dst != s.remote {
		return false
	}
	syn := l.tcp != nil && l.tcp.Flags&(pdl.SYN|pdl.ACK) == pdl.SYN
	if s.proto == protoUDP && (!s.local.IsValid() || s.local.Addr().IsUnspecified() || s.local.Port() == 0) ||
		syn && s.state == synSent && (!s.local.IsValid() || s.local.Addr().IsUnspecified() || s.local.Port() == 0) {
		s.local = src
		if s.remote == (netip.AddrPort{}) {
			s.remote = dst
		}
		if l.tcp != nil {
			s.localISN = l.tcp.Seq
		}
	}
	return src == s.local
}

// outbound waits for a packet and compares it with the script's. Segments that
// follow each other count as the large one the script has, unless it wants them
// as they are.
func (r *runner) outbound(p *pdl.Packet) error {
	s, err := r.forPacket(p)
	if err != nil {
		return err
	}
	synAck := p.TCP != nil && p.TCP.Flags&(pdl.SYN|pdl.ACK) == pdl.SYN|pdl.ACK
	l, err := r.sniff(s)
	if err != nil {
		return err
	}
	if l.tcp != nil {
		if s.state == synReceived && synAck {
			s.scriptLocalISN, s.localISN = p.TCP.Seq, l.tcp.Seq
		} else if s.state == synSent && l.tcp.Flags&pdl.SYN != 0 {
			s.localISN = l.tcp.Seq
		}
		s.toScript(l.tcp)
	}
	want := 0
	switch {
	case p.TCP != nil:
		want = p.TCP.Len
	case p.UDP != nil:
		want = p.UDP.Len
	}
	size := len(l.payload)
	for p.TCP != nil && l.tcp != nil && len(l.payload) > 0 && len(l.payload) < want && !r.StrictSegments {
		if err := r.join(s, l, size, want); err != nil {
			return err
		}
	}
	if err := r.compare(s, p, l); err != nil {
		if p.TCP != nil && l.tcp != nil {
			return fmt.Errorf("%w\n\tscript %12v > %s\n\tactual %12v > %s", err, r.at, show(p.TCP), l.at, show(l.tcp))
		}
		return err
	}
	return nil
}

// join appends the next segment to l. All but the last have the same size.
func (r *runner) join(s *socket, l *live, size, want int) error {
	n, err := r.sniff(s)
	if err != nil {
		return fmt.Errorf("%w beyond %d of %d bytes", err, len(l.payload), want)
	}
	if n.tcp == nil {
		return fmt.Errorf("another packet came between, after %d of %d bytes", len(l.payload), want)
	}
	s.toScript(n.tcp)
	left := want - len(l.payload)
	if n.tcp.Seq != l.tcp.Seq+uint32(l.tcp.Len) || n.tcp.Ack != l.tcp.Ack || len(n.payload) > left || len(n.payload) < left && len(n.payload) != size {
		return fmt.Errorf("after %d of %d bytes came > %s", len(l.payload), want, show(n.tcp))
	}
	l.payload = append(l.payload, n.payload...)
	l.tcp.Len = len(l.payload)
	l.tcp.Flags |= n.tcp.Flags
	return nil
}

// toScript turns the numbers of a segment that went out into the script's.
func (s *socket) toScript(t *pdl.TCP) {
	syn := t.Flags&pdl.SYN != 0
	toRemote := offset(s.remoteISN, s.scriptRemoteISN, syn)
	t.Seq -= offset(s.localISN, s.scriptLocalISN, syn)
	if t.Flags&pdl.ACK != 0 {
		t.Ack -= toRemote
	}
	for _, o := range t.Options {
		for i := range o.Blocks {
			o.Blocks[i][0] -= toRemote
			o.Blocks[i][1] -= toRemote
		}
	}
}

func (r *runner) compare(s *socket, p *pdl.Packet, l *live) error {
	proto := uint8(protoTCP)
	if p.UDP != nil {
		proto = protoUDP
	} else if p.ICMP != nil {
		proto = protoICMP
	}
	switch {
	case l.proto != proto:
		return fmt.Errorf("protocol is %d, not %d", l.proto, proto)
	case l.headerLen != 20:
		return fmt.Errorf("the IP header has %d bytes", l.headerLen)
	case p.IP.Check == pdl.TOSECN && l.tos&3 != p.IP.TOS, p.IP.Check == pdl.TOSAll && l.tos != p.IP.TOS, p.IP.Check == pdl.TOSECT01 && l.tos&3 != 1 && l.tos&3 != 2:
		return fmt.Errorf("TOS is %#x", l.tos)
	case p.IP.TTL != 0 && l.ttl != p.IP.TTL:
		return fmt.Errorf("TTL is %d, not %d", l.ttl, p.IP.TTL)
	}
	switch {
	case p.TCP != nil:
		if err := r.compareTCP(s, p.TCP, l.tcp); err != nil {
			return err
		}
	case p.UDP != nil:
		if len(l.payload) != p.UDP.Len {
			return fmt.Errorf("the datagram has %d bytes, not %d", len(l.payload), p.UDP.Len)
		}
	default:
		typ, code, err := icmpNumbers(p.ICMP)
		if err != nil {
			return err
		}
		if l.icmpType != typ || l.icmpCode != code || p.ICMP.MTU >= 0 && int(l.icmpMTU) != p.ICMP.MTU {
			return fmt.Errorf("the message is type %d code %d (mtu %d), not type %d code %d", l.icmpType, l.icmpCode, l.icmpMTU, typ, code)
		}
	}
	if !r.wrote && len(bytes.TrimLeft(l.payload, "\x00")) > 0 {
		return errors.New("the payload is not what was written")
	}
	if r.event.Time.Kind == pdl.AnyTime {
		return nil
	}
	return r.onTime("it", l.at, r.at, max(r.at, r.end))
}

func (r *runner) compareTCP(s *socket, want, got *pdl.TCP) error {
	const ace = pdl.ECE | pdl.CWR | pdl.AE
	ignored := uint16(0)
	if want.ACE {
		if want.Flags&ace != got.Flags&ace {
			return errors.New("the count of congestion marks is different")
		}
		ignored = ace
	}
	switch {
	case want.Flags&^ignored != got.Flags&^ignored:
		return errors.New("the flags are different")
	case want.Seq != got.Seq || want.Len != got.Len:
		return errors.New("the sequence numbers are different")
	case want.Ack != got.Ack:
		return errors.New("the acknowledgement is different")
	case want.Win >= 0 && want.Win != got.Win:
		return errors.New("the window is different")
	case want.Urg != got.Urg:
		return errors.New("the urgent pointer is different")
	}
	wantTS, gotTS := timestamp(want), timestamp(got)
	if wantTS != nil && gotTS != nil {
		s.ts[wantTS.Value] = gotTS.Value
		if !s.tsFound {
			s.tsFound, s.tsScript, s.tsLive = true, wantTS.Value, gotTS.Value
		}
		gotTS.Value += s.tsScript - s.tsLive
		if off := int32(gotTS.Value - wantTS.Value); r.TSTick != 0 && time.Duration(max(off, -off))*r.TSTick > r.Tolerance {
			return fmt.Errorf("the timestamp is %d", gotTS.Value)
		}
	}
	if want.AnyOptions {
		return nil
	}
	if len(want.Options) != len(got.Options) {
		return errors.New("the options are different")
	}
	for i, o := range want.Options {
		g := got.Options[i]
		if o.Kind == pdl.OptTimestamp && g.Kind == pdl.OptTimestamp {
			continue // compared above
		}
		if showOption(o) != showOption(g) {
			return fmt.Errorf("option %s is different", showOption(g))
		}
	}
	return nil
}

func timestamp(t *pdl.TCP) *pdl.TCPOption {
	for i := range t.Options {
		if t.Options[i].Kind == pdl.OptTimestamp {
			return &t.Options[i]
		}
	}
	return nil
}
