package net

import (
	"barewire/napi"
	"barewire/skb"
)

// The header in front of every frame, struct virtio_net_hdr with num_buffers
// (virtio 1.2, 5.1.6): flags, gso_type, then hdr_len, gso_size, csum_start,
// csum_offset and num_buffers of two bytes each, little-endian.
const (
	hdrLen = 12

	hdrNeedsCsum = 1 // flags
	hdrDataValid = 2

	gsoNone  = 0 // gso_type
	gsoTCPv4 = 1
	gsoECN   = 0x80

	ipProtoTCP = 6
	tcpCsumOff = 16
	vlanHdrLen = 4
)

// netHdr is the header in host form.
type netHdr struct {
	flags, gsoType                                uint8
	hdrLen, gsoSize, csumStart, csumOffset, nbufs uint16
}

func le16(p []byte) uint16 { return uint16(p[0]) | uint16(p[1])<<8 }

func putLE16(p []byte, v uint16) { p[0], p[1] = byte(v), byte(v>>8) }

// parseHdr reads a header. The device may change the bytes at any time, so
// each is read once and what is checked later is the copy.
func parseHdr(p []byte) netHdr {
	_ = p[hdrLen-1]
	return netHdr{
		flags: p[0], gsoType: p[1],
		hdrLen: le16(p[2:]), gsoSize: le16(p[4:]),
		csumStart: le16(p[6:]), csumOffset: le16(p[8:]),
		nbufs: le16(p[10:]),
	}
}

func (h *netHdr) put(p []byte) {
	_ = p[hdrLen-1]
	p[0], p[1] = h.flags, h.gsoType
	putLE16(p[2:], h.hdrLen)
	putLE16(p[4:], h.gsoSize)
	putLE16(p[6:], h.csumStart)
	putLE16(p[8:], h.csumOffset)
	putLE16(p[10:], h.nbufs)
}

// toSkb applies a received header to the frame in b, whose Data is at the
// Ethernet header (Linux: virtio_net_hdr_to_skb). False means that the header
// does not fit the frame, or uses what was not negotiated; b is to be dropped.
func (h *netHdr) toSkb(b *skb.Buff, feats uint64) bool {
	if h.flags&hdrNeedsCsum != 0 {
		if feats&FeatGuestCSUM == 0 {
			return false
		}
		start, end := int(h.csumStart), int(h.csumStart)+int(h.csumOffset)+2
		if start < napi.EthHdrLen || end > b.Len() || !b.MayPull(end) {
			return false
		}
		b.SetCsumPartial(start, int(h.csumOffset))
	} else if h.flags&hdrDataValid != 0 && feats&FeatGuestCSUM != 0 {
		b.IPSummed = skb.ChecksumUnnecessary
	}
	if h.gsoType == gsoNone {
		return true
	}
	return h.gsoToSkb(b, feats)
}

// gsoToSkb checks that a super-packet is the TCPv4 segment it claims to be and
// notes how it is cut. 5.1.6.4.1: a device that merges segments leaves the
// checksum to be completed.
func (h *netHdr) gsoToSkb(b *skb.Buff, feats uint64) bool {
	ecn := h.gsoType&gsoECN != 0
	if h.gsoType&^gsoECN != gsoTCPv4 || feats&FeatGuestTSO4 == 0 || ecn && feats&FeatGuestECN == 0 {
		return false
	}
	if h.gsoSize == 0 || b.IPSummed != skb.ChecksumPartial || h.csumOffset != tcpCsumOff {
		return false
	}
	l3, thdr := ethTCPv4(b, int(h.csumStart))
	if l3 == 0 || thdr == 0 {
		return false
	}
	payload := b.Len() - int(h.csumStart) - thdr
	if payload <= int(h.gsoSize) {
		return payload >= 0 // one segment after all
	}
	si := b.Shinfo()
	si.GSOSize = h.gsoSize
	si.GSOSegs = uint16((payload + int(h.gsoSize) - 1) / int(h.gsoSize))
	si.GSOType = skb.GSOTCPv4 | skb.GSODodgy
	if ecn {
		si.GSOType |= skb.GSOTCPECN
	}
	return true
}

// ethTCPv4 checks that an Ethernet frame is TCP over IPv4 with the TCP header
// at l4. It returns where the IPv4 header begins and how long the TCP header
// is, zeros when the frame is something else.
func ethTCPv4(b *skb.Buff, l4 int) (l3, thdr int) {
	if !b.MayPull(l4 + 20) {
		return 0, 0
	}
	p := b.Data()
	l3 = napi.EthHdrLen
	if l3+20 > l4 {
		return 0, 0
	}
	typ := uint16(p[12])<<8 | uint16(p[13])
	if typ == napi.ETH_P_8021Q {
		if l3 += vlanHdrLen; l3+20 > l4 {
			return 0, 0
		}
		typ = uint16(p[16])<<8 | uint16(p[17])
	}
	if typ != napi.ETH_P_IP || p[l3]>>4 != 4 || p[l3+9] != ipProtoTCP || l3+int(p[l3]&15)*4 != l4 {
		return 0, 0
	}
	thdr = int(p[l4+12]>>4) * 4
	if thdr < 20 || l4+thdr > b.Len() {
		return 0, 0
	}
	return l3, thdr
}

// fromSkb makes the header of a frame to transmit (Linux:
// virtio_net_hdr_from_skb). False means that b asks for what cannot be said.
func (h *netHdr) fromSkb(b *skb.Buff) bool {
	*h = netHdr{}
	if b.IPSummed == skb.ChecksumPartial {
		start := b.CsumStartOffset()
		if start < 0 || start+int(b.CsumOffset)+2 > b.Len() {
			return false
		}
		h.flags = hdrNeedsCsum
		h.csumStart, h.csumOffset = uint16(start), b.CsumOffset
	}
	if !b.IsGSO() {
		return true
	}
	si := b.Shinfo()
	// 5.1.6.2.1: segmentation needs the partial checksum.
	if si.GSOType&skb.GSOTCPv4 == 0 || h.flags == 0 {
		return false
	}
	_, thdr := ethTCPv4(b, int(h.csumStart))
	if thdr == 0 {
		return false
	}
	h.gsoType = gsoTCPv4
	if si.GSOType&skb.GSOTCPECN != 0 {
		h.gsoType |= gsoECN
	}
	h.gsoSize = si.GSOSize
	h.hdrLen = h.csumStart + uint16(thdr)
	return true
}
