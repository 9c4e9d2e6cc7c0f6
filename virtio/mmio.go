package virtio

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Register offsets of virtio over MMIO, version 2 (virtio 1.2, 4.2.2).
const (
	mmioMagic          = 0x000
	mmioVersion        = 0x004
	mmioDeviceID       = 0x008
	mmioDevFeatures    = 0x010
	mmioDevFeaturesSel = 0x014
	mmioDrvFeatures    = 0x020
	mmioDrvFeaturesSel = 0x024
	mmioQueueSel       = 0x030
	mmioQueueNumMax    = 0x034
	mmioQueueNum       = 0x038
	mmioQueueReady     = 0x044
	mmioQueueNotify    = 0x050
	mmioIntStatus      = 0x060
	mmioIntACK         = 0x064
	mmioStatus         = 0x070
	mmioQueueDesc      = 0x080
	mmioQueueDriver    = 0x090
	mmioQueueDevice    = 0x0a0
	mmioConfigGen      = 0x0fc
	mmioConfig         = 0x100

	mmioMagicValue = 0x74726976 // "virt"
)

// Bits of the interrupt status, the same for MMIO (4.2.2) and the PCI ISR
// (4.1.4.5).
const (
	isrQueue  = 1
	isrConfig = 2
)

// MMIOConfig describes a virtio-mmio slot to [NewMMIO].
type MMIOConfig struct {
	// Name for messages, for example "virtio-mmio@feb00e00".
	Name string
	// Regs is the slot's register block: at least 0x100 bytes, usually 0x200.
	Regs Regs
	// RequestIRQ connects the slot's interrupt line to handler, which then
	// runs on the platform's interrupt goroutine, with the line masked, for
	// each interrupt. It reports false when the interrupt was not this
	// device's, as on a shared line. Called once, by the driver's first
	// SetHandler.
	RequestIRQ func(handler func() bool) error
	// Barrier, if not nil, is called between a store to shared memory and a
	// load that must come after it. Processors need none: a Go atomic is
	// enough. It is for an emulator that ignores their barriers while its
	// devices run on other threads, as QEMU's TCG does with a single CPU.
	Barrier func()
	// Sleep waits; nil means time.Sleep.
	Sleep func(time.Duration)
}

// MMIO is the virtio-mmio transport (virtio 1.2, 4.2).
type MMIO struct {
	cfg       MMIOConfig
	id        uint32
	dev       Regs
	handler   atomic.Pointer[handlerRef]
	requested bool
}

// handlerRef is what interrupts are dispatched to.
type handlerRef struct{ Handler }

// dispatch passes on what an interrupt status says.
func (r *handlerRef) dispatch(st uint32) {
	if st&isrQueue != 0 {
		r.QueueInterrupt(AnyQueue)
	}
	if st&isrConfig != 0 {
		r.ConfigInterrupt()
	}
}

// NewMMIO looks at a virtio-mmio slot and returns its transport. An empty
// slot is [ErrNoDevice]; a device of version 1 is [ErrLegacy]. Nothing is
// written to the device.
func NewMMIO(cfg MMIOConfig) (*MMIO, error) {
	r := cfg.Regs
	if r.Len() < mmioConfig {
		return nil, fmt.Errorf("%s: %w: register block of %d bytes, need %d", cfg.Name, ErrNoDevice, r.Len(), mmioConfig)
	}
	if m := r.Read32(mmioMagic); m != mmioMagicValue {
		return nil, fmt.Errorf("%s: %w: magic value %#x", cfg.Name, ErrNoDevice, m)
	}
	// 4.2.2.2: the driver ignores a device whose version is not 2, and one
	// whose device id is 0. Version first would call every empty legacy slot
	// an error, so the id decides.
	id, version := r.Read32(mmioDeviceID), r.Read32(mmioVersion)
	if id == 0 {
		return nil, fmt.Errorf("%s: %w: device id 0", cfg.Name, ErrNoDevice)
	}
	if version == 1 {
		return nil, fmt.Errorf("%s: %w: virtio-mmio version 1; %s", cfg.Name, ErrLegacy, legacyHelp)
	}
	if version != 2 {
		return nil, fmt.Errorf("%s: %w: virtio-mmio version %d", cfg.Name, ErrBadDevice, version)
	}
	cfg.Sleep = sleepFunc(cfg.Sleep)
	return &MMIO{cfg: cfg, id: id, dev: Window(r, mmioConfig, r.Len()-mmioConfig)}, nil
}

