package xtables

// Field is something of a packet that the compiled index can look rules up by.
type Field uint8

// Fields.
const (
	FieldSrc Field = iota
	FieldDst
	FieldProto
	FieldIn
	FieldOut
	FieldSport // of the protocols that begin with two ports
	FieldDport
	FieldMark
	numFields
)

// Constraint is one way in which a field can be right: its value under Mask is
// Lo, or, with Mask 0, it is from Lo to Hi.
type Constraint struct{ Mask, Lo, Hi uint32 }

// Constrainer is a Match that needs something of the packet's fields. Constrain
// calls add with each field and all the values that can match. It may leave
// fields out, but never a value.
type Constrainer interface {
	Pure
	Constrain(add func(f Field, any ...Constraint))
}

// Pure is a Match that changes nothing and never sets Hotdrop except on packets
// whose transport header is cut short. Only behind pure matches may a rule be
// left out because a later one cannot match.
type Pure interface{ Pure() }
