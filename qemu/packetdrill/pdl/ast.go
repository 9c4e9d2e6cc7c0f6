package pdl

import (
	"fmt"
	"time"
)

// Script is one file.
type Script struct {
	Options []Option
	Init    string // shell commands before the first event
	Events  []*Event
	Cleanup string // shell commands after the last event
}

// Option is a line "--name=value" at the head of a script.
type Option struct {
	Name, Value string
}

// Unsupported is what the language has and a script uses, but this program does
// not know.
type Unsupported struct {
	Line int
	What string
}

func (u *Unsupported) Error() string {
	return fmt.Sprintf("line %d: %s is not supported", u.Line, u.What)
}

// Event is something that happens at a time.
type Event struct {
	Line int
	Time Time
	// Exactly one of these is set.
	Packet  *Packet
	Syscall *Syscall
	Command string // shell
	Code    string // Python
}

// TimeKind says what the time of an event is counted from.
type TimeKind int

// Kinds of times.
const (
	Absolute TimeKind = iota // since the script's start
	Relative                 // since the event before
	AnyTime                  // a packet may come at any time
	AbsoluteRange
	RelativeRange
)

// Time is when an event happens; a range has an End.
type Time struct {
	Kind    TimeKind
	At, End time.Duration
}

// Syscall is a call with the result it must have.
type Syscall struct {
	Name     string
	Args     []Expr
	Blocking bool
	End      time.Duration // with Blocking: when it returns, counted as its time
	Result   Expr
	Errno    string // "EAGAIN", or nothing
}

// Expr is an argument or a result: Ellipsis, Int, Word, String, Binary, List or
// *Struct.
type Expr any

// Ellipsis is "...": the usual value.
type Ellipsis struct{}

// Int is a number.
type Int int64

// Word is a name, as SOCK_STREAM.
type Word string

// String is text in quotes, unescaped.
type String string

// Binary is Left | Right.
type Binary struct{ Left, Right Expr }

// List is [a, b], or {a, b} when its elements have no names.
type List []Expr

// Struct is {name = value, ...}, in order.
type Struct struct {
	Fields []Field
}

// Field is one element; Arg is what stands in brackets behind the name, as in
// msg_iov(1)=.
type Field struct {
	Name  string
	Arg   Expr
	Value Expr
}

// Get returns the value of a field, nil if it is not there.
func (s *Struct) Get(name string) Expr {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// TOSCheck says what of the TOS byte matters.
type TOSCheck int

// Checks of the TOS byte.
const (
	TOSNone  TOSCheck = iota
	TOSECN            // the two bits of ECN are those of TOS
	TOSECT01          // they are ECT(0) or ECT(1)
	TOSAll            // the byte is TOS
)

// IPInfo is what a script says of the IP header.
type IPInfo struct {
	Check TOSCheck
	TOS   uint8
	TTL   uint8 // 0: any
}

// Packet is a packet that comes in, or one that must go out.
type Packet struct {
	Inbound bool
	IP      IPInfo
	// Ports that are not the connection's own; 0: those.
	SrcPort, DstPort uint16
	// Exactly one of these is set.
	TCP  *TCP
	UDP  *UDP
	ICMP *ICMP
}

// Flags of a TCP header.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// TCP is a segment; numbers are counted from the start of the connection.
type TCP struct {
	Flags      uint16
	ACE        bool // the three bits of accurate ECN are checked as a number
	Seq        uint32
	Len        int
	Ack        uint32
	Win        int // -1: any
	Urg        uint16
	Options    []TCPOption
	AnyOptions bool
}

// TCP option kinds.
const (
	OptEOL       = 0
	OptNOP       = 1
	OptMSS       = 2
	OptWScale    = 3
	OptSackOK    = 4
	OptSack      = 5
	OptTimestamp = 8
	OptMD5       = 19
	OptFastOpen  = 34
	OptAccECN0   = 172 // ECT(0), CE, ECT(1), three bytes each
	OptAccECN1   = 174 // ECT(1), CE, ECT(0)
	OptExp       = 254 // with the number of Fast Open in front
)

// TCPOption is one option.
type TCPOption struct {
	Kind     int
	Value    uint32      // of MSS, WScale, Timestamp
	Echo     uint32      // of Timestamp
	Blocks   [][2]uint32 // of Sack
	Data     []byte      // of MD5, FastOpen, AccECN, Exp: what follows the length
	WithSlot bool        // MD5 given with its digest
}

// UDP is a datagram.
type UDP struct{ Len int }

// ICMP is a message.
type ICMP struct {
	Type, Code string // names; Code may be empty
	MTU        int    // -1: none
	ID         uint16
	// What the message quotes: "tcp", "udp", "raw" or nothing.
	Echoed    string
	EchoedSeq uint32
	EchoedLen int
}
