package skb

import (
	"encoding/binary"
	"math/bits"
)

// CsumPartial adds the 16-bit one's complement sum of p to sum (RFC 1071;
// Linux: csum_partial). The result is a 32-bit partial sum for CsumFold. Only
// the last of several consecutive pieces may have odd length; see
// [CsumBlockAdd] for the others.
func CsumPartial(p []byte, sum uint32) uint32 {
	// Words of the machine: the sum is independent of the word size, and of the
	// byte order up to a final swap (RFC 1071, section 2), so native little-endian
	// words do. Their halves of 32 bits are added, which gives no carries to look
	// after: a is the sum of the words, without what overflowed, b that of the upper
	// halves; both together tell that of the lower ones. On a processor this is
	// a little faster than adding with carry, on an emulator, which computes every
	// carry, by half; and vectors, which have none, do the same with four words.
	s := uint64(bits.ReverseBytes16(uint16(sum))) + uint64(bits.ReverseBytes16(uint16(sum>>16)))
	a, b, p := sumMost(p)
	for len(p) >= 64 {
		q := (*[64]byte)(p)
		w, x := binary.LittleEndian.Uint64(q[0:]), binary.LittleEndian.Uint64(q[8:])
		y, z := binary.LittleEndian.Uint64(q[16:]), binary.LittleEndian.Uint64(q[24:])
		a += w + x + y + z
		b += w>>32 + x>>32 + y>>32 + z>>32
		w, x = binary.LittleEndian.Uint64(q[32:]), binary.LittleEndian.Uint64(q[40:])
		y, z = binary.LittleEndian.Uint64(q[48:]), binary.LittleEndian.Uint64(q[56:])
		a += w + x + y + z
		b += w>>32 + x>>32 + y>>32 + z>>32
		p = p[64:]
	}
	s += a - b<<32 + b
	for len(p) >= 8 {
		w := binary.LittleEndian.Uint64(p)
		s += w>>32 + w&0xffffffff
		p = p[8:]
	}
	if len(p) >= 4 {
		s += uint64(binary.LittleEndian.Uint32(p))
		p = p[4:]
	}
	if len(p) >= 2 {
		s += uint64(binary.LittleEndian.Uint16(p))
		p = p[2:]
	}
	if len(p) == 1 {
		s += uint64(p[0])
	}
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint32(bits.ReverseBytes16(uint16(s)))
}

// CsumFold folds a partial sum to the 16-bit checksum that goes into a header
// (Linux: csum_fold): the complement of the sum.
func CsumFold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}

// CsumAdd adds two partial sums (Linux: csum_add).
func CsumAdd(a, b uint32) uint32 {
	s, c := bits.Add32(a, b, 0)
	return s + c
}

// CsumBlockAdd adds the sum of a block that begins offset bytes into the data
// (Linux: csum_block_add): an odd offset swaps the block's bytes.
func CsumBlockAdd(sum, block uint32, offset int) uint32 {
	if offset&1 != 0 {
		block = bits.RotateLeft32(block, 8)
	}
	return CsumAdd(sum, block)
}

// CsumSub takes b off the partial sum a (Linux: csum_sub).
func CsumSub(a, b uint32) uint32 { return CsumAdd(a, ^b) }

// CsumBlockSub takes off the sum of a block that began offset bytes into the
// data (Linux: csum_block_sub).
func CsumBlockSub(sum, block uint32, offset int) uint32 {
	return CsumBlockAdd(sum, ^block, offset)
}

// Checksum adds the sum of n packet bytes from offset off, linear or not, to
// sum (Linux: skb_checksum).
func (b *Buff) Checksum(off, n int, sum uint32) uint32 {
	if off >= 0 && off+n <= b.Headlen() {
		return CsumPartial(b.head[int(b.data)+off:int(b.data)+off+n], sum)
	}
	at := 0
	b.Walk(off, n, func(p []byte) bool {
		sum = CsumBlockAdd(sum, CsumPartial(p, 0), at)
		at += len(p)
		return true
	})
	return sum
}

// ChecksumHelp computes a ChecksumPartial checksum in software, for a device
// that cannot (Linux: skb_checksum_help). False means memory ran out, the
// offsets do not lie in the packet, or it is a super-packet, whose segments
// have checksums of their own.
func (b *Buff) ChecksumHelp() bool {
	switch b.IPSummed {
	case ChecksumPartial:
	case ChecksumComplete: // says nothing about a packet on its way out
		b.IPSummed = ChecksumNone
		return true
	default:
		return true
	}
	start := b.CsumStartOffset()
	at := start + int(b.CsumOffset)
	if start < 0 || at+2 > b.Len() || b.IsGSO() {
		return false
	}
	if !b.MayPull(at+2) || !b.private() {
		return false
	}
	sum := CsumFold(b.Checksum(start, b.Len()-start, 0))
	if sum == 0 {
		// RFC 768: zero means no checksum. All ones is the same sum to every
		// protocol (RFC 1071, section 2), so the protocol does not matter.
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b.Data()[at:], sum)
	b.IPSummed = ChecksumNone
	return true
}
