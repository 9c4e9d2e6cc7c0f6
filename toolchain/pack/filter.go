package pack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// A region is a part of the image's memory, in bytes from its first.
type region struct{ start, end int }

// branches makes the addresses in machine code absolute, or back: the 32 bits after a CALL (E8) and after a ModRM byte that
// means "relative to the next instruction" (Intel SDM vol. 2, 2.2.1.6). So a function that is called in many places, or a
// variable, is the same bytes in all of them. What only looks like an address is changed as well, and changed back: the change is one to
// one. data is the image, code the part to do.
//
// An instruction may go on after the address, which then is off by the bytes that follow; it is still the same for the same
// instruction.
func branches(data []byte, code region, absolute bool) {
	le := binary.LittleEndian
	size := uint32(len(data))
	for i := code.start; i+5 <= code.end; i++ {
		if b := data[i]; b != 0xe8 && b&0xc7 != 5 {
			continue
		}
		v := le.Uint32(data[i+1:])
		next := uint32(i + 5)
		switch {
		case absolute && v+next < size: // from [-next, size-next) to [0, size)
			v += next
		case absolute && v-(size-next) < next: // from [size-next, size) to [-next, 0)
			v -= size
		case !absolute && v < size:
			v -= next
		case !absolute && v+next < next:
			v += size
		}
		le.PutUint32(data[i+1:], v)
		i += 4 // changed or not: what decides about the next ones must not have been changed by this one
	}
}

// Tables are the region of a Go program's pc-value tables (runtime.pclntab's pctab, see cmd/link/internal/ld/pcln.go). Each
// is a sequence of pairs of varints, a change of the value and one of the pc, and a zero; a first pair may begin with a zero.
// Values and pcs have not much to do with each other: packed, all values come first.

// split puts the values of tables before their pcs. It returns how many bytes values are, and where the last whole table ends:
// what follows, if it is but what aligns the next part of the file, is left as it is.
func split(tables []byte) (values, end int) {
	var v, p []byte
	for {
		from, nv, np := end, len(v), len(p)
		ok := true
		move := func(to []byte) []byte {
			for from < len(tables) {
				b := tables[from]
				to = append(to, b)
				from++
				if b < 0x80 {
					return to
				}
			}
			ok = false
			return to
		}
		for first := true; ok && (first || from == len(tables) || tables[from] != 0); first = false {
			v = move(v)
			p = move(p)
		}
		v = move(v)
		if !ok {
			v, p = v[:nv], p[:np]
			copy(tables[copy(tables, v):], p)
			return len(v), end
		}
		end = from
	}
}

// join undoes split.
func join(tables []byte, values int) {
	v, p := bytes.Clone(tables[:values]), bytes.Clone(tables[values:])
	out := tables[:0]
	move := func(from []byte) []byte {
		for i, b := range from {
			out = append(out, b)
			if b < 0x80 {
				return from[i+1:]
			}
		}
		return nil
	}
	for len(v) > 0 {
		v, p = move(v), move(p)
		for len(v) > 0 && v[0] != 0 {
			v, p = move(v), move(p)
		}
		v = move(v)
	}
}

// A table of functions (runtime.pclntab's functab and what it leads to) has a pair for each function, of the function's first pc and of
// where its record is, from the table on; a record has 11 words and one more for each pc-value table that is not one of the first three.
// Words of a record that say where something is:
const (
	recordPC     = 0 // in the code
	recordName   = 1 // in the names
	recordTables = 4 // three in the pc-value tables
	recordMore   = 7 // how many more of these follow the record
	recordWords  = 11
)

// functions makes places in a table of n functions relative, or back: pairs, pcs and names to those of the function before, places of
// pc-value tables to the furthest one before, as most functions have new ones.
func functions(table []byte, n int, relative bool) {
	le := binary.LittleEndian
	var pc, record, start, name, furthest uint32
	change := func(at int, before *uint32) (place int) {
		v := le.Uint32(table[at:])
		if relative {
			v, *before = v-*before, v
			le.PutUint32(table[at:], v)
		} else {
			*before += v
			le.PutUint32(table[at:], *before)
		}
		return int(*before)
	}
	changeFurthest := func(at int) {
		v := le.Uint32(table[at:])
		if v == 0 { // there is none
			return
		}
		// Positive: beyond the furthest. Negative: the furthest, or before it.
		by := v - furthest
		if !relative {
			if by = v; int32(by) < 0 {
				by++
			}
			v = furthest + by
			le.PutUint32(table[at:], v)
		} else if int32(by) <= 0 {
			le.PutUint32(table[at:], by-1)
		} else {
			le.PutUint32(table[at:], by)
		}
		furthest = max(furthest, v)
	}
	for i := range n {
		change(8*i, &pc)
		at := change(8*i+4, &record)
		change(at+4*recordPC, &start)
		change(at+4*recordName, &name)
		for k := range 3 {
			changeFurthest(at + 4*(recordTables+k))
		}
		for k := range int(le.Uint32(table[at+4*recordMore:])) {
			changeFurthest(at + 4*(recordWords+k))
		}
	}
}

// pcTables finds the pc-value tables and that of n functions in the file, if it is of a Go that this package knows. The first byte of the
// former belongs to none.
func pcTables(e *elf.File, m memory) (tables, funcs region, n int) {
	s := e.Section(".gopclntab")
	if s == nil || s.Addr < m.low || s.Addr-m.low > uint64(len(m.data)) || s.Size > uint64(len(m.data))-(s.Addr-m.low) {
		return
	}
	start := int(s.Addr - m.low)
	t := m.data[start : start+int(s.Size)]
	const magic, header = 0xfffffff1, 72 // runtime.pcHeader of Go 1.20 and later
	le := binary.LittleEndian
	if len(t) < header || le.Uint32(t) != magic || t[7] != 8 {
		return
	}
	from, to := le.Uint64(t[56:]), le.Uint64(t[64:])
	if from < header || to < from+1 || to > uint64(len(t)) {
		return
	}
	tables, funcs = region{start + int(from) + 1, start + int(to)}, region{start + int(to), start + len(t)}
	if count := le.Uint64(t[8:]); count <= uint64(len(t)) && wholeFunctions(m.data[funcs.start:funcs.end], int(count)) {
		n = int(count)
	}
	return
}

// wholeFunctions tells whether table is one of n functions whose records follow each other.
func wholeFunctions(table []byte, n int) bool {
	le := binary.LittleEndian
	next := 8 * n
	if next > len(table) {
		return false
	}
	for i := range n {
		at := int(le.Uint32(table[8*i+4:]))
		if at < next || at+4*recordWords > len(table) {
			return false
		}
		more := int(le.Uint32(table[at+4*recordMore:]))
		next = at + 4*(recordWords+more)
		if more > len(table) || next > len(table) {
			return false
		}
		for k := range 3 + more {
			if k >= 3 {
				k += recordWords - recordTables - 3
			}
			if int32(le.Uint32(table[at+4*(recordTables+k):])) < 0 {
				return false
			}
		}
	}
	return true
}