// Name implements [Transport].
func (m *MMIO) Name() string { return m.cfg.Name }

// DeviceID implements [Transport].
func (m *MMIO) DeviceID() uint32 { return m.id }

// Status implements [Transport].
func (m *MMIO) Status() uint8 { return uint8(m.cfg.Regs.Read32(mmioStatus)) }

// SetStatus implements [Transport].
func (m *MMIO) SetStatus(s uint8) { m.cfg.Regs.Write32(mmioStatus, uint32(s)) }

// Reset implements [Transport].
func (m *MMIO) Reset() error { return reset(m) }

// Sleep implements [Transport].
func (m *MMIO) Sleep(d time.Duration) { m.cfg.Sleep(d) }

// Barrier implements [Transport].
func (m *MMIO) Barrier() func() { return m.cfg.Barrier }

// DeviceFeatures implements [Transport].
func (m *MMIO) DeviceFeatures() uint64 {
	r := m.cfg.Regs
	r.Write32(mmioDevFeaturesSel, 0)
	f := uint64(r.Read32(mmioDevFeatures))
	r.Write32(mmioDevFeaturesSel, 1)
	return f | uint64(r.Read32(mmioDevFeatures))<<32
}

// SetDriverFeatures implements [Transport].
func (m *MMIO) SetDriverFeatures(f uint64) {
	r := m.cfg.Regs
	r.Write32(mmioDrvFeaturesSel, 0)
	r.Write32(mmioDrvFeatures, uint32(f))
	r.Write32(mmioDrvFeaturesSel, 1)
	r.Write32(mmioDrvFeatures, uint32(f>>32))
}

// QueueMax implements [Transport].
func (m *MMIO) QueueMax(i int) int {
	m.cfg.Regs.Write32(mmioQueueSel, uint32(i))
	return int(m.cfg.Regs.Read32(mmioQueueNumMax))
}

// EnableQueue implements [Transport] (4.2.3.2).
func (m *MMIO) EnableQueue(i int, a QueueAddrs) error {
	r := m.cfg.Regs
	r.Write32(mmioQueueSel, uint32(i))
	if v := r.Read32(mmioQueueReady); v != 0 {
		return fmt.Errorf("%s: %w: queue %d in use right after reset (QueueReady %#x)", m.cfg.Name, ErrBadDevice, i, v)
	}
	r.Write32(mmioQueueNum, uint32(a.Size))
	write64(r, mmioQueueDesc, a.Desc)
	write64(r, mmioQueueDriver, a.Driver)
	write64(r, mmioQueueDevice, a.Device)
	r.Write32(mmioQueueReady, 1)
	if v := r.Read32(mmioQueueReady); v != 1 {
		return fmt.Errorf("%s: %w: queue %d of %d descriptors not taken (QueueReady %#x)", m.cfg.Name, ErrBadDevice, i, a.Size, v)
	}
	return nil
}

// Notify implements [Transport] (4.2.3.3).
func (m *MMIO) Notify(i int) { m.cfg.Regs.Write32(mmioQueueNotify, uint32(i)) }

// DeviceConfig implements [Transport].
func (m *MMIO) DeviceConfig() Regs { return m.dev }

// ConfigGeneration implements [Transport].
func (m *MMIO) ConfigGeneration() uint32 { return m.cfg.Regs.Read32(mmioConfigGen) }

// SetHandler implements [Transport].
func (m *MMIO) SetHandler(h Handler, _ []int) error {
	m.handler.Store(&handlerRef{h})
	if m.requested {
		return nil
	}
	if err := m.cfg.RequestIRQ(m.interrupt); err != nil {
		return fmt.Errorf("%s: interrupt: %w", m.cfg.Name, err)
	}
	m.requested = true
	return nil
}

// interrupt is the handler of the slot's line. It acknowledges first and looks
// at the rings after: an event between the two is seen by that look, so the
// acknowledgement cannot lose it (4.2.2.2).
func (m *MMIO) interrupt() bool {
	st := m.cfg.Regs.Read32(mmioIntStatus) & (isrQueue | isrConfig)
	if st == 0 {
		return false
	}
	m.cfg.Regs.Write32(mmioIntACK, st)
	m.handler.Load().dispatch(st)
	return true
}
