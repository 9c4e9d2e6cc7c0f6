package pack

import (
	"encoding/binary"
	"math/bits"
)

const (
	nice     = 128 // a match so long is taken; longer ones are measured by the parser
	depth    = 32  // earlier places that are compared at each place
	hashBits = 18
	hashNear = 16      // of the last places with the same three bytes
	maxNear  = 1 << 16 // three bytes are worth a match only from near
)

// A match of n bytes is dist bytes back.
type match struct{ n, dist int32 }

// A finder knows the earlier places of what follows each place: those with the same hash are a binary tree, sorted by what
// is there, with the latest place at its root (as in Igor Pavlov's LZMA, "BT4").
type finder struct {
	src        []byte
	head, near []int32 // the last place with a hash of four, and of three bytes; -1 for none
	sons       []int32 // two for each place: less, greater
}

func newFinder(src []byte) *finder {
	f := &finder{src: src, head: make([]int32, 1<<hashBits), near: make([]int32, 1<<hashNear), sons: make([]int32, 2*len(src))}
	for i := range f.head {
		f.head[i] = -1
	}
	for i := range f.near {
		f.near[i] = -1
	}
	return f
}

// at enters place i, which has to be the one after the last, and appends its matches to found: of growing length, and each the
// nearest of those seen.
func (f *finder) at(i int, found []match) []match {
	src, sons := f.src, f.sons
	limit := min(len(src)-i, nice)
	if limit < 4 {
		return found
	}
	v := binary.LittleEndian.Uint32(src[i:])
	best := 2
	take := func(j, n int) {
		if n > best && i-j <= window {
			best = n
			found = append(found, match{int32(n), int32(i - j)})
		}
	}
	near := &f.near[v<<8*2654435761>>(32-hashNear)]
	if j := int(*near); j >= 0 && i-j < maxNear {
		take(j, common(src, j, i, 0, limit))
	}
	*near = int32(i)

	head := &f.head[v*2654435761>>(32-hashBits)]
	j := int(*head)
	*head = int32(i)
	less, greater := 2*i, 2*i+1       // where the rest of the tree goes
	lessCommon, greaterCommon := 0, 0 // what all of it has in common with place i
	for range depth {
		if j < 0 {
			break
		}
		n := common(src, j, i, min(lessCommon, greaterCommon), limit)
		take(j, n)
		if n == limit { // this place takes the other's place
			sons[less], sons[greater] = sons[2*j], sons[2*j+1]
			return found
		}
		if src[j+n] < src[i+n] {
			sons[less] = int32(j)
			less, lessCommon = 2*j+1, n
			j = int(sons[less])
		} else {
			sons[greater] = int32(j)
			greater, greaterCommon = 2*j, n
			j = int(sons[greater])
		}
	}
	sons[less], sons[greater] = -1, -1
	return found
}

// common counts the bytes that are the same at j and i, up to limit; n are known to be.
func common(src []byte, j, i, n, limit int) int {
	for ; n+8 <= limit; n += 8 {
		if x := binary.LittleEndian.Uint64(src[j+n:]) ^ binary.LittleEndian.Uint64(src[i+n:]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
	}
	for n < limit && src[j+n] == src[i+n] {
		n++
	}
	return n
}
