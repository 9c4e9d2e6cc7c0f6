package sock

import (
	"syscall"

	"barewire/skb"
)

// Writable reports whether less than half of the send buffer is in use (Linux:
// sock_writeable). When it is not, the next wake-up of writers is armed.
func (sk *Sock) Writable() bool {
	if sk.writable() {
		return true
	}
	sk.noSpace.Store(true)
	// The packets may all have been freed between look and mark.
	return sk.writable()
}

func (sk *Sock) writable() bool { return sk.wmem.Load()*2 < int64(sk.sndbuf.Load()) }

// WaitSendSpace waits until a packet may be allocated for sending (Linux: the
// loop of sock_alloc_send_pskb). Errors: the pending error, EPIPE after
// SHUT_WR, EAGAIN with MSG_DONTWAIT or at SO_SNDTIMEO.
func (sk *Sock) WaitSendSpace(flags int) error {
	if ok, err := sk.sendSpace(); ok || err != nil {
		return err
	}
	if flags&syscall.MSG_DONTWAIT != 0 {
		return syscall.EAGAIN
	}
	return sk.waitUntil(&sk.wrWait, sk.sndtimeo.Load(), sk.sendSpace)
}

func (sk *Sock) sendSpace() (bool, error) {
	if err := sk.TakeError(); err != nil {
		return false, err
	}
	if sk.IsShutdown(SendShutdown) {
		return false, syscall.EPIPE
	}
	if sk.wmem.Load() < int64(sk.sndbuf.Load()) {
		return true, nil
	}
	sk.noSpace.Store(true)
	return sk.wmem.Load() < int64(sk.sndbuf.Load()), nil
}

// SetOwnerW charges a packet to the send buffer until it is freed (Linux:
// skb_set_owner_w). self is the value to put into b.Sk: sk or the structure
// that embeds it.
func (sk *Sock) SetOwnerW(b *skb.Buff) {
	b.Orphan()
	b.Sk = sk
	b.Destructor = wfree
	sk.wmem.Add(int64(b.Truesize()))
}

// FreeW is what the destructor of a packet charged by SetOwnerW does, for a
// protocol with one of its own; it wakes nobody.
func (sk *Sock) FreeW(b *skb.Buff) { sk.wmem.Add(-int64(b.Truesize())) }

// wfree is the destructor of packets charged by SetOwnerW (Linux: sock_wfree).
func wfree(b *skb.Buff) {
	sk := b.Sk.(*Sock)
	left := sk.wmem.Add(-int64(b.Truesize()))
	if left*2 <= int64(sk.sndbuf.Load()) {
		sk.WriteSpace()
	}
}
