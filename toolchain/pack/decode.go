package pack

import (
	"encoding/binary"
	"errors"
)

var errPacked = errors.New("not what the stub can unpack")

// A bitReader reads what a bitWriter wrote. Beyond the end there are zeros.
type bitReader struct {
	in []byte
	at int // bit
}

// peek returns the next 25 bits or more, from the highest on.
func (r *bitReader) peek() uint32 {
	var b [4]byte
	if i := r.at >> 3; i < len(r.in) {
		copy(b[:], r.in[i:])
	}
	return binary.BigEndian.Uint32(b[:]) << (r.at & 7)
}

func (r *bitReader) bits(n int) uint32 {
	v := r.peek() >> 1 >> (31 - n)
	r.at += n
	return v
}

// sizes reads the lengths of a code; size are those of the block before.
func (r *bitReader) sizes(size []uint8) {
	for s := range size {
		switch {
		case r.bits(1) == 0:
		case r.bits(1) == 0:
			size[s] += 1 - 2*uint8(r.bits(1))
		default:
			size[s] = uint8(r.bits(4))
		}
	}
}

// A table has for each value of maxBits bits the symbol<<8 and the length of the code that they begin with.
type table [1 << maxBits]uint32

// fill makes the table of a code; ok is false if the code is not complete.
func (t *table) fill(size []uint8) (ok bool) {
	at := 0
	for n := 1; n <= maxBits; n++ {
		for s, m := range size {
			if int(m) != n {
				continue
			}
			if at+1<<(maxBits-n) > len(t) {
				return false
			}
			for range 1 << (maxBits - n) {
				t[at] = uint32(s<<8 | n)
				at++
			}
		}
	}
	return at == len(t)
}

func (r *bitReader) symbol(t *table) int {
	entry := t[r.peek()>>(32-maxBits)]
	r.at += int(entry & 0xff)
	return int(entry >> 8)
}

// unpack is what the stub does, without trust, for size bytes unpacked. It also tells how far, at most, the stub's writing goes
// beyond what it has read: if the packed data lies gap bytes or more after the place it is unpacked to, no byte of it is
// overwritten before it is read.
func unpack(packed []byte, size int) (out []byte, gap int, err error) {
	return unpackTo(make([]byte, 0, size), packed, size)
}

// unpackTo is unpack to where out is.
func unpackTo(out, packed []byte, size int) (_ []byte, gap int, err error) {
	r := &bitReader{in: packed}
	firstDistance, distanceBits := spans(slots-repeats, directDistances)
	firstLength, lengthBits := spans(lengths, directLengths)
	var symbolSizes [symbols]uint8
	var lengthSizes [lengths]uint8
	var symbolTable, lengthTable table
	last := history{1, 1, 1}
	for len(out) < size {
		r.sizes(symbolSizes[:])
		r.sizes(lengthSizes[:])
		if !symbolTable.fill(symbolSizes[:]) || !lengthTable.fill(lengthSizes[:]) {
			return nil, 0, errPacked
		}
		end := min(len(out)+blockSize, size)
		for len(out) < end {
			if r.at > 8*len(packed) {
				return nil, 0, errPacked
			}
			symbol := r.symbol(&symbolTable)
			if symbol < literals {
				out = append(out, byte(symbol))
				gap = max(gap, len(out)-r.at>>3)
				continue
			}
			slot, n := (symbol-literals)/headers, minLength+(symbol-literals)%headers
			if n == longLength {
				more := r.symbol(&lengthTable)
				n += int(firstLength[more] + r.bits(lengthBits[more]))
			}
			s := step{n: int32(n), slot: int32(slot)}
			if slot < repeats {
				s.dist = last[slot]
			} else {
				s.dist = 1 + int32(firstDistance[slot-repeats]+r.bits(distanceBits[slot-repeats]))
			}
			last = last.after(s)
			if int(s.dist) > len(out) || n > end-len(out) {
				return nil, 0, errPacked
			}
			for range n {
				out = append(out, out[len(out)-int(s.dist)])
			}
			gap = max(gap, len(out)+copySize-r.at>>3)
		}
	}
	if r.at > 8*len(packed) {
		return nil, 0, errPacked
	}
	return out, gap, nil
}

const copySize = 16 // the stub copies so many bytes at once, and up to as many too many
