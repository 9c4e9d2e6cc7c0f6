package virtio

import (
	"fmt"
	"sync/atomic"
	"time"
)

// PCI configuration space (PCI Local Bus Specification 3.0, 6.1 and 6.7).
const (
	pciVendorID    = 0x00
	pciDeviceID    = 0x02
	pciCommand     = 0x04
	pciStatus      = 0x06
	pciSubsystemID = 0x2e
	pciCapPointer  = 0x34

	pciCommandMemory  = 1 << 1
	pciCommandMaster  = 1 << 2
	pciCommandIntxOff = 1 << 10
	pciStatusCapList  = 1 << 4

	pciVendorVirtio = 0x1af4
)

// Common configuration (virtio 1.2, 4.1.4.3).
const (
	pciDevFeatureSel = 0x00
	pciDevFeature    = 0x04
	pciDrvFeatureSel = 0x08
	pciDrvFeature    = 0x0c
	pciConfigVector  = 0x10
	pciNumQueues     = 0x12
	pciDevStatus     = 0x14
	pciConfigGen     = 0x15
	pciQueueSel      = 0x16
	pciQueueSize     = 0x18
	pciQueueVector   = 0x1a
	pciQueueEnable   = 0x1c
	pciQueueNotify   = 0x1e
	pciQueueDesc     = 0x20
	pciQueueDriver   = 0x28
	pciQueueDevice   = 0x30
	pciCommonLen     = 0x38

	pciNoVector = 0xffff
)

// PCIConfig describes a PCI function to [NewPCI].
type PCIConfig struct {
	// Name for messages, for example "pci 00:02.0".
	Name string
	// ReadConfig and WriteConfig access the function's configuration space:
	// width is 1, 2 or 4 bytes, off is a multiple of it and below 256.
	ReadConfig  func(off, width int) uint32
	WriteConfig func(off, width int, v uint32)
	// MapBAR returns the registers behind memory BAR i (0 to 5), mapped
	// uncached, as long as the BAR is. The same BAR may be asked for again.
	MapBAR func(i int) (Regs, error)
	// Vectors is the number of MSI-X table entries; 0 means that MSI-X is not
	// to be used.
	Vectors int
	// RequestVector has MSI-X table entry i call handler on the interrupt
	// goroutine of a processor, unmasks the entry, and enables MSI-X in the
	// function. An error of the first call makes the transport fall back to
	// RequestIRQ. Each entry is requested once.
	RequestVector func(i, cpu int, handler func()) error
	// RequestIRQ connects the function's INTx line, as in
	// [MMIOConfig.RequestIRQ]; nil when there is none.
	RequestIRQ func(handler func() bool) error
	// Barrier, if not nil, is called between a store to shared memory and a
	// load that must come after it. Processors need none: a Go atomic is
	// enough. It is for an emulator that ignores their barriers while its
	// devices run on other threads, as QEMU's TCG does with a single CPU.
	Barrier func()
	// Sleep waits; nil means time.Sleep.
	Sleep func(time.Duration)
}

// PCI is the virtio-pci transport, modern interface only (virtio 1.2, 4.1).
type PCI struct {
	cfg    PCIConfig
	id     uint32
	common Regs
	isr    Regs
	dev    Regs
	notify Regs
	mult   int // notify_off_multiplier

	notifyOff []int // by queue, within notify
	handler   atomic.Pointer[handlerRef]
	irq       pciIRQMode
	vectors   int // MSI-X vectors requested
}

// pciIRQMode says how interrupts reach the driver.
type pciIRQMode int

const (
	pciIRQNone   pciIRQMode = iota // not requested yet
	pciIRQEach                     // MSI-X: vector 0 configuration, 1+i queue i
	pciIRQPair                     // MSI-X: vector 0 configuration, 1+i queues 2i and 2i+1
	pciIRQShared                   // MSI-X: vector 0 configuration, 1 all queues
	pciIRQLine                     // INTx
)

