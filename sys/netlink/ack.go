package netlink

import (
	"encoding/binary"
	"syscall"
)

// Attributes of an error message (Linux: NLMSGERR_ATTR_*).
const (
	errAttrMsg      = 1
	errAttrOffs     = 2
	errAttrMissType = 5
)

// ExtAck is what is known of an error beside its number (Linux: struct
// netlink_ext_ack). A nil *ExtAck may be used and keeps nothing.
type ExtAck struct {
	Msg string
	// tail is how many bytes of the request lay behind the start of the bad
	// attribute. Attributes are slices of the request, so that this and the
	// request's length give the offset.
	tail int
	miss int // type of a missing attribute
}

// Fail notes a message and returns err.
func (x *ExtAck) Fail(err syscall.Errno, msg string) error {
	if x != nil {
		x.Msg = msg
	}
	return err
}

// Bad notes a message and the attribute it is about, and returns err. attr is
// the rest of the request from the attribute's header on; its capacity must
// reach to the end of the request.
func (x *ExtAck) Bad(err syscall.Errno, attr []byte, msg string) error {
	if x != nil {
		x.Msg, x.tail = msg, cap(attr)
	}
	return err
}

// Missing notes the type of an attribute that should be there, and returns
// err.
func (x *ExtAck) Missing(err syscall.Errno, typ int, msg string) error {
	if x != nil {
		x.Msg, x.miss = msg, typ
	}
	return err
}

// BadVal is Bad for an attribute known by its payload, from [Attrs].
func (x *ExtAck) BadVal(err syscall.Errno, val []byte, msg string) error {
	if x != nil {
		x.Msg, x.tail = msg, cap(val)+AttrLen
	}
	return err
}

// ack makes the NLMSG_ERROR that answers r (Linux: netlink_ack). errno 0 is an
// acknowledgement.
func (s *Sock) ack(r *Request, errno syscall.Errno) []byte {
	b := Builder{hdr: Header{Seq: r.Seq, Pid: s.Port()}}
	var flags uint16
	capped := errno == 0 || s.opt(optCapAck)
	if capped {
		flags |= FlagCapped
	}
	tlvs := r.hasTLVs(errno)
	if tlvs {
		flags |= FlagTLVs
	}
	b.Begin(TypeError, flags)
	var e [4]byte
	binary.NativeEndian.PutUint32(e[:], uint32(-int32(errno)))
	b.Raw(e[:]...)
	if capped {
		b.Raw(r.raw[:HeaderLen]...)
	} else {
		b.Raw(r.raw...)
	}
	if tlvs {
		r.putTLVs(&b, errno)
	}
	b.End()
	return b.Bytes()
}

// hasTLVs reports whether the requester is to be told more than errno.
func (r *Request) hasTLVs(errno syscall.Errno) bool {
	x := &r.Ack
	return r.sock.opt(optExtAck) && (x.Msg != "" || errno != 0 && (x.tail > 0 || x.miss > 0))
}

// putTLVs appends what is known beside errno (Linux: netlink_ack_tlv_fill).
func (r *Request) putTLVs(b *Builder, errno syscall.Errno) {
	x := &r.Ack
	if x.Msg != "" {
		b.AttrString(errAttrMsg, x.Msg)
	}
	if errno != 0 && x.tail > 0 && x.tail <= len(r.raw) {
		b.AttrU32(errAttrOffs, uint32(len(r.raw)-x.tail))
	}
	if errno != 0 && x.miss > 0 {
		b.AttrU32(errAttrMissType, uint32(x.miss))
	}
}
