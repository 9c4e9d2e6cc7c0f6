package pack

import (
	"math/bits"
	"sort"
)

// The symbols of a block. A literal is its byte; a match is one symbol for its slot of distances and its length, if that
// is less than longLength, or else a symbol of the second alphabet says by how much it is longer.
const (
	minLength  = 2
	headers    = 8
	longLength = minLength + headers - 1
	repeats    = 3 // the first slots: the last three distances
	slots      = 53
	literals   = 256
	symbols    = literals + slots*headers
	lengths    = 42 // slots of longer lengths

	maxBits   = 12 // of a code
	blockSize = 1 << 17
	window    = 1 << 25 // the longest distance that has a slot
)

// spanOf returns the slot of value v: those below direct have one each, above there are two for each power of two.
func spanOf(v, direct uint32) (slot int, extra int) {
	if v < direct {
		return int(v), 0
	}
	n := bits.Len32(v)
	return int(direct) + 2*(n-bits.Len32(direct)) + int(v>>(n-2)&1), n - 2
}

// Slots of distances and lengths begin with so many single values.
const (
	directDistances = 4
	directLengths   = 16
)

// spans returns the first value and the extra bits of n slots.
func spans(n int, direct uint32) (first []uint32, extra []int) {
	v := uint32(0)
	for range n {
		_, e := spanOf(v, direct)
		first, extra = append(first, v), append(extra, e)
		v += 1 << e
	}
	return first, extra
}

// codeLengths returns the lengths, at most maxBits, of a complete prefix code for symbols that occur so often. A symbol that
// does not occur has none; but a code has two symbols at least.
func codeLengths(count []int) []uint8 {
	out := make([]uint8, len(count))
	var used []int
	for s, n := range count {
		if n > 0 {
			used = append(used, s)
		}
	}
	for s := 0; len(used) < 2; s++ {
		if count[s] == 0 {
			used = append(used, s)
		}
	}
	sort.SliceStable(used, func(a, b int) bool { return count[used[a]] < count[used[b]] })

	// Huffman: the two rarest nodes become one. Both queues are sorted.
	weight := make([]int, len(used), 2*len(used))
	parent := make([]int, 2*len(used))
	for i, s := range used {
		weight[i] = count[s]
	}
	leaf, inner := 0, len(used)
	rarest := func() int {
		if inner == len(weight) || leaf < len(used) && weight[leaf] <= weight[inner] {
			leaf++
			return leaf - 1
		}
		inner++
		return inner - 1
	}
	for range len(used) - 1 {
		a, b := rarest(), rarest()
		parent[a], parent[b] = len(weight), len(weight)
		weight = append(weight, weight[a]+weight[b])
	}
	size := make([]int, len(weight))
	for i := len(weight) - 2; i >= 0; i-- {
		size[i] = size[parent[i]] + 1
	}

	// Codes that are too long are cut, which takes more room than there is: others grow, the rarest first. What is
	// left over then goes to the most frequent.
	room := 1 << maxBits
	for i := range used {
		size[i] = min(size[i], maxBits)
		room -= 1 << (maxBits - size[i])
	}
	for i := 0; room < 0; {
		if size[i] == maxBits {
			i++
			continue
		}
		size[i]++
		room += 1 << (maxBits - size[i])
	}
	for i := len(used) - 1; room > 0; {
		if size[i] == 1 || 1<<(maxBits-size[i]) > room {
			i = (i + len(used) - 1) % len(used)
			continue
		}
		room -= 1 << (maxBits - size[i])
		size[i]--
	}
	for i, s := range used {
		out[s] = uint8(size[i])
	}
	return out
}

// codes returns the canonical code with these lengths: by length, then by symbol.
func codes(size []uint8) []uint32 {
	out := make([]uint32, len(size))
	next := uint32(0)
	for n := uint8(1); n <= maxBits; n++ {
		for s, m := range size {
			if m == n {
				out[s] = next >> (maxBits - n)
				next += 1 << (maxBits - n)
			}
		}
	}
	return out
}

// A bitWriter writes bits, the highest first.
type bitWriter struct {
	out  []byte
	bits uint64
	n    int
}

func (w *bitWriter) put(v uint32, n int) {
	w.bits = w.bits<<n | uint64(v)
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.bits>>(w.n-8)))
	}
}

// putSizes writes the lengths of a code by how they differ from those of the block before.
func (w *bitWriter) putSizes(size, before []uint8) {
	for s, n := range size {
		switch int(n) - int(before[s]) {
		case 0:
			w.put(0, 1)
		case 1:
			w.put(0b100, 3)
		case -1:
			w.put(0b101, 3)
		default:
			w.put(0b110000|uint32(n), 6)
		}
	}
	copy(before, size)
}
