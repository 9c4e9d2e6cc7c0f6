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

// pcTables finds the tables in the file, if it is of a Go that this package knows. The first byte belongs to none.
func pcTables(e *elf.File, m memory) region {
	s := e.Section(".gopclntab")
	if s == nil || s.Addr < m.low || s.Addr-m.low > uint64(len(m.data)) || s.Size > uint64(len(m.data))-(s.Addr-m.low) {
		return region{}
	}
	start := int(s.Addr - m.low)
	t := m.data[start : start+int(s.Size)]
	const magic, header = 0xfffffff1, 72 // runtime.pcHeader of Go 1.20 and later
	le := binary.LittleEndian
	if len(t) < header || le.Uint32(t) != magic || t[7] != 8 {
		return region{}
	}
	from, to := le.Uint64(t[56:]), le.Uint64(t[64:])
	if from < header || to < from+1 || to > uint64(len(t)) {
		return region{}
	}
	return region{start + int(from) + 1, start + int(to)}
}