// NewPCI looks at a PCI function and returns its transport. A function that is
// not virtio is [ErrNoDevice], a device without the modern interface is
// [ErrLegacy]. It turns on memory decoding and bus mastering of the function;
// the device itself is not written to.
func NewPCI(cfg PCIConfig) (*PCI, error) {
	vendor, device := cfg.ReadConfig(pciVendorID, 2), cfg.ReadConfig(pciDeviceID, 2)
	if vendor != pciVendorVirtio || device < 0x1000 || device > 0x107f {
		return nil, fmt.Errorf("%s: %w: %04x:%04x", cfg.Name, ErrNoDevice, vendor, device)
	}
	// 4.1.2: 0x1040 plus the device type, or a transitional device, which
	// tells its type in the subsystem id.
	id := device - 0x1040
	if device < 0x1040 {
		id = cfg.ReadConfig(pciSubsystemID, 2)
	}
	cmd := cfg.ReadConfig(pciCommand, 2) | pciCommandMemory | pciCommandMaster
	cfg.WriteConfig(pciCommand, 2, cmd)
	cfg.Sleep = sleepFunc(cfg.Sleep)
	p := &PCI{cfg: cfg, id: id}
	if err := p.findCaps(); err != nil {
		return nil, err
	}
	return p, nil
}

// Name implements [Transport].
func (p *PCI) Name() string { return p.cfg.Name }

// DeviceID implements [Transport].
func (p *PCI) DeviceID() uint32 { return p.id }

// Status implements [Transport].
func (p *PCI) Status() uint8 { return p.common.Read8(pciDevStatus) }

// SetStatus implements [Transport].
func (p *PCI) SetStatus(s uint8) { p.common.Write8(pciDevStatus, s) }

// Reset implements [Transport].
func (p *PCI) Reset() error { return reset(p) }

// Sleep implements [Transport].
func (p *PCI) Sleep(d time.Duration) { p.cfg.Sleep(d) }

// Barrier implements [Transport].
func (p *PCI) Barrier() func() { return p.cfg.Barrier }

// DeviceFeatures implements [Transport].
func (p *PCI) DeviceFeatures() uint64 {
	p.common.Write32(pciDevFeatureSel, 0)
	f := uint64(p.common.Read32(pciDevFeature))
	p.common.Write32(pciDevFeatureSel, 1)
	return f | uint64(p.common.Read32(pciDevFeature))<<32
}

// SetDriverFeatures implements [Transport].
func (p *PCI) SetDriverFeatures(f uint64) {
	p.common.Write32(pciDrvFeatureSel, 0)
	p.common.Write32(pciDrvFeature, uint32(f))
	p.common.Write32(pciDrvFeatureSel, 1)
	p.common.Write32(pciDrvFeature, uint32(f>>32))
}

// QueueMax implements [Transport].
func (p *PCI) QueueMax(i int) int {
	if i >= int(p.common.Read16(pciNumQueues)) {
		return 0
	}
	p.common.Write16(pciQueueSel, uint16(i))
	return int(p.common.Read16(pciQueueSize))
}

// EnableQueue implements [Transport] (4.1.5.1.3).
func (p *PCI) EnableQueue(i int, a QueueAddrs) error {
	c := p.common
	c.Write16(pciQueueSel, uint16(i))
	if v := c.Read16(pciQueueEnable); v != 0 {
		return fmt.Errorf("%s: %w: queue %d in use right after reset (queue_enable %#x)", p.cfg.Name, ErrBadDevice, i, v)
	}
	off := int(c.Read16(pciQueueNotify)) * p.mult
	if off > p.notify.Len()-2 || off&1 != 0 {
		return fmt.Errorf("%s: %w: notify register of queue %d at %#x, capability has %#x bytes", p.cfg.Name, ErrBadDevice, i, off, p.notify.Len())
	}
	for len(p.notifyOff) <= i {
		p.notifyOff = append(p.notifyOff, 0)
	}
	p.notifyOff[i] = off

	c.Write16(pciQueueSize, uint16(a.Size))
	if v := int(c.Read16(pciQueueSize)); v != a.Size {
		return fmt.Errorf("%s: %w: queue %d of %d descriptors not taken (queue_size %d)", p.cfg.Name, ErrBadDevice, i, a.Size, v)
	}
	if p.irq != pciIRQLine {
		if err := p.setVector(pciQueueVector, p.queueVector(i)); err != nil {
			return err
		}
	}
	write64(c, pciQueueDesc, a.Desc)
	write64(c, pciQueueDriver, a.Driver)
	write64(c, pciQueueDevice, a.Device)
	c.Write16(pciQueueEnable, 1)
	if v := c.Read16(pciQueueEnable); v != 1 {
		return fmt.Errorf("%s: %w: queue %d not enabled (queue_enable %#x)", p.cfg.Name, ErrBadDevice, i, v)
	}
	return nil
}

// queueVector returns the MSI-X entry of queue i.
func (p *PCI) queueVector(i int) uint16 {
	switch {
	case p.irq == pciIRQEach && i+1 < p.vectors:
		return uint16(i + 1)
	case p.irq == pciIRQPair && i/2+1 < p.vectors:
		return uint16(i/2 + 1)
	case p.irq == pciIRQShared:
		return 1
	}
	return pciNoVector
}

