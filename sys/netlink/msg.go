package netlink

import "encoding/binary"

// Sizes and flags of a message (Linux: include/uapi/linux/netlink.h).
const (
	HeaderLen = 16
	AttrLen   = 4

	FlagRequest  = 0x1 // NLM_F_REQUEST
	FlagMulti    = 0x2
	FlagAck      = 0x4
	FlagEcho     = 0x8
	FlagDumpIntr = 0x10
	FlagFiltered = 0x20 // NLM_F_DUMP_FILTERED

	FlagRoot   = 0x100 // of a GET
	FlagMatch  = 0x200
	FlagDump   = FlagRoot | FlagMatch
	FlagBulk   = 0x200 // of a DEL
	FlagCapped = 0x100 // of an ACK
	FlagTLVs   = 0x200

	FlagReplace = 0x100 // of a NEW
	FlagExcl    = 0x200
	FlagCreate  = 0x400
	FlagAppend  = 0x800

	TypeError = 2 // NLMSG_ERROR
	TypeDone  = 3
	typeMin   = 0x10 // below are control messages

	attrTypeMask = 0x3fff
	attrNested   = 0x8000
)

// Header is struct nlmsghdr.
type Header struct {
	Len   uint32
	Type  uint16
	Flags uint16
	Seq   uint32
	Pid   uint32
}

func align4(n int) int { return (n + 3) &^ 3 }

func parseHeader(b []byte) Header {
	return Header{
		Len:   binary.NativeEndian.Uint32(b),
		Type:  binary.NativeEndian.Uint16(b[4:]),
		Flags: binary.NativeEndian.Uint16(b[6:]),
		Seq:   binary.NativeEndian.Uint32(b[8:]),
		Pid:   binary.NativeEndian.Uint32(b[12:]),
	}
}

// Builder makes a sequence of messages in one buffer.
type Builder struct {
	buf   []byte
	start int // of the message being made
	hdr   Header
}

// NewBuilder makes a Builder whose messages have the port of who brought them
// about.
func NewBuilder(port uint32) *Builder { return &Builder{hdr: Header{Pid: port}} }

// Bytes returns all messages made so far.
func (b *Builder) Bytes() []byte { return b.buf }

// Len returns their length.
func (b *Builder) Len() int { return len(b.buf) }

// Begin starts a message with the sequence number and port of the request.
func (b *Builder) Begin(typ, flags uint16) {
	b.start = len(b.buf)
	var h [HeaderLen]byte
	binary.NativeEndian.PutUint16(h[4:], typ)
	binary.NativeEndian.PutUint16(h[6:], b.hdr.Flags|flags)
	binary.NativeEndian.PutUint32(h[8:], b.hdr.Seq)
	binary.NativeEndian.PutUint32(h[12:], b.hdr.Pid)
	b.buf = append(b.buf, h[:]...)
}

// End completes the message that Begin started.
func (b *Builder) End() {
	binary.NativeEndian.PutUint32(b.buf[b.start:], uint32(len(b.buf)-b.start))
	b.pad()
}

func (b *Builder) pad() {
	for len(b.buf)&3 != 0 {
		b.buf = append(b.buf, 0)
	}
}

// Raw appends the message's fixed part, padded.
func (b *Builder) Raw(p ...byte) {
	b.buf = append(b.buf, p...)
	b.pad()
}

// U16, U32 and U64 without an attribute are fields of the fixed part.
func (b *Builder) u16(v uint16) { b.buf = binary.NativeEndian.AppendUint16(b.buf, v) }

// Attr appends an attribute.
func (b *Builder) Attr(typ uint16, p ...byte) {
	b.u16(uint16(AttrLen + len(p)))
	b.u16(typ)
	b.Raw(p...)
}

// AttrU8 appends an attribute of one byte.
func (b *Builder) AttrU8(typ uint16, v uint8) { b.Attr(typ, v) }

// AttrU16 appends an attribute of 16 bits in the machine's order.
func (b *Builder) AttrU16(typ uint16, v uint16) {
	var p [2]byte
	binary.NativeEndian.PutUint16(p[:], v)
	b.Attr(typ, p[:]...)
}

// AttrU32 appends an attribute of 32 bits in the machine's order.
func (b *Builder) AttrU32(typ uint16, v uint32) {
	var p [4]byte
	binary.NativeEndian.PutUint32(p[:], v)
	b.Attr(typ, p[:]...)
}

// AttrU64 appends an attribute of 64 bits in the machine's order.
func (b *Builder) AttrU64(typ uint16, v uint64) {
	var p [8]byte
	binary.NativeEndian.PutUint64(p[:], v)
	b.Attr(typ, p[:]...)
}

// AttrBE32 appends an attribute of 32 bits in network order, an address.
func (b *Builder) AttrBE32(typ uint16, v uint32) {
	var p [4]byte
	binary.BigEndian.PutUint32(p[:], v)
	b.Attr(typ, p[:]...)
}

// AttrString appends a string with its zero byte.
func (b *Builder) AttrString(typ uint16, s string) {
	b.u16(uint16(AttrLen + len(s) + 1))
	b.u16(typ)
	b.buf = append(b.buf, s...)
	b.buf = append(b.buf, 0)
	b.pad()
}

// Nest starts an attribute of attributes; EndNest takes what it returned. With
// flag the type carries NLA_F_NESTED, which newer attributes have.
func (b *Builder) Nest(typ uint16, flag bool) int {
	if flag {
		typ |= attrNested
	}
	at := len(b.buf)
	b.u16(0)
	b.u16(typ)
	return at
}

// EndNest ends the attribute Nest started at.
func (b *Builder) EndNest(at int) {
	binary.NativeEndian.PutUint16(b.buf[at:], uint16(len(b.buf)-at))
}

// CancelNest takes the attribute back.
func (b *Builder) CancelNest(at int) { b.buf = b.buf[:at] }
