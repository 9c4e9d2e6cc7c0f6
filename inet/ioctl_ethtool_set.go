package inet

import (
	"encoding/binary"
	"math/bits"
	"syscall"

	"barewire/napi"
)

// Sets of strings of SIOCETHTOOL, and the structures that go with them.
const (
	setStats    = 1 // ETH_SS_STATS
	setFeatures = 4 // ETH_SS_FEATURES

	stringLen     = 32 // ETH_GSTRING_LEN
	coalesceLen   = 92
	ringParamLen  = 36
	channelsLen   = 36
	featureBlocks = 1 // of 32 bits
)

// The features by the names that Linux gives them, in the order of the bits of
// ETHTOOL_GFEATURES. A program finds them by name.
var ethtoolFeatures = [...]struct { // read-only
	name  string
	is    napi.Features
	never bool // cannot be switched on any device
}{
	{"tx-scatter-gather", napi.FeatureSG, false},
	{"tx-checksum-ip-generic", napi.FeatureHWCsum, false},
	{"tx-tcp-segmentation", napi.FeatureTSO, false},
	{"tx-tcp-ecn-segmentation", napi.FeatureTSOECN, false},
	{"tx-scatter-gather-fraglist", napi.FeatureFragList, true},
	{"rx-checksum", napi.FeatureRxCsum, true},
	{"rx-gro-hw", napi.FeatureLRO, true},
	{nameGSO, 0, true},
	{nameGRO, 0, false},
}

// Those that are the stack's, not the device's.
const (
	nameGSO = "tx-generic-segmentation"
	nameGRO = "rx-gro"
)

// ethtoolCount returns how many strings a set has, -1 if there is none
// (__ethtool_get_sset_count).
func ethtoolCount(dev *napi.NetDevice, set int) int {
	switch set {
	case setFeatures:
		return len(ethtoolFeatures)
	case setStats:
		if d, ok := dev.Ops.(napi.DriverStats); ok {
			n := 0
			d.DriverStats(dev, func(string, uint64) { n++ })
			return n
		}
	}
	return -1
}

// ethtoolSsetInfo tells how many strings the sets have that the mask asks for.
func ethtoolSsetInfo(dev *napi.NetDevice, b []byte) error {
	if err := need(b, 16); err != nil {
		return err
	}
	mask := binary.NativeEndian.Uint64(b[8:])
	if mask == 0 {
		return nil
	}
	if err := need(b, 16+4*bits.OnesCount64(mask)); err != nil {
		return err
	}
	have, at := uint64(0), 16
	for m := mask; m != 0; m &= m - 1 {
		set := bits.TrailingZeros64(m)
		if n := ethtoolCount(dev, set); n >= 0 {
			have |= 1 << set
			binary.NativeEndian.PutUint32(b[at:], uint32(n))
			at += 4
		}
	}
	binary.NativeEndian.PutUint64(b[8:], have)
	return nil
}

// ethtoolStrings lists the strings of a set.
func ethtoolStrings(dev *napi.NetDevice, b []byte) error {
	if err := need(b, 12); err != nil {
		return err
	}
	set := int(binary.NativeEndian.Uint32(b[4:]))
	n := ethtoolCount(dev, set)
	if n < 0 {
		return syscall.EOPNOTSUPP
	}
	if err := need(b, 12+n*stringLen); err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(b[8:], uint32(n))
	b = b[12 : 12+n*stringLen]
	clear(b)
	put := func(name string) {
		if len(b) > 0 {
			copy(b[:stringLen-1], name)
			b = b[stringLen:]
		}
	}
	if set == setFeatures {
		for _, f := range ethtoolFeatures {
			put(f.name)
		}
		return nil
	}
	dev.Ops.(napi.DriverStats).DriverStats(dev, func(name string, _ uint64) { put(name) })
	return nil
}

// ethtoolStats tells the values of the counters.
func ethtoolStats(dev *napi.NetDevice, b []byte) error {
	n := ethtoolCount(dev, setStats)
	if n < 0 {
		return syscall.EOPNOTSUPP
	}
	if err := need(b, 8+8*n); err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(b[4:], uint32(n))
	b = b[8 : 8+8*n]
	dev.Ops.(napi.DriverStats).DriverStats(dev, func(_ string, v uint64) {
		if len(b) > 0 {
			binary.NativeEndian.PutUint64(b, v)
			b = b[8:]
		}
	})
	return nil
}

