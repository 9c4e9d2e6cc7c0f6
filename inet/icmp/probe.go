package icmp

import (
	"encoding/binary"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// Extended echo (RFC 8335 sections 2 to 4).
const (
	extHdrLen  = 4 // of the extension structure
	extObjLen  = 4 // of the object header
	extMaxObj  = extObjLen + 4 + 16
	extByName  = 1
	extByIndex = 2
	extByAddr  = 3
	extAFIv4   = 1

	extCodeBadQuery = 1
	extCodeNoIf     = 2

	extActive = 1 << 2
	extIPv4   = 1 << 1
)

// probe answers a question about one of our interfaces, where an administrator
// allowed it (Linux: icmp_build_probe; icmp_echo_enable_probe). Consumes b.
func (i *ICMP) probe(b *skb.Buff) {
	// Only our own interfaces: the L bit. Neighbours are not told about.
	if i.conf.ICMPEchoIgnoreAll.Load() != 0 || i.conf.ICMPEchoEnableProbe.Load() == 0 ||
		header.ICMP(b.Data()).EchoSeq()&1 == 0 {
		b.Consume()
		return
	}
	var buf [extHdrLen + extMaxObj]byte
	code, status := i.lookupProbe(buf[:b.CopyBits(header.ICMPLen, buf[:])])
	var r reply
	if !i.prepare(&r, b, header.ICMPExtEchoReply) {
		return
	}
	h := header.ICMP(b.Data())
	h[0] = header.ICMPExtEchoReply
	if code != 0 {
		h[1] = code // as in Linux that of the request stays where there is no error
	}
	h[7] = status
	h.SetChecksum(0)
	h.SetChecksum(skb.CsumFold(b.Checksum(0, b.Len(), 0)))
	i.send(&r, b)
}

// lookupProbe finds the interface that the extension structure p names, and
// what is to be said of it.
func (i *ICMP) lookupProbe(p []byte) (code, status uint8) {
	if len(p) < extHdrLen+extObjLen {
		return extCodeBadQuery, 0
	}
	p = p[extHdrLen:]
	n, typ := int(binary.BigEndian.Uint16(p)), p[3]
	if n <= extObjLen || n > len(p) {
		return extCodeBadQuery, 0
	}
	id := p[extObjLen:n]
	var dev *napi.NetDevice
	switch typ {
	case extByName:
		if len(id) >= 16 {
			return extCodeBadQuery, 0
		}
		for l, c := range id {
			if c == 0 {
				id = id[:l]
				break
			}
		}
		dev = i.ip.Dev.DevByName(string(id))
	case extByIndex:
		if len(id) != 4 {
			return extCodeBadQuery, 0
		}
		dev = i.ip.Dev.DevByIndex(int32(binary.BigEndian.Uint32(id)))
	case extByAddr:
		if len(id) != 8 || id[2] != 4 || binary.BigEndian.Uint16(id) != extAFIv4 {
			return extCodeBadQuery, 0
		}
		if d := i.ip.AddrOwner(header.AddrFrom4([4]byte(id[4:]))); d != nil {
			dev = d.Dev
		}
	default:
		return extCodeBadQuery, 0
	}
	if dev == nil {
		return extCodeNoIf, 0
	}
	if dev.IsUp() {
		status |= extActive
	}
	if d := i.ip.InDev(dev.Ifindex()); d != nil && len(d.Addrs()) > 0 {
		status |= extIPv4
	}
	return 0, status
}
