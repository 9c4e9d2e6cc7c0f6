package napi

import "barewire/skb"

// EthHdrLen is the length of an Ethernet header: destination, source, type.
const EthHdrLen = 14

// Ethertypes (Linux: ETH_P_*). Those below 1536 are not on the wire.
const (
	ETH_P_802_3 = 0x0001
	ETH_P_ALL   = 0x0003 // every packet, both directions: taps
	ETH_P_802_2 = 0x0004
	ETH_P_IP    = 0x0800
	ETH_P_ARP   = 0x0806
	ETH_P_8021Q = 0x8100
	ETH_P_IPV6  = 0x86dd
)

// ethMinType is the least ethertype; below it the field is an IEEE 802.3
// length (IEEE 802.3, clause 3.2.6).
const ethMinType = 0x0600

// mac48 reads six bytes as one comparable word.
func mac48(p []byte) uint64 {
	_ = p[5]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 | uint64(p[4])<<32 | uint64(p[5])<<40
}

// EthTypeTrans takes the Ethernet header off a received frame (Linux:
// eth_type_trans): it sets Dev, the link header, PktType and Protocol, and
// leaves Data behind the header. It returns the ethertype, ETH_P_802_2 (or
// _802_3) when the field is a length, 0 when the frame is too short to have a
// header, in which case nothing changed and the caller drops it.
func EthTypeTrans(b *skb.Buff, dev *NetDevice) uint16 {
	if !b.MayPull(EthHdrLen) {
		return 0
	}
	p := b.Data()[:EthHdrLen]
	b.Dev = dev
	b.ResetMacHeader()
	b.Pull(EthHdrLen)
	b.PktType = skb.PacketHost
	if dst := mac48(p); p[0]&1 != 0 {
		b.PktType = skb.PacketMulticast
		if dst == mac48(dev.Broadcast[:]) {
			b.PktType = skb.PacketBroadcast
		}
	} else if dst != dev.addr.Load() {
		b.PktType = skb.PacketOtherHost
	}
	typ := uint16(p[12])<<8 | uint16(p[13])
	if typ < ethMinType {
		typ = ETH_P_802_2
		if d := b.Data(); len(d) >= 2 && d[0] == 0xff && d[1] == 0xff {
			typ = ETH_P_802_3 // Novell's raw IPX has no LLC header
		}
	}
	b.Protocol = typ
	return typ
}

// HardHeader pushes the link header, if the device has one (Linux:
// dev_hard_header, eth_header). A nil src means the device's own address, a nil
// dst the zero address. The packet has the headroom and a private data area
// (see skb.Buff.Cow).
func (d *NetDevice) HardHeader(b *skb.Buff, proto uint16, dst, src *[6]byte) {
	if d.HardHeaderLen == 0 {
		b.ResetMacHeader()
		return
	}
	p := b.Push(EthHdrLen)
	if dst != nil {
		copy(p, dst[:])
	} else {
		clear(p[:6])
	}
	if src != nil {
		copy(p[6:], src[:])
	} else {
		own := d.HardwareAddr()
		copy(p[6:], own[:])
	}
	p[12], p[13] = byte(proto>>8), byte(proto)
	b.ResetMacHeader()
}
