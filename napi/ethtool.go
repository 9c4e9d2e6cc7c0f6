package napi

import "sync"

// What a driver may tell and be told by ethtool(8) (Linux: struct ethtool_ops).
// Ops implement what they can; the rest is EOPNOTSUPP.

// DriverStats is implemented by Ops that count more than DevStats (ethtool -S).
type DriverStats interface {
	// DriverStats calls add for each counter: the same names in the same order
	// each time, of at most 31 bytes.
	DriverStats(dev *NetDevice, add func(name string, value uint64))
}

// Coalesce says when a device interrupts, after how many packets or how long
// after the first of them, whichever is sooner (ethtool -c).
type Coalesce struct {
	RxUsecs, RxFrames uint32
	TxUsecs, TxFrames uint32
}

// Coalescer is implemented by Ops whose interrupts can be moderated.
type Coalescer interface {
	Coalesce(dev *NetDevice) Coalesce
	// SetCoalesce is called with rtnl held. EINVAL for what the device cannot
	// do.
	SetCoalesce(dev *NetDevice, c Coalesce) error
}

// RingParam are the sizes of a device's rings in descriptors, and the most there
// can be (ethtool -g).
type RingParam struct{ RxMax, TxMax, Rx, Tx uint32 }

// RingTeller is implemented by Ops of a device with rings.
type RingTeller interface {
	RingParam(dev *NetDevice) RingParam
}

// ChannelSetter is implemented by Ops of a device whose pairs of queues can be
// chosen (ethtool -l, -L).
type ChannelSetter interface {
	// Channels returns how many pairs of queues there can be and are in use.
	Channels(dev *NetDevice) (most, now int)
	// SetChannels is called with rtnl held and 1 to most pairs.
	SetChannels(dev *NetDevice, pairs int) error
}

// Locked calls f while nothing else configures devices of the namespace (Linux:
// rtnl_lock).
func (d *NetDevice) Locked(f func() error) error {
	n := d.net.Load()
	if n == nil {
		return f()
	}
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	return f()
}

// featureMasks are a device's features: what the driver said, less what an
// administrator switched off.
type featureMasks struct {
	mu      sync.Mutex
	has     Features
	without Features
}

// fix returns what is left of f when what a feature needs is off (Linux:
// netdev_fix_features).
func (f Features) fix() Features {
	if f&(FeatureSG|FeatureHWCsum) != FeatureSG|FeatureHWCsum {
		f &^= FeatureTSO | FeatureTSOECN
	}
	if f&FeatureTSO == 0 {
		f &^= FeatureTSOECN
	}
	return f
}

// FeaturesChangeable are those that SwitchFeatures may switch: what is done for
// packets that are sent. The stack does itself what the device is not to.
const FeaturesChangeable = FeatureSG | FeatureHWCsum | FeatureTSO | FeatureTSOECN

// HWFeatures returns what the driver said the device does.
func (d *NetDevice) HWFeatures() Features {
	d.masks.mu.Lock()
	defer d.masks.mu.Unlock()
	return d.masks.has
}

// SetFeatures says what the device does in hardware. Packets queued before may
// still rely on what is taken away.
func (d *NetDevice) SetFeatures(f Features) {
	d.changeFeatures(func(m *featureMasks) { m.has = f })
}

// SwitchFeatures switches features of the device on or off for who uses it
// (ethtool -K). What it does not have, and what is not changeable, stays.
func (d *NetDevice) SwitchFeatures(on, off Features) {
	d.changeFeatures(func(m *featureMasks) {
		m.without = m.without&^on | off&FeaturesChangeable
	})
}

func (d *NetDevice) changeFeatures(change func(*featureMasks)) {
	m := &d.masks
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
	d.features.Store(uint32((m.has &^ m.without).fix()))
}
