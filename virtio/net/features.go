package net

import (
	"errors"
	"fmt"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
)

// Feature bits of the network device (virtio 1.2, 5.1.3), as masks.
const (
	FeatCSUM          uint64 = 1 << 0
	FeatGuestCSUM     uint64 = 1 << 1
	FeatMTU           uint64 = 1 << 3
	FeatMAC           uint64 = 1 << 5
	FeatGuestTSO4     uint64 = 1 << 7
	FeatGuestECN      uint64 = 1 << 9
	FeatHostTSO4      uint64 = 1 << 11
	FeatHostECN       uint64 = 1 << 13
	FeatMrgRxbuf      uint64 = 1 << 15
	FeatStatus        uint64 = 1 << 16
	FeatCtrlVQ        uint64 = 1 << 17
	FeatCtrlRX        uint64 = 1 << 18
	FeatGuestAnnounce uint64 = 1 << 21
	FeatMQ            uint64 = 1 << 22
	FeatCtrlMACAddr   uint64 = 1 << 23
	FeatNotfCoal      uint64 = 1 << 53
)

// known is everything this driver can use.
const known = FeatCSUM | FeatGuestCSUM | FeatMTU | FeatMAC | FeatGuestTSO4 | FeatGuestECN |
	FeatHostTSO4 | FeatHostECN | FeatMrgRxbuf | FeatStatus | FeatCtrlVQ | FeatCtrlRX |
	FeatGuestAnnounce | FeatMQ | FeatCtrlMACAddr | FeatNotfCoal |
	virtio.FeatIndirectDesc | virtio.FeatEventIdx

// depends lists what a feature is worth nothing without (virtio 1.2, 5.1.3.1),
// in an order in which one pass settles it.
var depends = [...]struct{ feat, on uint64 }{ // read-only
	{FeatHostTSO4, FeatCSUM},
	{FeatHostECN, FeatHostTSO4},
	{FeatGuestTSO4, FeatGuestCSUM},
	// Ours, not the specification's: without merged buffers every receive
	// buffer would have to hold 64 KiB.
	{FeatGuestTSO4, FeatMrgRxbuf},
	{FeatGuestECN, FeatGuestTSO4},
	{FeatCtrlRX, FeatCtrlVQ},
	{FeatGuestAnnounce, FeatCtrlVQ},
	{FeatGuestAnnounce, FeatStatus},
	{FeatMQ, FeatCtrlVQ},
	{FeatCtrlMACAddr, FeatCtrlVQ},
	{FeatNotfCoal, FeatCtrlVQ},
}

// chooseFeatures returns what the driver accepts of what is offered.
func chooseFeatures(offered, disable uint64) uint64 {
	f := offered & known &^ disable
	for _, d := range depends {
		if f&d.on == 0 {
			f &^= d.feat
		}
	}
	return f
}

// errFeaturesChanged: a device must offer the same after a reset, since the
// stack was told what it can do.
var errFeaturesChanged = errors.New("device offers other features than before its reset")

// choose is the callback of virtio.Negotiate.
func (d *Device) choose(offered uint64) (uint64, error) {
	f := chooseFeatures(offered, d.opts.Disable)
	if f&FeatMQ != 0 {
		if err := d.readPairs(); err != nil {
			return 0, err
		}
		if d.wantPairs() == 1 {
			f &^= FeatMQ
			d.most = 1
		}
	}
	if d.probed && f != d.wanted {
		return 0, fmt.Errorf("%w: %#x, was %#x", errFeaturesChanged, f, d.wanted)
	}
	d.wanted = f
	return f, nil
}

// has reports whether a feature was negotiated.
// offloads is what the headers of received frames may ask for (5.1.3).
func offloads(feats uint64) (o skb.VnetOffloads) {
	for _, f := range []struct {
		feat uint64
		o    skb.VnetOffloads
	}{{FeatGuestCSUM, skb.VnetCsum}, {FeatGuestTSO4, skb.VnetTSO4}, {FeatGuestECN, skb.VnetECN}} {
		if feats&f.feat != 0 {
			o |= f.o
		}
	}
	return o
}

func (d *Device) has(f uint64) bool { return d.feats&f != 0 }

// netFeatures translates to what the stack knows.
func netFeatures(f uint64) napi.Features {
	r := napi.FeatureSG
	for _, t := range [...]struct {
		feat uint64
		napi napi.Features
	}{
		{FeatCSUM, napi.FeatureHWCsum},
		{FeatGuestCSUM, napi.FeatureRxCsum},
		{FeatHostTSO4, napi.FeatureTSO},
		{FeatHostECN, napi.FeatureTSOECN},
		{FeatGuestTSO4, napi.FeatureLRO},
	} {
		if f&t.feat != 0 {
			r |= t.napi
		}
	}
	return r
}
