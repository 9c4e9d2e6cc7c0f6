package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"time"
)

// The protocol of iperf3 (github.com/esnet/iperf, as of 3.12). A test has one
// control connection. The client opens it with a cookie, and then one side tells
// the other in one byte what comes next. Parameters and results are JSON behind
// a length of four bytes. Each stream of TCP is a connection to the same port that
// opens with the cookie, each stream of UDP a datagram and its answer.
//
//	client                      server
//	cookie                →
//	                      ←     paramExchange
//	parameters            →
//	                      ←     createStreams
//	streams, each cookie  →
//	                      ←     testStart, testRunning
//	testEnd               →
//	                      ←     exchangeResults
//	results               →
//	                      ←     results, displayResults
//	iperfDone             →

// state is the byte that says what comes next.
type state int8

const (
	testStart       state = 1
	testRunning     state = 2
	testEnd         state = 4
	paramExchange   state = 9
	createStreams   state = 10
	serverTerminate state = 11
	clientTerminate state = 12
	exchangeResults state = 13
	displayResults  state = 14
	iperfDone       state = 16
	accessDenied    state = -1
	serverError     state = -2
)

func (s state) String() string {
	names := map[state]string{testStart: "TEST_START", testRunning: "TEST_RUNNING", testEnd: "TEST_END", paramExchange: "PARAM_EXCHANGE",
		createStreams: "CREATE_STREAMS", serverTerminate: "SERVER_TERMINATE", clientTerminate: "CLIENT_TERMINATE",
		exchangeResults: "EXCHANGE_RESULTS", displayResults: "DISPLAY_RESULTS", iperfDone: "IPERF_DONE",
		accessDenied: "ACCESS_DENIED", serverError: "SERVER_ERROR"}
	if n := names[s]; n != "" {
		return n
	}
	return fmt.Sprintf("state %d", int8(s))
}

// What an error of the server is about (iperf_api.h, i_errno).
const (
	errDuration   = 5
	errStreams    = 6
	errBlock      = 7
	errUnsupp     = 13
	errRecvParams = 114
)

const (
	version   = "3.12" // of the protocol, as the other side wants to know it
	cookieLen = 37     // 36 characters and a NUL
	maxJSON   = 1 << 20
	maxBlock  = 1 << 20 // bytes of a write (iperf3: MAX_BLOCKSIZE)
	maxUDP    = 65507
	minUDP    = 16      // the header, with 64 bits of sequence
	udpBuffer = 4 << 20 // for received datagrams
	maxStream = 128
	maxTime   = 86400
	patience  = 30 * time.Second // for the next step of the other side
)

// The first datagram of a stream, and its answer; little-endian.
const (
	udpHello  = 0x36373839
	udpAnswer = 0x39383736
)

// params is what the client wants. Numbers that may be large are floats, since
// cJSON writes them so.
type params struct {
	TCP           bool    `json:"tcp,omitempty"`
	UDP           bool    `json:"udp,omitempty"`
	SCTP          bool    `json:"sctp,omitempty"`
	Omit          int     `json:"omit"`
	Time          int     `json:"time"` // s; 0: until Num or Blocks
	Num           float64 `json:"num"`
	Blocks        float64 `json:"blockcount"`
	MSS           int     `json:"MSS,omitempty"`
	NoDelay       bool    `json:"nodelay,omitempty"`
	Parallel      int     `json:"parallel"`
	Reverse       bool    `json:"reverse,omitempty"`
	Bidirectional bool    `json:"bidirectional,omitempty"`
	Window        float64 `json:"window,omitempty"` // bytes of the socket's buffers
	Len           int     `json:"len"`
	Bandwidth     float64 `json:"bandwidth,omitempty"` // bits a second of a stream
	PacingTimer   float64 `json:"pacing_timer,omitempty"`
	Burst         float64 `json:"burst,omitempty"`
	TOS           int     `json:"TOS,omitempty"`
	Congestion    string  `json:"congestion,omitempty"`
	Counters64    int     `json:"udp_counters_64bit,omitempty"`
	ClientVersion string  `json:"client_version,omitempty"`
}

// A protocolError is one that the other side is told as a number.
type protocolError struct {
	code int
	text string
}

func (e *protocolError) Error() string { return e.text }

