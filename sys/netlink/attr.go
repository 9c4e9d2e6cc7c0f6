package netlink

import (
	"bytes"
	"encoding/binary"
	"syscall"
)

// Kind is what an attribute holds (Linux: NLA_*).
type Kind uint8

// Kinds of attributes.
const (
	Unspec Kind = iota // Len is the least length
	U8
	U16
	U32
	U64
	Flag
	String    // Len is the greatest length without the zero byte, 0 for any
	NulString // the same, and the zero byte must be there
	Binary    // Len is the greatest length, 0 for any
	Nested
	Exact  // exactly Len bytes
	Reject // known, and not to be set
)

// PolicyItem describes one attribute.
type PolicyItem struct {
	Kind Kind
	Len  int
}

// Policy describes the attributes of a message by their type (Linux:
// nla_policy). It is read-only.
type Policy struct {
	Items []PolicyItem // by type; types beyond are unknown
	// StrictFrom is the first type that is checked strictly even by messages
	// that otherwise tolerate; 0 for none (Linux: strict_start_type).
	StrictFrom int
}

// Attrs are the attributes of a message by type, nil for those not there. An
// attribute without payload is an empty slice that is not nil.
type Attrs [][]byte

// Has reports whether attribute t is there.
func (a Attrs) Has(t int) bool { return t < len(a) && a[t] != nil }

// U8 returns the value of attribute t, 0 if it is not there.
func (a Attrs) U8(t int) uint8 {
	if !a.Has(t) || len(a[t]) < 1 {
		return 0
	}
	return a[t][0]
}

// U16 returns the value of attribute t, 0 if it is not there.
func (a Attrs) U16(t int) uint16 {
	if !a.Has(t) || len(a[t]) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(a[t])
}

// U32 returns the value of attribute t, 0 if it is not there.
func (a Attrs) U32(t int) uint32 {
	if !a.Has(t) || len(a[t]) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a[t])
}

// BE32 returns the address in attribute t, 0 if it is not there.
func (a Attrs) BE32(t int) uint32 {
	if !a.Has(t) || len(a[t]) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(a[t])
}

// Str returns the string in attribute t up to its zero byte.
func (a Attrs) Str(t int) string {
	if !a.Has(t) {
		return ""
	}
	b, _, _ := bytes.Cut(a[t], []byte{0})
	return string(b)
}

// Messages of the parser, with the words a program knows from Linux.
const (
	msgPolicy   = "Attribute failed policy validation"
	msgLength   = "invalid attribute length"
	msgUnknown  = "Unknown attribute type"
	msgLeftover = "bytes leftover after parsing attributes"
)

// NextAttr splits the first attribute off b. ok is false when there is no
// whole one. Payloads keep their capacity, which tells how far from the end of
// the request they lie ([ExtAck.Bad]); nobody appends to them.
func NextAttr(b []byte) (typ uint16, val, rest []byte, ok bool) {
	if len(b) < AttrLen {
		return 0, nil, b, false
	}
	l := int(binary.NativeEndian.Uint16(b))
	if l < AttrLen || l > len(b) {
		return 0, nil, b, false
	}
	typ = binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
	return typ, b[AttrLen:l], b[min(align4(l), len(b)):], true
}

// Parse reads attributes by a policy (Linux: __nla_parse). Of an attribute
// that comes twice the last counts. With strict, unknown types, wrong lengths
// and trailing bytes are errors; without, only what is too short is. The error
// is EINVAL or ERANGE, and x says where and why.
func Parse(b []byte, p *Policy, strict bool, x *ExtAck) (Attrs, error) {
	out := make(Attrs, len(p.Items))
	for {
		typ, val, rest, ok := NextAttr(b)
		if !ok {
			break
		}
		t := int(typ)
		s := strict || p.StrictFrom != 0 && t >= p.StrictFrom
		if t == 0 || t >= len(p.Items) {
			if strict {
				return nil, x.Bad(syscall.EINVAL, b, msgUnknown)
			}
			b = rest
			continue
		}
		if err := p.Items[t].check(val, b, s, x); err != nil {
			return nil, err
		}
		out[t] = val
		b = rest
	}
	if len(b) > 0 && strict {
		return nil, x.Fail(syscall.EINVAL, msgLeftover)
	}
	return out, nil
}

// check is validate_nla; attr is where the attribute starts.
func (p PolicyItem) check(val, attr []byte, strict bool, x *ExtAck) error {
	n := len(val)
	exact := func(want int) error {
		if n < want || n > want && strict {
			if strict {
				return x.Bad(syscall.EINVAL, attr, msgLength)
			}
			return x.Bad(syscall.ERANGE, attr, msgPolicy)
		}
		return nil
	}
	tooLong := p.Len > 0 && n > p.Len
	switch p.Kind {
	case U8:
		return exact(1)
	case U16:
		return exact(2)
	case U32:
		return exact(4)
	case U64:
		return exact(8)
	case Exact:
		if n != p.Len {
			return x.Bad(syscall.EINVAL, attr, msgLength)
		}
		return nil
	case Reject:
		return x.Bad(syscall.EINVAL, attr, "Unsupported attribute")
	case Flag:
		if n > 0 {
			return x.Bad(syscall.ERANGE, attr, msgPolicy)
		}
		return nil
	case NulString:
		l := n
		if p.Len > 0 {
			l = min(n, p.Len+1)
		}
		if bytes.IndexByte(val[:l], 0) < 0 {
			return x.Bad(syscall.EINVAL, attr, msgPolicy)
		}
		fallthrough
	case String:
		if n < 1 {
			return x.Bad(syscall.ERANGE, attr, msgPolicy)
		}
		if val[n-1] == 0 {
			tooLong = p.Len > 0 && n-1 > p.Len
		}
	case Nested:
		// An empty nest is all right; a cut header is not.
		if n > 0 && n < AttrLen {
			return x.Bad(syscall.ERANGE, attr, msgPolicy)
		}
		return nil
	case Unspec:
		if n < p.Len {
			return x.Bad(syscall.ERANGE, attr, msgPolicy)
		}
		return nil
	}
	if tooLong {
		return x.Bad(syscall.ERANGE, attr, msgPolicy)
	}
	return nil
}
