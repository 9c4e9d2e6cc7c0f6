package nf

import (
	"barewire/inet/bpf"
	"barewire/inet/fib"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

// reversePath looks up the route back to a packet's sender (Linux:
// rpfilter_lookup_reverse).
func (f *NF) reversePath(b *skb.Buff, s netfilter.State, loose, mark, acceptLocal bool) bool {
	h, ok := header.ParseIPv4(b.Data())
	if !ok {
		return false
	}
	fl := fib.Flow{Dst: h.Src(), Src: h.Dst(), TOS: h.TOS(), IgnoreLinkDown: true}
	if d := fl.Src; d.IsMulticast() || d.IsLBcast() || d.IsZeronet() {
		fl.Src = 0
	}
	if mark {
		fl.Mark = b.Mark
	}
	var res fib.Result
	if f.IP.FIB.Lookup(&fl, &res) != 0 || res.Type != fib.Unicast && !(res.Type == fib.Local && acceptLocal) {
		return false
	}
	if loose {
		return true
	}
	dev, _ := s.In.(*napi.NetDevice)
	for i := range res.NHs {
		if dev != nil && res.NHs[i].Dev == dev {
			return true
		}
	}
	return false
}

// newBPF checks a program and makes it run.
func newBPF(program []xtables.BPFInsn) (func(b *skb.Buff) uint32, error) {
	insns := make([]bpf.Insn, len(program))
	for i, in := range program {
		insns[i] = bpf.Insn{Code: in.Code, JT: in.JT, JF: in.JF, K: in.K}
	}
	p, err := bpf.New(insns)
	if err != nil {
		return nil, err
	}
	return p.Run, nil
}
