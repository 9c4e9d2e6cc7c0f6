package sock

import (
	"syscall"

	"barewire/inet/bpf"
	"barewire/skb"
)

// Filter decides about packets for a sock (Linux: struct sk_filter).
// [bpf.Program] is one.
type Filter interface {
	// Run returns how many bytes of b to keep, from Data on; 0 drops it. It
	// does not change b. Softirq context.
	Run(b *skb.Buff) uint32
}

// filterBox makes an interface value atomic.
type filterBox struct{ Filter }

// Filter returns the attached filter, nil if there is none.
func (sk *Sock) Filter() Filter {
	if f := sk.filter.Load(); f != nil {
		return f.Filter
	}
	return nil
}

// RunFilter applies the sock's filter to a packet whose Data is where the
// protocol's filters count from, and cuts it to what the filter keeps, but not
// below least bytes (Linux: sk_filter_trim_cap). False means that the packet is
// to be dropped, with reason skb.SocketFilter; b stays the caller's.
func (sk *Sock) RunFilter(b *skb.Buff, least int) bool {
	f := sk.filter.Load()
	if f == nil {
		return true
	}
	n := f.Run(b)
	if n == 0 {
		return false
	}
	if int64(n) >= int64(b.Len()) {
		return true
	}
	return b.TrimRcsum(max(int(n), least))
}

// attachFilter is sk_attach_filter: insns is an array of struct sock_filter.
func (sk *Sock) attachFilter(insns []byte) error {
	if sk.Flag(FlagFilterLocked) {
		return syscall.EPERM
	}
	p, err := sk.parseFilter(insns)
	if err != nil {
		return err
	}
	sk.filter.Store(&filterBox{p})
	return nil
}

// parseFilter checks a program. ENOMEM when it is larger than optmem_max.
func (sk *Sock) parseFilter(insns []byte) (*bpf.Program, error) {
	l, err := bpf.Parse(insns)
	if err != nil {
		return nil, err
	}
	if sk.limits != nil && len(insns) > int(sk.limits.OptmemMax.Load()) {
		return nil, syscall.ENOMEM
	}
	return bpf.New(l)
}

// SetFilter attaches a filter made by other means than a socket option; nil
// takes the filter off.
func (sk *Sock) SetFilter(f Filter) {
	if f == nil {
		sk.filter.Store(nil)
		return
	}
	sk.filter.Store(&filterBox{f})
}

// detachFilter is sk_detach_filter: ENOENT when there is none, EPERM when it is
// locked.
func (sk *Sock) detachFilter() error {
	if sk.Flag(FlagFilterLocked) {
		return syscall.EPERM
	}
	if sk.filter.Swap(nil) == nil {
		return syscall.ENOENT
	}
	return nil
}

// getFilter is sk_get_filter: the program that was attached. As in Linux the
// length is in instructions, and a nil buffer only asks for it.
func (sk *Sock) getFilter(buf []byte) (int, error) {
	p, _ := sk.Filter().(*bpf.Program)
	if p == nil {
		return 0, nil
	}
	n := len(p.Insns())
	if len(buf) == 0 {
		return n, nil
	}
	if len(buf) < n { // the length the program gives counts instructions
		return 0, syscall.EINVAL
	}
	copy(buf, bpf.Append(nil, p.Insns()))
	return n, nil
}
