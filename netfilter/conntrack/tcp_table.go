package conntrack

// TCPState is where a TCP connection is, as seen from the middle (Linux: enum
// tcp_conntrack).
type TCPState uint8

// States of TCP, with Linux's numbers.
const (
	TCPNone TCPState = iota
	TCPSynSent
	TCPSynRecv
	TCPEstablished
	TCPFinWait
	TCPCloseWait
	TCPLastAck
	TCPTimeWait
	TCPClose
	TCPSynSent2 // a SYN from both sides

	// Times that are not of a state.
	tcpRetrans
	tcpUnack
	tcpStateMax
)

// What the table says beside a state.
const (
	tcpInvalid TCPState = 100 + iota
	tcpIgnore           // let it through, change nothing
)

var tcpStateNames = [...]string{ // read-only
	"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
}

// String returns the name listings have.
func (s TCPState) String() string {
	if int(s) < len(tcpStateNames) {
		return tcpStateNames[s]
	}
	return "UNKNOWN"
}

// TCPTimeoutNames are the settings nf_conntrack_tcp_timeout_* by index of
// Settings.TCPTimeout; those without a name are not settable.
var TCPTimeoutNames = [tcpStateMax]string{ // read-only
	TCPSynSent: "syn_sent", TCPSynRecv: "syn_recv", TCPEstablished: "established", TCPFinWait: "fin_wait",
	TCPCloseWait: "close_wait", TCPLastAck: "last_ack", TCPTimeWait: "time_wait", TCPClose: "close",
	tcpRetrans: "max_retrans", tcpUnack: "unacknowledged",
}

// tcpTimeouts are the defaults in seconds.
var tcpTimeouts = [tcpStateMax]int{ // read-only
	TCPNone: 120, TCPSynSent: 120, TCPSynRecv: 60, TCPEstablished: 5 * 24 * 3600, TCPFinWait: 120,
	TCPCloseWait: 60, TCPLastAck: 30, TCPTimeWait: 120, TCPClose: 10, TCPSynSent2: 120,
	tcpRetrans: 300, tcpUnack: 300,
}

// segment is what matters of the flags (Linux: get_conntrack_index).
type segment uint8

const (
	segSyn segment = iota
	segSynAck
	segFin
	segAck
	segRst
	segNone
	numSegments
)

// tcpNext is the state machine by direction, kind of segment and state (Linux:
// tcp_conntracks, whose comments give the reason of every entry).
var tcpNext = func() (t [NumDirs][numSegments][TCPSynSent2 + 1]TCPState) { // read-only
	const (
		sNO, sSS, sSR, sES = TCPNone, TCPSynSent, TCPSynRecv, TCPEstablished
		sFW, sCW, sLA, sTW = TCPFinWait, TCPCloseWait, TCPLastAck, TCPTimeWait
		sCL, sS2, sIV, sIG = TCPClose, TCPSynSent2, tcpInvalid, tcpIgnore
	)
	type row = [TCPSynSent2 + 1]TCPState
	// from:                  none syns synr est  finw clow lack timw clos syn2
	t[Original][segSyn] = row{sSS, sSS, sIG, sIG, sIG, sIG, sIG, sSS, sSS, sS2}
	t[Original][segSynAck] = row{sIV, sIV, sSR, sIV, sIV, sIV, sIV, sIV, sIV, sSR}
	t[Original][segFin] = row{sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV}
	t[Original][segAck] = row{sES, sIV, sES, sES, sCW, sCW, sTW, sTW, sCL, sIV}
	t[Original][segRst] = row{sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL}
	t[Original][segNone] = row{sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV}

	t[Reply][segSyn] = row{sIV, sS2, sIV, sIV, sIV, sIV, sIV, sSS, sIV, sS2}
	t[Reply][segSynAck] = row{sIV, sSR, sIG, sIG, sIG, sIG, sIG, sIG, sIG, sSR}
	t[Reply][segFin] = row{sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV}
	t[Reply][segAck] = row{sIV, sIG, sSR, sES, sCW, sCW, sTW, sTW, sCL, sIG}
	t[Reply][segRst] = row{sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL}
	t[Reply][segNone] = row{sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV}
	return t
}()