// setVector maps an event to an MSI-X entry. The device answers NO_VECTOR when
// it could not (4.1.5.1.2.1).
func (p *PCI) setVector(reg int, v uint16) error {
	p.common.Write16(reg, v)
	if got := p.common.Read16(reg); got != v {
		return fmt.Errorf("%s: %w: MSI-X entry %d refused (reads back %#x)", p.cfg.Name, ErrBadDevice, v, got)
	}
	return nil
}

// Notify implements [Transport] (4.1.5.2).
func (p *PCI) Notify(i int) { p.notify.Write16(p.notifyOff[i], uint16(i)) }

// DeviceConfig implements [Transport].
func (p *PCI) DeviceConfig() Regs { return p.dev }

// ConfigGeneration implements [Transport].
func (p *PCI) ConfigGeneration() uint32 { return uint32(p.common.Read8(pciConfigGen)) }

// SetHandler implements [Transport]. It prefers one MSI-X vector per queue and
// one for the configuration; with fewer entries two queues share one, or all do;
// without MSI-X there is the INTx line.
func (p *PCI) SetHandler(h Handler, cpus []int) error {
	p.handler.Store(&handlerRef{h})
	if p.irq == pciIRQNone {
		if err := p.request(cpus); err != nil {
			return err
		}
	}
	if p.irq == pciIRQLine {
		return nil
	}
	// The device forgot its vectors in the reset.
	return p.setVector(pciConfigVector, 0)
}

func (p *PCI) request(cpus []int) error {
	err := p.requestVectors(cpus)
	if err == nil {
		p.cfg.WriteConfig(pciCommand, 2, p.cfg.ReadConfig(pciCommand, 2)|pciCommandIntxOff)
		return nil
	}
	// With MSI-X on, the function no longer drives its line.
	if p.cfg.RequestIRQ == nil || p.vectors > 0 {
		return fmt.Errorf("%s: no interrupt: %w", p.cfg.Name, err)
	}
	if err := p.cfg.RequestIRQ(p.lineInterrupt); err != nil {
		return fmt.Errorf("%s: INTx: %w", p.cfg.Name, err)
	}
	p.cfg.WriteConfig(pciCommand, 2, p.cfg.ReadConfig(pciCommand, 2)&^pciCommandIntxOff)
	p.irq = pciIRQLine
	return nil
}

func (p *PCI) requestVectors(cpus []int) error {
	mode, want := pciIRQEach, len(cpus)+1
	if p.cfg.Vectors < want && len(cpus) > 2 {
		mode, want = pciIRQPair, (len(cpus)+1)/2+1
	}
	if p.cfg.Vectors < want {
		mode, want = pciIRQShared, 2
	}
	if p.cfg.Vectors < want || p.cfg.RequestVector == nil {
		return fmt.Errorf("%d MSI-X entries", p.cfg.Vectors)
	}
	for v := range want {
		cpu := 0
		switch {
		case v > 0 && mode == pciIRQEach:
			cpu = cpus[v-1]
		case v > 0 && mode == pciIRQPair:
			cpu = cpus[2*(v-1)]
		}
		if err := p.cfg.RequestVector(v, cpu, p.vectorHandler(mode, v)); err != nil {
			return fmt.Errorf("MSI-X entry %d: %w", v, err)
		}
		p.vectors = v + 1
	}
	p.irq = mode
	return nil
}

// vectorHandler returns the handler of MSI-X entry v. There is no ISR read:
// the vector says it all (4.1.4.5.1).
func (p *PCI) vectorHandler(mode pciIRQMode, v int) func() {
	switch {
	case v == 0:
		return func() { p.handler.Load().ConfigInterrupt() }
	case mode == pciIRQShared:
		return func() { p.handler.Load().QueueInterrupt(AnyQueue) }
	case mode == pciIRQPair:
		return func() {
			h := p.handler.Load()
			h.QueueInterrupt(2 * (v - 1))
			h.QueueInterrupt(2*(v-1) + 1)
		}
	}
	return func() { p.handler.Load().QueueInterrupt(v - 1) }
}

// lineInterrupt is the handler of the INTx line. Reading the ISR acknowledges
// and takes the line down (4.1.4.5).
func (p *PCI) lineInterrupt() bool {
	st := p.isr.Read8(0) & (isrQueue | isrConfig)
	if st == 0 {
		return false
	}
	p.handler.Load().dispatch(uint32(st))
	return true
}
