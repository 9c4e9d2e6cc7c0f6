package packet

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
)

// The header in front of each frame with PACKET_VNET_HDR (Linux: struct
// virtio_net_hdr, and with the count of buffers): what of the checksum is done,
// as a virtual machine's card wants to know.
const (
	vnetHdrLen    = 10
	vnetHdrMrgLen = 12

	vnetNeedsCsum      = 1 // flags
	vnetDataValid      = 2
	leastNetworkHeader = 20 // of IPv4; Linux asks no less of other packets

	vnetFlagsAt   = 0
	vnetGSOTypeAt = 1
	vnetStartAt   = 6
	vnetOffsetAt  = 8
)

// setVnetHdr is PACKET_VNET_HDR and PACKET_VNET_HDR_SZ. EINVAL for a size that
// no such header has, EBUSY while there is a ring. Packet.mu is held.
func (k *Sock) setVnetHdr(name int, v int32) error {
	switch {
	case name == optVnetHdr && v != 0:
		v = vnetHdrLen
	case name == optVnetHdrSize && v != 0 && v != vnetHdrLen && v != vnetHdrMrgLen:
		return syscall.EINVAL
	}
	if k.ring.Load() != nil || k.tx.Load() != nil {
		return syscall.EBUSY
	}
	k.vnetHdr.Store(v)
	return nil
}

// putVnetHdr writes the header of a received packet to the front of the
// message and returns the rest of it (Linux: packet_rcv_vnet). EINVAL when the
// message has no room for it, or for a packet that is to be cut into segments.
func (k *Sock) putVnetHdr(m *sock.Msg, b *skb.Buff, size int) error {
	if m.Len() < size || b.IsGSO() {
		return syscall.EINVAL
	}
	h := vnetHdr(b)
	skipIov(m, h[:size])
	return nil
}

// vnetHdr is the header of a received packet.
func vnetHdr(b *skb.Buff) (h [vnetHdrMrgLen]byte) {
	switch b.IPSummed {
	case skb.ChecksumPartial:
		h[vnetFlagsAt] = vnetNeedsCsum
		binary.LittleEndian.PutUint16(h[vnetStartAt:], uint16(b.CsumStartOffset()))
		binary.LittleEndian.PutUint16(h[vnetOffsetAt:], b.CsumOffset)
	case skb.ChecksumUnnecessary:
		h[vnetFlagsAt] = vnetDataValid
	}
	return h
}

// skipIov fills the first bytes of a message, which is long enough, and takes
// them off its vector. With a nil p it takes n bytes off.
func skipIov(m *sock.Msg, p []byte) {
	iov := append([][]byte(nil), m.Iov...) // the caller's stays whole
	for len(p) > 0 {
		n := copy(iov[0], p)
		p = p[n:]
		if iov[0] = iov[0][n:]; len(iov[0]) == 0 {
			iov = iov[1:]
		}
	}
	m.Iov = iov
}

// vnetCsum is what a program's header says of the checksum: where it begins
// and where it goes, in bytes of the frame.
type vnetCsum struct {
	want          bool
	start, offset int
}

// takeVnetHdr reads the header off the front of a frame to send (Linux:
// packet_parse_headers, virtio_net_hdr_to_skb). EINVAL when it is not all
// there, would sum from within the network header, or asks for segments, which
// no program can here.
func takeVnetHdr(it *sock.Iter, n, size int) (c vnetCsum, rest int, err error) {
	if n < size {
		return c, 0, syscall.EINVAL
	}
	var h [vnetHdrMrgLen]byte
	it.Read(h[:size])
	if h[vnetGSOTypeAt] != 0 {
		return c, 0, syscall.EINVAL
	}
	if h[vnetFlagsAt]&vnetNeedsCsum != 0 {
		c = vnetCsum{true, int(binary.LittleEndian.Uint16(h[vnetStartAt:])), int(binary.LittleEndian.Uint16(h[vnetOffsetAt:]))}
		if c.start < leastNetworkHeader {
			return c, 0, syscall.EINVAL
		}
	}
	return c, n - size, nil
}
