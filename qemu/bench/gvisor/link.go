package main

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"barewire/napi"
	"barewire/skb"
)

// link is a card of barewire's as gVisor wants one: frames, checksums left to
// the card, and large segments where the card cuts them.
type link struct {
	sys *napi.Net
	dev *napi.NetDevice
	up  stack.NetworkDispatcher
}

// gsoMax is the largest segment, as Linux has it.
const gsoMax = 65535

func (l *link) MTU() uint32                             { return uint32(l.dev.MTU()) }
func (l *link) SetMTU(uint32)                           {}
func (l *link) MaxHeaderLength() uint16                 { return 0 }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) Attach(d stack.NetworkDispatcher)        { l.up = d }
func (l *link) IsAttached() bool                        { return l.up != nil }
func (l *link) Wait()                                   {}
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }
func (l *link) AddHeader(*stack.PacketBuffer)           {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (l *link) Close()                                  {}
func (l *link) SetOnCloseAction(func())                 {}

func (l *link) LinkAddress() tcpip.LinkAddress {
	mac := l.dev.HardwareAddr()
	return tcpip.LinkAddress(mac[:])
}

// Capabilities implements stack.LinkEndpoint. A stack that may leave checksums
// out says which only for large segments.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

func (l *link) GSOMaxSize() uint32 { return gsoMax }

func (l *link) SupportedGSO() stack.SupportedGSO {
	if l.dev.Features()&napi.FeatureTSO != 0 {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// listen has what arrives go up.
func (l *link) listen() {
	up := func(b *skb.Buff, _ *napi.NetDevice) {
		b.Push(14)
		frame := buffer.MakeWithData(nil)
		b.Walk(0, b.Len(), func(p []byte) bool {
			frame.Append(buffer.NewViewWithData(p))
			return true
		})
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: frame})
		pkt.RXChecksumValidated = b.IPSummed != skb.ChecksumNone
		b.Consume()
		l.up.DeliverNetworkPacket(0, pkt)
		pkt.DecRef()
	}
	l.sys.AddPack(napi.ETH_P_IP, l.dev, up)
	l.sys.AddPack(napi.ETH_P_ARP, l.dev, up)
}

// WritePackets implements stack.LinkWriter.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	n := 0
	for _, pkt := range pkts.AsSlice() {
		b := l.sys.SKB().Alloc(pkt.Size())
		if b == nil {
			return n, &tcpip.ErrNoBufferSpace{}
		}
		for _, part := range pkt.AsSlices() {
			copy(b.Put(len(part)), part)
		}
		b.ResetMacHeader()
		b.SetNetworkHeader(14)
		b.Dev, b.Protocol = l.dev, uint16(pkt.NetworkProtocolNumber)
		if !l.offload(b, pkt.GSOOptions) {
			b.Free(skb.InvalidProto)
			continue
		}
		l.sys.DevQueueXmit(b)
		n++
	}
	return n, nil
}

// offload notes what the card has to do.
func (l *link) offload(b *skb.Buff, o stack.GSO) bool {
	if !o.NeedsCsum {
		return true
	}
	h := skb.VnetHdr{Flags: skb.VnetNeedsCsum, CsumStart: 14 + o.L3HdrLen, CsumOffset: o.CsumOffset}
	if o.Type == stack.GSOTCPv4 {
		h.GSOType, h.GSOSize = skb.VnetGSOTCPv4, o.MSS
	}
	return h.ToSkb(b, false, skb.VnetCsum|skb.VnetTSO4)
}
