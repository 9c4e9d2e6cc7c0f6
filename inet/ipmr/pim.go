package ipmr

import (
	"encoding/binary"
	"fmt"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// PIM's register message (RFC 7761 section 4.9.3; Linux: struct pimreghdr).
const (
	pimRegister = 2<<4 | 1 // version 2, type register
	pimLen      = 8
	pimNull     = 0x40000000

	arphrdPIMReg = 779
	registerMTU  = 1500 - header.IPv4MinLen - pimLen
)

// register is the operations of a register device: what is sent by it goes to
// the daemon, who wraps it up for the rendezvous point (Linux: reg_vif_xmit).
type register struct {
	r *Router
	t *table
}

func (register) Open(*napi.NetDevice) error { return nil }
func (register) Stop(*napi.NetDevice) error { return nil }

func (g register) StartXmit(dev *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	for _, b := range batch {
		dev.Stats.TxPackets.Add(1)
		dev.Stats.TxBytes.Add(uint64(b.Len()))
		if _, ok := header.ParseIPv4(b.Data()); ok {
			g.r.report(g.t, b, 0, msgWholePkt)
		}
		b.Consume()
	}
	return len(batch)
}

// newRegister makes the register device of a table and opens it (Linux:
// ipmr_reg_vif). No lock is held.
func (r *Router) newRegister(t *table) (*napi.NetDevice, error) {
	name := "pimreg"
	if t.id != DefaultTable {
		name = fmt.Sprint(name, t.id)
	}
	dev := napi.AllocNetdev(name, register{r, t}, 1)
	dev.Type, dev.MinMTU, dev.MaxMTU = arphrdPIMReg, 68, 65535
	if err := dev.SetMTU(registerMTU); err != nil {
		return nil, err
	}
	dev.SetFlags(napi.IFF_NOARP, 0)
	if err := r.net.RegisterNetdev(dev); err != nil {
		return nil, err
	}
	if err := dev.Open(); err != nil {
		r.net.UnregisterNetdev(dev)
		return nil, err
	}
	return dev, nil
}

// rcvPIM takes a register message and has what is in it arrive by the register
// vif (Linux: pim_rcv). Consumes b, whose Data is the PIM header.
func (r *Router) rcvPIM(b *skb.Buff) {
	if !b.MayPull(pimLen + header.IPv4MinLen) {
		b.Free(skb.HdrTrunc)
		return
	}
	p := b.Data()
	// The sum is over the PIM header alone, or, by old senders, over all.
	if p[0] != pimRegister || binary.BigEndian.Uint32(p[4:])&pimNull != 0 ||
		skb.CsumFold(skb.CsumPartial(p[:pimLen], 0)) != 0 && skb.CsumFold(b.Checksum(0, b.Len(), 0)) != 0 {
		b.Free(skb.NotSpecified)
		return
	}
	in := header.IPv4(p[pimLen:])
	if !in.Dst().IsMulticast() || in.TotalLen() == 0 || in.TotalLen()+pimLen > b.Len() {
		b.Free(skb.NotSpecified)
		return
	}
	r.mu.RLock()
	t := r.def
	var dev *napi.NetDevice
	if t.regVif >= 0 {
		dev = t.vifs[t.regVif].dev
	}
	r.mu.RUnlock()
	if dev == nil {
		b.Free(skb.DevReady)
		return
	}
	b.Pull(pimLen)
	b.ResetMacHeader()
	b.ResetNetworkHeader()
	b.Dst, b.Dev, b.Iif = nil, dev, 0
	b.Protocol, b.IPSummed, b.PktType = header.EthPIP, skb.ChecksumNone, skb.PacketHost
	dev.Stats.RxPackets.Add(1)
	dev.Stats.RxBytes.Add(uint64(b.Len()))
	r.net.NetifRx(b)
}
