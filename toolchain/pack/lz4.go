package pack

import (
	"errors"
)

const (
	minMatch  = 4
	minOffset = 16 // the stub copies 16 bytes at once, and needs no other way then
	maxOffset = 1<<16 - 1
	tail      = 16 // literals at the end of a block; LZ4 asks for 5, and no match in the last 12
	niceMatch = 256
	chain     = 96 // earlier places of the same four bytes that are tried
	hashBits  = 17
)

// A match of n bytes is dist bytes back. n is 0 for none.
type match struct{ n, dist int32 }

// compress returns src as one LZ4 block. The whole of it is planned from its end: at each place the cheapest way on
// is known, so that what is found is the smallest block that the matches tried can give, but for the bytes by which
// long literals say their length.
func compress(src []byte) []byte {
	steps := plan(src, longest(src))
	out := make([]byte, 0, len(src)/2)
	start := 0 // of the literals
	for i := 0; i < len(src); {
		m := steps[i]
		if m.n == 0 {
			i++
			continue
		}
		out = sequence(out, src[start:i], m)
		i += int(m.n)
		start = i
	}
	return sequence(out, src[start:], match{})
}

// sequence appends literals and a match; the last of a block has none.
func sequence(out, literals []byte, m match) []byte {
	token := byte(min(len(literals), 15)) << 4
	if m.n != 0 {
		token |= byte(min(m.n-minMatch, 15))
	}
	out = length(append(out, token), len(literals)-15)
	out = append(out, literals...)
	if m.n == 0 {
		return out
	}
	return length(append(out, byte(m.dist), byte(m.dist>>8)), int(m.n)-minMatch-15)
}

// length appends what a token's 4 bits have no room for, if n is not negative.
func length(out []byte, n int) []byte {
	for ; n >= 255; n -= 255 {
		out = append(out, 255)
	}
	if n >= 0 {
		out = append(out, byte(n))
	}
	return out
}

// longest finds for each place the longest match among the last places with the same four bytes.
func longest(src []byte) []match {
	found := make([]match, len(src))
	head := make([]int32, 1<<hashBits) // the last place with a hash, plus 1
	prev := make([]int32, len(src))    // the one before
	insert := func(i int) {
		v := uint32(src[i]) | uint32(src[i+1])<<8 | uint32(src[i+2])<<16 | uint32(src[i+3])<<24
		h := v * 2654435761 >> (32 - hashBits)
		prev[i], head[h] = head[h], int32(i+1)
	}
	limit := len(src) - tail // of matches
	skip := 0
	for i := 0; i+minMatch <= limit; i++ {
		insert(i)
		if skip > 0 { // in the middle of a long one, of which the rest is as good
			skip--
			found[i] = match{found[i-1].n - 1, found[i-1].dist}
			continue
		}
		best := match{}
		tries := chain
		for p := prev[i]; p != 0 && tries > 0; p, tries = prev[p-1], tries-1 {
			j := int(p - 1)
			dist := i - j
			if dist > maxOffset {
				break
			}
			if dist < minOffset || best.n > 0 && src[j+int(best.n)] != src[i+int(best.n)] {
				continue
			}
			n := 0
			for i+n < limit && src[j+n] == src[i+n] {
				n++
			}
			if n >= minMatch && int32(n) > best.n {
				best = match{int32(n), int32(dist)}
				if i+n == limit {
					break
				}
			}
		}
		found[i] = best
		if best.n > niceMatch {
			skip = int(best.n) - niceMatch
		}
	}
	return found
}

// plan chooses for each place how to go on: with a match, perhaps shorter than the longest, or with a literal.
func plan(src []byte, found []match) []match {
	cost := make([]int32, len(src)+1) // of the way from here to the end
	for i := len(src) - 1; i >= 0; i-- {
		best, m := cost[i+1]+1, match{}
		if f := found[i]; f.n > niceMatch {
			best, m = 3+f.n/255+cost[i+int(f.n)], f
		} else {
			for n := f.n; n >= minMatch; n-- {
				c := 3 + cost[i+int(n)]
				if n >= minMatch+15 {
					c += 1 + (n-minMatch-15)/255
				}
				if c < best {
					best, m = c, match{n, f.dist}
				}
			}
		}
		cost[i], found[i] = best, m
	}
	return found
}

var errBlock = errors.New("not a block that the stub can unpack")

// unpack is what the stub does, without trust, for blocks of size bytes unpacked. It also tells how far, at most, the stub's writing goes
// beyond what it has read: if the block lies gap bytes or more after the place it is unpacked to, no byte of it is
// overwritten before it is read.
func unpack(block []byte, size int) (out []byte, gap int, err error) {
	out = make([]byte, 0, size)
	for i := 0; ; {
		number := func(n int) (int, bool) {
			for more := n == 15; more; i++ {
				if i == len(block) || n > size {
					return 0, false
				}
				n += int(block[i])
				more = block[i] == 255
			}
			return n, true
		}
		if i == len(block) {
			return nil, 0, errBlock
		}
		token := block[i]
		i++
		n, ok := number(int(token >> 4))
		if !ok || n > len(block)-i || n > size-len(out) {
			return nil, 0, errBlock
		}
		gap = max(gap, len(out)-i) // a copy reads 16 bytes and then writes as many
		out = append(out, block[i:i+n]...)
		i += n
		gap = max(gap, len(out)+16-i)
		if i == len(block) {
			return out, gap, nil
		}
		if len(block)-i < 2 {
			return nil, 0, errBlock
		}
		dist := int(block[i]) | int(block[i+1])<<8
		i += 2
		n, ok = number(int(token & 15))
		n += minMatch
		if !ok || dist < minOffset || dist > len(out) || n > size-len(out) {
			return nil, 0, errBlock
		}
		for range n {
			out = append(out, out[len(out)-dist])
		}
		gap = max(gap, len(out)+16-i)
	}
}