// check refuses what cannot be done, and limits what one client may ask for.
func (p *params) check() error {
	block := maxBlock
	if p.UDP {
		block = maxUDP
	}
	least := 1
	if p.UDP {
		least = minUDP
	}
	switch {
	case p.SCTP || p.TCP == p.UDP:
		return &protocolError{errUnsupp, "only TCP and UDP"}
	case p.Parallel < 1 || p.Parallel > maxStream:
		return &protocolError{errStreams, fmt.Sprintf("%d streams; 1 to %d are possible", p.Parallel, maxStream)}
	case p.Len < least || p.Len > block:
		return &protocolError{errBlock, fmt.Sprintf("a length of %d; %d to %d is possible", p.Len, least, block)}
	case p.Time < 0 || p.Time > maxTime || p.Omit < 0 || p.Omit > 60:
		return &protocolError{errDuration, fmt.Sprintf("%d s after %d s", p.Time, p.Omit)}
	case p.Reverse && p.Bidirectional:
		return &protocolError{errUnsupp, "both reverse and bidirectional"}
	case !(p.Num >= 0 && p.Blocks >= 0 && p.Bandwidth >= 0 && p.Window >= 0) || p.Window > math.MaxInt32 || p.Burst < 0 || p.Burst > 1000:
		return &protocolError{errRecvParams, "a number out of range"}
	}
	return nil
}

// limit is how many bytes all streams of one direction send, 0 for no limit.
func (p *params) limit() uint64 {
	n := p.Num
	if p.Blocks > 0 {
		n = p.Blocks * float64(p.Len)
	}
	return uint64(min(n, math.MaxInt64))
}

// results is what one side counted.
type results struct {
	CPU         float64        `json:"cpu_util_total"` // percent of a processor
	CPUUser     float64        `json:"cpu_util_user"`
	CPUSystem   float64        `json:"cpu_util_system"`
	Retransmits signed         `json:"sender_has_retransmits"` // 1: known, 0: unknown, -1: does not send
	Congestion  string         `json:"congestion_used,omitempty"`
	Streams     []streamResult `json:"streams"`
}

type streamResult struct {
	ID             int     `json:"id"`
	Bytes          float64 `json:"bytes"`
	Retransmits    signed  `json:"retransmits"` // -1: unknown
	Jitter         float64 `json:"jitter"`      // s
	Errors         signed  `json:"errors"`      // datagrams lost
	OmittedErrors  signed  `json:"omitted_errors"`
	Packets        signed  `json:"packets"`
	OmittedPackets signed  `json:"omitted_packets"`
	Start          float64 `json:"start_time"` // s
	End            float64 `json:"end_time"`
}

// signed is a number that iperf3 may write without its sign: -1 as 1<<64 - 1.
type signed int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *signed) UnmarshalJSON(b []byte) error {
	if u, err := strconv.ParseUint(string(b), 10, 64); err == nil {
		*n = signed(u)
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(math.Abs(f) < 1<<63) {
		return fmt.Errorf("%s is no number", b)
	}
	*n = signed(f)
	return nil
}

// streamID is iperf3's number of the i-th stream: 1, 3, 4, 5...
func streamID(i int) int {
	if i == 0 {
		return 1
	}
	return i + 2
}

var errBusy = errors.New("the server is busy")

// control is the control connection.
type control struct {
	net.Conn
}

func (c control) send(s state) error {
	c.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.Write([]byte{byte(s)})
	return err
}

// next reads what comes next; a zero timeout waits for ever.
func (c control) next(timeout time.Duration) (state, error) {
	deadline := time.Time{}
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	c.SetReadDeadline(deadline)
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return 0, err
	}
	return state(b[0]), nil
}

// expect wants a certain state next.
func (c control) expect(want state) error {
	s, err := c.next(patience)
	switch {
	case err != nil:
		return fmt.Errorf("waiting for %v: %w", want, err)
	case s == want:
		return nil
	case s == accessDenied:
		return errBusy
	case s == serverError:
		var b [8]byte
		io.ReadFull(c, b[:])
		return fmt.Errorf("the server has error %d, %d", int32(binary.BigEndian.Uint32(b[:])), int32(binary.BigEndian.Uint32(b[4:])))
	case s == serverTerminate, s == clientTerminate:
		return errors.New("the other side gave up")
	}
	return fmt.Errorf("%v where %v was due", s, want)
}

// fail tells the client why there is no test.
func (c control) fail(err error) {
	code := errRecvParams
	var p *protocolError
	if errors.As(err, &p) {
		code = p.code
	}
	var b [9]byte
	b[0] = byte(0xfe) // serverError
	binary.BigEndian.PutUint32(b[1:], uint32(code))
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.Write(b[:])
}

func (c control) writeJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.SetWriteDeadline(time.Now().Add(patience))
	_, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

func (c control) readJSON(v any) error {
	c.SetReadDeadline(time.Now().Add(patience))
	return readJSON(c, v)
}

// readJSON reads a length and that much JSON. What grows with the length is
// read in pieces, so that a length alone costs nothing.
func readJSON(r io.Reader, v any) error {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(n[:])
	if size > maxJSON {
		return fmt.Errorf("JSON of %d bytes", size)
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && len(text) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	return nil
}
