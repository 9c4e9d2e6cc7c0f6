package packet

import (
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
)

// With PACKET_VNET_HDR each frame has a skb.VnetHdr in front: what of the
// checksum is done, as a virtual machine's card wants to know.

// leastNetworkHeader is that of IPv4; Linux asks no less of other packets.
const leastNetworkHeader = 20

// setVnetHdr is PACKET_VNET_HDR and PACKET_VNET_HDR_SZ. EINVAL for a size that
// no such header has, EBUSY while there is a ring. Packet.mu is held.
func (k *Sock) setVnetHdr(name int, v int32) error {
	switch {
	case name == optVnetHdr && v != 0:
		v = skb.VnetHdrLen
	case name == optVnetHdrSize && v != 0 && v != skb.VnetHdrLen && v != skb.VnetHdrMrgLen:
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
	var p [skb.VnetHdrMrgLen]byte
	putVnetHdr(p[:size], b)
	m.Fill(p[:size])
	return nil
}

// putVnetHdr writes the header of a received packet, zeros for one it cannot
// describe.
func putVnetHdr(p []byte, b *skb.Buff) {
	var h skb.VnetHdr
	if !h.FromSkb(b, false, true) {
		h = skb.VnetHdr{}
	}
	h.Put(p)
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
	var p [skb.VnetHdrMrgLen]byte
	it.Read(p[:size])
	h := skb.ParseVnetHdr(p[:size])
	if h.GSOType != skb.VnetGSONone {
		return c, 0, syscall.EINVAL
	}
	if h.Flags&skb.VnetNeedsCsum != 0 {
		c = vnetCsum{true, int(h.CsumStart), int(h.CsumOffset)}
		if c.start < leastNetworkHeader {
			return c, 0, syscall.EINVAL
		}
	}
	return c, n - size, nil
}
