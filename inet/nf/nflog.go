package nf

import (
	"sync/atomic"

	"barewire/netfilter"
	"barewire/skb"
)

// NFLogFunc takes the packets of the target NFLOG for a group of listeners. size
// limits what is copied unless it is negative. It borrows b.
type NFLogFunc func(b *skb.Buff, s netfilter.State, group uint16, prefix string, size int)

type nflogPointer struct{ atomic.Pointer[NFLogFunc] }

// SetNFLog says who takes the packets of NFLOG; nil for nobody (Linux:
// nf_log_register of nfnetlink_log).
func (f *NF) SetNFLog(fn NFLogFunc) {
	if fn == nil {
		f.nflog.Store(nil)
		return
	}
	f.nflog.Store(&fn)
}

func (f *NF) toNFLog(b *skb.Buff, s netfilter.State, group uint16, prefix string, size int) {
	if fn := f.nflog.Load(); fn != nil {
		(*fn)(b, s, group, prefix, size)
	}
}
