package sock

import "syscall"

// Cookie is what ancillary data of level SOL_SOCKET says of a packet to send
// (Linux: struct sockcm_cookie).
type Cookie struct {
	Mark     uint32
	Priority uint32
	Stamping uint32 // SOF_TIMESTAMPING_TX_* of this packet
	TSKey    uint32 // SCM_TS_OPT_ID, if HasTSKey
	HasTSKey bool
}

// InitCookie makes the cookie of a send that says nothing (Linux:
// sockcm_init).
func (sk *Sock) InitCookie() Cookie {
	return Cookie{Mark: sk.Mark(), Priority: sk.Priority(), Stamping: sk.stamping.Load()}
}

// Ancillary data of a send.
const (
	scmTxTime  = 61
	scmTSOptID = 81
	txRecord   = TimestampingTxHardware | TimestampingTxSoftware | TimestampingTxSched | TimestampingTxAck
)

// ParseCmsg reads one item of level SOL_SOCKET (Linux: __sock_cmsg_send):
// SO_MARK, SO_PRIORITY, SO_TIMESTAMPING, SCM_TXTIME on a sock with SO_TXTIME,
// and SCM_TS_OPT_ID on one that numbers its packets. EINVAL for what is
// malformed or unknown.
func (sk *Sock) ParseCmsg(c *Cookie, m *Cmsg) error {
	size := 4
	switch m.Type {
	case syscall.SCM_RIGHTS, syscall.SCM_CREDENTIALS:
		return nil // mean something to unix sockets only
	case scmTxTime:
		if !sk.Flag(FlagTxTime) {
			return syscall.EINVAL
		}
		size = 8
	case scmTSOptID:
		if sk.Protocol == syscall.IPPROTO_TCP {
			return syscall.EINVAL
		}
		if sk.stamping.Load()&TimestampingOptID == 0 {
			return syscall.EINVAL
		}
	case syscall.SO_MARK, soPriority, soTimestamping, soTimestampingNew:
	default:
		return syscall.EINVAL
	}
	if len(m.Data) != size {
		return syscall.EINVAL
	}
	v := getUint32(m.Data)
	switch m.Type {
	case syscall.SO_MARK:
		c.Mark = v
	case soPriority:
		c.Priority = v
	case soTimestamping, soTimestampingNew:
		if v&^txRecord != 0 {
			return syscall.EINVAL
		}
		c.Stamping = c.Stamping&^txRecord | v
	case scmTSOptID:
		c.TSKey, c.HasTSKey = v, true
	}
	return nil
}

// ParseControl reads the ancillary data of a send by a protocol that has none
// of its own (Linux: sock_cmsg_send). EINVAL for what is malformed; items of
// other levels are ignored.
func (sk *Sock) ParseControl(c *Cookie, control []byte) error {
	for {
		m, rest, ok, err := NextCmsg(control)
		if !ok {
			return err
		}
		control = rest
		if m.Level == syscall.SOL_SOCKET {
			if err := sk.ParseCmsg(c, &m); err != nil {
				return err
			}
		}
	}
}