// ethtoolCoalesce reads or changes when the device interrupts. Fields other than
// the four of napi.Coalesce are not supported by any device: EOPNOTSUPP unless 0.
func ethtoolCoalesce(dev *napi.NetDevice, set bool, b []byte) error {
	d, ok := dev.Ops.(napi.Coalescer)
	if !ok {
		return syscall.EOPNOTSUPP
	}
	if err := need(b, coalesceLen); err != nil {
		return err
	}
	field := func(i int) []byte { return b[4+4*i:] }
	const rxUsecs, rxFrames, txUsecs, txFrames, fields = 0, 1, 4, 5, 22
	if set {
		for i := range fields {
			switch i {
			case rxUsecs, rxFrames, txUsecs, txFrames:
				continue
			}
			if binary.NativeEndian.Uint32(field(i)) != 0 {
				return syscall.EOPNOTSUPP
			}
		}
		c := napi.Coalesce{
			RxUsecs: binary.NativeEndian.Uint32(field(rxUsecs)), RxFrames: binary.NativeEndian.Uint32(field(rxFrames)),
			TxUsecs: binary.NativeEndian.Uint32(field(txUsecs)), TxFrames: binary.NativeEndian.Uint32(field(txFrames)),
		}
		return errnoOf(dev.Locked(func() error { return d.SetCoalesce(dev, c) }))
	}
	clear(b[4:coalesceLen])
	c := d.Coalesce(dev)
	binary.NativeEndian.PutUint32(field(rxUsecs), c.RxUsecs)
	binary.NativeEndian.PutUint32(field(rxFrames), c.RxFrames)
	binary.NativeEndian.PutUint32(field(txUsecs), c.TxUsecs)
	binary.NativeEndian.PutUint32(field(txFrames), c.TxFrames)
	return nil
}

// ethtoolRings tells how long the rings are.
func ethtoolRings(dev *napi.NetDevice, b []byte) error {
	d, ok := dev.Ops.(napi.RingTeller)
	if !ok {
		return syscall.EOPNOTSUPP
	}
	if err := need(b, ringParamLen); err != nil {
		return err
	}
	clear(b[4:ringParamLen])
	r := d.RingParam(dev)
	binary.NativeEndian.PutUint32(b[4:], r.RxMax)
	binary.NativeEndian.PutUint32(b[16:], r.TxMax)
	binary.NativeEndian.PutUint32(b[20:], r.Rx)
	binary.NativeEndian.PutUint32(b[32:], r.Tx)
	return nil
}

// ethtoolChannels reads or changes how many pairs of queues are in use, which
// are all combined. EINVAL for none, more than there are, and other kinds.
func ethtoolChannels(dev *napi.NetDevice, set bool, b []byte) error {
	d, ok := dev.Ops.(napi.ChannelSetter)
	if !ok {
		return syscall.EOPNOTSUPP
	}
	if err := need(b, channelsLen); err != nil {
		return err
	}
	most, now := d.Channels(dev)
	if set {
		rx, tx, other := binary.NativeEndian.Uint32(b[20:]), binary.NativeEndian.Uint32(b[24:]), binary.NativeEndian.Uint32(b[28:])
		pairs := binary.NativeEndian.Uint32(b[32:])
		if rx != 0 || tx != 0 || other != 0 || pairs == 0 || pairs > uint32(most) {
			return syscall.EINVAL
		}
		if int(pairs) == now {
			return nil
		}
		return errnoOf(dev.Locked(func() error { return d.SetChannels(dev, int(pairs)) }))
	}
	clear(b[4:channelsLen])
	binary.NativeEndian.PutUint32(b[16:], uint32(most))
	binary.NativeEndian.PutUint32(b[32:], uint32(now))
	return nil
}

// ethtoolGetFeatures tells which features can be switched and which are on.
func ethtoolGetFeatures(dev *napi.NetDevice, b []byte) error {
	if err := need(b, 8); err != nil {
		return err
	}
	blocks := min(binary.NativeEndian.Uint32(b[4:]), featureBlocks)
	if err := need(b, 8+16*int(blocks)); err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(b[4:], featureBlocks)
	if blocks == 0 {
		return nil
	}
	has, on := dev.HWFeatures(), dev.Features()
	var available, requested, active, never uint32
	for i, f := range ethtoolFeatures {
		bit := uint32(1) << i
		switch {
		case f.name == nameGRO:
			available |= bit
			if dev.GRO() {
				active |= bit
			}
		case f.name == nameGSO, on&f.is != 0:
			active |= bit
		}
		if has&f.is != 0 && !f.never {
			available |= bit
		}
		if f.never {
			never |= bit
		}
	}
	requested = active
	for i, v := range [...]uint32{available, requested, active, never} {
		binary.NativeEndian.PutUint32(b[8+4*i:], v)
	}
	return nil
}

// ethtoolSetFeatures switches features. What cannot be switched stays, which the
// program sees when it asks.
func ethtoolSetFeatures(dev *napi.NetDevice, b []byte) error {
	if err := need(b, 8); err != nil {
		return err
	}
	if binary.NativeEndian.Uint32(b[4:]) != featureBlocks {
		return syscall.EINVAL
	}
	if err := need(b, 8+8*featureBlocks); err != nil {
		return err
	}
	valid, want := binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
	if valid>>len(ethtoolFeatures) != 0 {
		return syscall.EINVAL
	}
	var on, off napi.Features
	for i, f := range ethtoolFeatures {
		bit := uint32(1) << i
		switch {
		case valid&bit == 0:
		case f.name == nameGRO:
			dev.SetGRO(want&bit != 0)
		case want&bit != 0:
			on |= f.is
		default:
			off |= f.is
		}
	}
	dev.SwitchFeatures(on, off)
	return nil
}
