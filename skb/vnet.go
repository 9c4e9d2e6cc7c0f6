package skb

// The header by which a host and a virtual machine's card tell each other what
// of a frame is still to be done, in front of each frame of a virtio device, a
// tap and a packet socket that asked for it: struct virtio_net_hdr (virtio 1.2,
// 5.1.6; Linux: include/linux/virtio_net.h). Fields of two bytes are
// little-endian.
const (
	VnetHdrLen    = 10
	VnetHdrMrgLen = 12 // with the number of buffers

	VnetNeedsCsum = 1 // flags
	VnetDataValid = 2

	VnetGSONone  = 0 // gso_type
	VnetGSOTCPv4 = 1
	VnetGSOECN   = 0x80 // with it: CWR is set

	ethHdrLen, vlanHdrLen = 14, 4
	ethPIP, ethP8021Q     = 0x0800, 0x8100
	ipProtoTCP            = 6
	tcpCsumOff            = 16
)

// VnetOffloads is what the two sides agreed on.
type VnetOffloads uint8

// Offloads.
const (
	VnetCsum VnetOffloads = 1 << iota // checksums may be left out
	VnetTSO4                          // super-packets of TCPv4
	VnetECN                           // ... with CWR set
)

// VnetHdr is the header in host form.
type VnetHdr struct {
	Flags, GSOType                                     uint8
	HdrLen, GSOSize, CsumStart, CsumOffset, NumBuffers uint16
}

func le16(p []byte) uint16 { return uint16(p[0]) | uint16(p[1])<<8 }

func putLE16(p []byte, v uint16) { p[0], p[1] = byte(v), byte(v>>8) }

// ParseVnetHdr reads a header of VnetHdrLen bytes, or of VnetHdrMrgLen if p is
// that long. A device may change the bytes at any time, so each is read once and
// what is checked later is the copy.
func ParseVnetHdr(p []byte) VnetHdr {
	_ = p[VnetHdrLen-1]
	h := VnetHdr{
		Flags: p[0], GSOType: p[1], HdrLen: le16(p[2:]), GSOSize: le16(p[4:]),
		CsumStart: le16(p[6:]), CsumOffset: le16(p[8:]),
	}
	if len(p) >= VnetHdrMrgLen {
		h.NumBuffers = le16(p[10:])
	}
	return h
}

// Put writes the header, with the number of buffers if p has room for it.
func (h *VnetHdr) Put(p []byte) {
	_ = p[VnetHdrLen-1]
	p[0], p[1] = h.Flags, h.GSOType
	putLE16(p[2:], h.HdrLen)
	putLE16(p[4:], h.GSOSize)
	putLE16(p[6:], h.CsumStart)
	putLE16(p[8:], h.CsumOffset)
	if len(p) >= VnetHdrMrgLen {
		putLE16(p[10:], h.NumBuffers)
	}
}

// ToSkb applies a received header to the packet in b, whose Data is at the
// Ethernet header, or with bare at the IP header (Linux: virtio_net_hdr_to_skb).
// False means that the header does not fit the packet, or uses what was not
// agreed on; b is to be dropped.
func (h *VnetHdr) ToSkb(b *Buff, bare bool, may VnetOffloads) bool {
	if h.Flags&VnetNeedsCsum != 0 {
		if may&VnetCsum == 0 {
			return false
		}
		start, end := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)+2
		if !bare && start < ethHdrLen || end > b.Len() || !b.MayPull(end) {
			return false
		}
		b.SetCsumPartial(start, int(h.CsumOffset))
	} else if h.Flags&VnetDataValid != 0 && may&VnetCsum != 0 {
		b.IPSummed = ChecksumUnnecessary
	}
	if h.GSOType == VnetGSONone {
		return true
	}
	return h.gsoToSkb(b, bare, may)
}

// gsoToSkb checks that a super-packet is the TCPv4 segment it claims to be and
// notes how it is cut. 5.1.6.4.1: a device that merges segments leaves the
// checksum to be completed.
func (h *VnetHdr) gsoToSkb(b *Buff, bare bool, may VnetOffloads) bool {
	ecn := h.GSOType&VnetGSOECN != 0
	if h.GSOType&^VnetGSOECN != VnetGSOTCPv4 || may&VnetTSO4 == 0 || ecn && may&VnetECN == 0 {
		return false
	}
	if h.GSOSize == 0 || b.IPSummed != ChecksumPartial || h.CsumOffset != tcpCsumOff {
		return false
	}
	thdr := tcpv4HdrLen(b, bare, int(h.CsumStart))
	if thdr == 0 {
		return false
	}
	payload := b.Len() - int(h.CsumStart) - thdr
	if payload <= int(h.GSOSize) {
		return payload >= 0 // one segment after all
	}
	si := b.Shinfo()
	si.GSOSize = h.GSOSize
	si.GSOSegs = uint16((payload + int(h.GSOSize) - 1) / int(h.GSOSize))
	si.GSOType = GSOTCPv4 | GSODodgy
	if ecn {
		si.GSOType |= GSOTCPECN
	}
	return true
}

// tcpv4HdrLen checks that a packet is TCP over IPv4 with the TCP header at l4,
// and returns how long that is; 0 when it is something else.
func tcpv4HdrLen(b *Buff, bare bool, l4 int) int {
	l3 := ethHdrLen
	if bare {
		l3 = 0
	}
	if !b.MayPull(l4+20) || l3+20 > l4 {
		return 0
	}
	p := b.Data()
	if !bare {
		typ := uint16(p[12])<<8 | uint16(p[13])
		if typ == ethP8021Q {
			if l3 += vlanHdrLen; l3+20 > l4 {
				return 0
			}
			typ = uint16(p[16])<<8 | uint16(p[17])
		}
		if typ != ethPIP {
			return 0
		}
	}
	if p[l3]>>4 != 4 || p[l3+9] != ipProtoTCP || l3+int(p[l3]&15)*4 != l4 {
		return 0
	}
	thdr := int(p[l4+12]>>4) * 4
	if thdr < 20 || l4+thdr > b.Len() {
		return 0
	}
	return thdr
}

// FromSkb makes the header of a packet whose Data is as for ToSkb (Linux:
// virtio_net_hdr_from_skb). With received, a checksum known to be right is
// marked. False means that b asks for what cannot be said.
func (h *VnetHdr) FromSkb(b *Buff, bare, received bool) bool {
	*h = VnetHdr{}
	switch {
	case b.IPSummed == ChecksumPartial:
		start := b.CsumStartOffset()
		if start < 0 || start+int(b.CsumOffset)+2 > b.Len() {
			return false
		}
		h.Flags = VnetNeedsCsum
		h.CsumStart, h.CsumOffset = uint16(start), b.CsumOffset
	case received && b.IPSummed == ChecksumUnnecessary:
		h.Flags = VnetDataValid
	}
	if !b.IsGSO() {
		return true
	}
	si := b.Shinfo()
	// 5.1.6.2.1: segmentation needs the partial checksum.
	if si.GSOType&GSOTCPv4 == 0 || h.Flags&VnetNeedsCsum == 0 {
		return false
	}
	thdr := tcpv4HdrLen(b, bare, int(h.CsumStart))
	if thdr == 0 {
		return false
	}
	h.GSOType = VnetGSOTCPv4
	if si.GSOType&GSOTCPECN != 0 {
		h.GSOType |= VnetGSOECN
	}
	h.GSOSize = si.GSOSize
	h.HdrLen = h.CsumStart + uint16(thdr)
	return true
}
