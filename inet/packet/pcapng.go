package packet

import "encoding/binary"

// The pcapng format (draft-ietf-opsawg-pcapng): blocks of a type, a length, a
// body padded to four bytes, and the length again. Integers are little-endian,
// as the byte-order magic says.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockStats     = 5
	blockPacket    = 6

	byteOrderMagic = 0x1a2b3c4d
	linktypeEther  = 1

	optEnd         = 0
	optIfName      = 2
	optIfTsresol   = 9
	optUserappl    = 4 // of the section
	optFlags       = 2 // of a packet
	optIfrecv      = 4 // of statistics
	optIfdrop      = 5
	optUsrdeliv    = 8
	tsresolNano    = 9 // 10^-9 s
	packetOverhead = 32 + 12
)

// Direction and kind of reception in a packet's flags (4.3.1).
const (
	flagInbound  = 1
	flagOutbound = 2

	flagUnicast   = 1 << 2
	flagMulticast = 2 << 2
	flagBroadcast = 3 << 2
	flagPromisc   = 4 << 2
)

var le = binary.LittleEndian // read-only

func pad4(n int) int { return (n + 3) &^ 3 }

// beginBlock appends the head of a block; endBlock, given where it began, pads
// it and fills in the lengths.
func beginBlock(b []byte, typ uint32) ([]byte, int) {
	at := len(b)
	b = le.AppendUint32(b, typ)
	return le.AppendUint32(b, 0), at
}

func endBlock(b []byte, at int) []byte {
	n := uint32(len(b) - at + 4)
	le.PutUint32(b[at+4:], n)
	return le.AppendUint32(b, n)
}

// appendOption appends an option with its padding.
func appendOption(b []byte, code uint16, val []byte) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(val)))
	b = append(b, val...)
	return append(b, "\x00\x00\x00"[:pad4(len(val))-len(val)]...)
}

// appendSection appends the section header block that begins a stream.
func appendSection(b []byte) []byte {
	b, at := beginBlock(b, blockSection)
	b = le.AppendUint32(b, byteOrderMagic)
	b = le.AppendUint16(b, 1) // version 1.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, ^uint64(0)) // length unknown
	b = appendOption(b, optUserappl, []byte("barewire"))
	b = appendOption(b, optEnd, nil)
	return endBlock(b, at)
}

// appendInterface appends an interface description block.
func appendInterface(b []byte, name string, snaplen int) []byte {
	b, at := beginBlock(b, blockInterface)
	b = le.AppendUint16(b, linktypeEther)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(snaplen))
	b = appendOption(b, optIfName, []byte(name))
	b = appendOption(b, optIfTsresol, []byte{tsresolNano})
	b = appendOption(b, optEnd, nil)
	return endBlock(b, at)
}

// appendStats appends an interface statistics block.
func appendStats(b []byte, id uint32, now int64, received, dropped uint64) []byte {
	b, at := beginBlock(b, blockStats)
	b = le.AppendUint32(b, id)
	b = appendTime(b, now)
	b = appendOption(b, optIfrecv, le.AppendUint64(nil, received))
	b = appendOption(b, optIfdrop, le.AppendUint64(nil, dropped))
	b = appendOption(b, optUsrdeliv, le.AppendUint64(nil, received-dropped))
	b = appendOption(b, optEnd, nil)
	return endBlock(b, at)
}

func appendTime(b []byte, ns int64) []byte {
	b = le.AppendUint32(b, uint32(uint64(ns)>>32))
	return le.AppendUint32(b, uint32(ns))
}

// packetSize is the size of an enhanced packet block with n captured bytes.
func packetSize(n int) int { return packetOverhead + pad4(n) }

// packetHead is what stands in front of a packet's bytes.
func packetHead(h *[28]byte, id uint32, ns int64, captured, length int) {
	le.PutUint32(h[0:], blockPacket)
	le.PutUint32(h[4:], uint32(packetSize(captured)))
	le.PutUint32(h[8:], id)
	le.PutUint32(h[12:], uint32(uint64(ns)>>32))
	le.PutUint32(h[16:], uint32(ns))
	le.PutUint32(h[20:], uint32(captured))
	le.PutUint32(h[24:], uint32(length))
}

// packetTail is what stands behind the padded bytes: flags, the end of the
// options, the length.
func packetTail(t *[16]byte, flags uint32, captured int) {
	le.PutUint16(t[0:], optFlags)
	le.PutUint16(t[2:], 4)
	le.PutUint32(t[4:], flags)
	le.PutUint32(t[8:], optEnd)
	le.PutUint32(t[12:], uint32(packetSize(captured)))
}
