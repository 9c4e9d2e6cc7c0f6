package sock

import "barewire/skb"

// MSG_ZEROCOPY asks that memory be sent from where it is, and the program waits
// to be told when it may be used again (Linux: Documentation/networking/
// msg_zerocopy.rst). Here data is copied, as on Linux for a receiver on the same
// machine, and the program is told so at once.
const MSG_ZEROCOPY = 0x4000000

const (
	originZerocopy = 5 // SO_EE_ORIGIN_ZEROCOPY
	zerocopyCopied = 1 // SO_EE_CODE_ZEROCOPY_COPIED
)

// ZerocopyDone puts the end of a send with flags on the error queue,
// if the program asked for it (Linux: __msg_zerocopy_callback). Sends are
// numbered from 0; one entry may tell of several in a row. No lock may be held.
func (sk *Sock) ZerocopyDone(c *skb.Cache, flags int) {
	if flags&MSG_ZEROCOPY == 0 || !sk.Flag(FlagZerocopy) {
		return
	}
	id := sk.NextZerocopy()
	sk.ZerocopyRange(c, id, id)
}

// NextZerocopy numbers a send with MSG_ZEROCOPY.
func (sk *Sock) NextZerocopy() uint32 { return sk.zckey.Add(1) - 1 }

// ZerocopyRange puts the end of the sends from lo to hi on the error queue. No
// lock may be held.
func (sk *Sock) ZerocopyRange(c *skb.Cache, lo, hi uint32) {
	q := &sk.rx
	q.mu.Lock()
	if last := q.errs.Tail(); last != nil {
		if e := unpackErr(last); e.Origin == originZerocopy && e.Data+1 == lo {
			e.Data = hi
			e.pack(last)
			q.mu.Unlock()
			sk.errorReport()
			return
		}
	}
	q.mu.Unlock()
	if b := c.Alloc(0); b != nil {
		if sk.queueErr(b, &ExtErr{Origin: originZerocopy, Code: zerocopyCopied, Info: lo, Data: hi}) {
			sk.errorReport()
		}
	}
}
