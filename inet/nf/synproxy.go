package nf

import (
	"fmt"

	"barewire/netfilter/reject"
	"barewire/netfilter/synproxy"
	"barewire/skb"
	"barewire/skb/header"
)

// Cookies are the SYN cookies of TCP, from the view of who answers: to is the
// address and port a SYN was for.
type Cookies interface {
	SYNCookie(from, to header.Addr, fromPort, toPort uint16, seq uint32, mss *uint16) uint32
	CheckSYNCookie(from, to header.Addr, fromPort, toPort uint16, cookie, seq uint32) (mss uint16)
}

// newSynProxy makes the proxy of the target SYNPROXY.
func (f *NF) newSynProxy() {
	f.SynProxy = synproxy.New(synproxy.Config{
		Table: f.Conntrack,
		Hooks: &f.IP.Hooks,
		Now:   f.IP.Dev.Clock().Now,
		Cookie: func(w synproxy.Flow, seq uint32, mss *uint16) uint32 {
			return f.cookies.SYNCookie(w.Src, w.Dst, w.SrcPort, w.DstPort, seq, mss)
		},
		CheckCookie: func(w synproxy.Flow, cookie, seq uint32) uint16 {
			return f.cookies.CheckSYNCookie(w.Src, w.Dst, w.SrcPort, w.DstPort, cookie, seq)
		},
		Send: f.sendTCP,
		SumOK: func(b *skb.Buff) bool {
			h, ok := header.ParseIPv4(b.Data())
			return ok && reject.SumOK(b, h)
		},
	})
	f.IP.Dev.Proc().Register("stat/synproxy", f.showSynProxy)
}

// showSynProxy is /proc/net/stat/synproxy.
func (f *NF) showSynProxy(b []byte) []byte {
	s := &f.SynProxy.Stats
	b = append(b, "entries\t\tsyn_received\tcookie_invalid\tcookie_valid\tcookie_retrans\tconn_reopened\n"...)
	return fmt.Appendf(b, "%08x\t%08x\t%08x\t%08x\t%08x\t%08x\n", 0, uint32(s.SYNReceived.Load()), uint32(s.CookieInvalid.Load()),
		uint32(s.CookieValid.Load()), uint32(s.CookieRetrans.Load()), uint32(s.ConnReopened.Load()))
}
