package device

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"barewire/virtio"
)

// Layout of the structures in BAR 4, as QEMU has it.
const (
	pciBAR      = 4
	pciCommonAt = 0x0000
	pciISRAt    = 0x1000
	pciDevAt    = 0x2000
	pciNotifyAt = 0x3000
	pciBARLen   = 0x4000
	pciMult     = 4
)

// PCI is a PCI function with the device behind it (virtio 1.2, 4.1).
type PCI struct {
	dev *Net

	// Space is the configuration space; a test may change it before the
	// driver looks.
	Space [256]byte
	// Vectors is the size of the MSI-X table; 0 leaves only INTx.
	Vectors int

	mu       sync.Mutex
	featSel  uint32
	drvSel   uint32
	queueSel uint16
	queue    [numQueues]struct {
		virtio.QueueAddrs
		enabled uint16
	}

	isr      atomic.Uint32
	lines    [numQueues + 1]line
	handlers [numQueues + 1]func()
	intx     line
	intxFn   func()
}

// NewPCI puts dev behind a PCI function with vectors MSI-X entries.
func NewPCI(dev *Net, vectors int) *PCI {
	p := &PCI{dev: dev, Vectors: vectors}
	s := p.Space[:]
	binary.LittleEndian.PutUint16(s[0x00:], 0x1af4)
	binary.LittleEndian.PutUint16(s[0x02:], 0x1041)
	binary.LittleEndian.PutUint16(s[0x06:], 1<<4) // capability list
	s[0x08] = 1                                   // revision
	s[0x34] = 0x40
	at := 0x40
	add := func(typ byte, off, size uint32, extra ...uint32) {
		n := 16 + 4*len(extra)
		s[at], s[at+1], s[at+2], s[at+3], s[at+4] = 0x09, byte(at+n), byte(n), typ, pciBAR
		binary.LittleEndian.PutUint32(s[at+8:], off)
		binary.LittleEndian.PutUint32(s[at+12:], size)
		for i, v := range extra {
			binary.LittleEndian.PutUint32(s[at+16+4*i:], v)
		}
		at += n
	}
	add(1, pciCommonAt, 0x1000)
	add(3, pciISRAt, 0x1000)
	add(4, pciDevAt, 0x1000)
	add(2, pciNotifyAt, 0x1000, pciMult)
	add(5, 0, 0, 0) // PCI configuration access: not to be taken for another
	s[at], s[at+1] = 0x11, 0
	for i := range dev.vectors {
		dev.vectors[i] = 0xffff
	}
	dev.irq = p.interrupt
	return p
}

// Config returns what the driver's transport is made of.
func (p *PCI) Config() virtio.PCIConfig {
	return virtio.PCIConfig{
		Name: "pci 00:02.0",
		ReadConfig: func(off, width int) uint32 {
			switch width {
			case 1:
				return uint32(p.Space[off])
			case 2:
				return uint32(binary.LittleEndian.Uint16(p.Space[off:]))
			}
			return binary.LittleEndian.Uint32(p.Space[off:])
		},
		WriteConfig: func(off, width int, v uint32) {
			if off == 4 && width == 2 {
				binary.LittleEndian.PutUint16(p.Space[4:], uint16(v))
			}
		},
		MapBAR: func(i int) (virtio.Regs, error) {
			if i != pciBAR {
				return nil, fmt.Errorf("BAR %d is not there", i)
			}
			return (*pciRegs)(p), nil
		},
		Vectors: p.Vectors,
		RequestVector: func(i, _ int, h func()) error {
			if i >= p.Vectors || i >= len(p.handlers) {
				return fmt.Errorf("no MSI-X entry %d", i)
			}
			p.handlers[i] = h
			return nil
		},
		RequestIRQ: func(h func() bool) error {
			p.intxFn = func() { h() }
			return nil
		},
		Sleep: p.dev.hostile.sleep,
	}
}

// interrupt is an event of a queue, or -1 of the configuration.
func (p *PCI) interrupt(queue int) {
	d := p.dev
	d.mu.Lock()
	v := int(d.vectors[queue+1])
	d.mu.Unlock()
	if p.handlers[0] != nil { // MSI-X is on
		if v < len(p.handlers) {
			p.lines[v].raise(p.handlers[v])
		}
		return
	}
	bit := uint32(1)
	if queue < 0 {
		bit = 2
	}
	p.isr.Or(bit)
	if p.Space[5]&4 != 0 { // INTx disabled in the command register
		return
	}
	p.intx.raise(p.intxFn)
}

// pciRegs is BAR 4.
type pciRegs PCI

// Len implements [virtio.Regs].
func (p *pciRegs) Len() int { return pciBARLen }

// Read8 implements [virtio.Regs].
func (p *pciRegs) Read8(off int) uint8 {
	switch {
	case off == pciISRAt:
		return uint8(p.isr.Swap(0))
	case off >= pciDevAt && off < pciNotifyAt:
		return p.dev.configByte(off - pciDevAt)
	case off == 0x14:
		return p.dev.readStatus()
	case off == 0x15:
		return uint8(p.dev.generation())
	}
	p.dev.violation("8-bit read at %#x", off)
	return 0
}

// Read16 implements [virtio.Regs].
func (p *pciRegs) Read16(off int) uint16 {
	d := p.dev
	if off >= pciDevAt && off < pciNotifyAt && off&1 == 0 {
		return uint16(d.configByte(off-pciDevAt)) | uint16(d.configByte(off-pciDevAt+1))<<8
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.queueSel < numQueues
	switch off {
	case 0x10:
		return d.vector(-1)
	case 0x12:
		return uint16(d.queues())
	case 0x18:
		if in && p.queue[p.queueSel].Size != 0 {
			return uint16(p.queue[p.queueSel].Size)
		}
		return uint16(d.queueMax(int(p.queueSel)))
	case 0x1a:
		if in {
			return d.vector(int(p.queueSel))
		}
		return 0xffff
	case 0x1c:
		if in {
			return p.queue[p.queueSel].enabled
		}
		return 0
	case 0x1e:
		return p.queueSel + uint16(d.hostile.NotifyOff)
	}
	d.violation("16-bit read at %#x", off)
	return 0
}

// Read32 implements [virtio.Regs].
func (p *pciRegs) Read32(off int) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if off == 4 {
		if p.featSel > 1 {
			return 0
		}
		return uint32(p.dev.offered() >> (32 * p.featSel))
	}
	p.dev.violation("32-bit read at %#x", off)
	return 0
}

// Write8 implements [virtio.Regs].
func (p *pciRegs) Write8(off int, v uint8) {
	if off != 0x14 {
		p.dev.violation("8-bit write at %#x", off)
		return
	}
	if v == 0 && !p.dev.hostile.IgnoreReset {
		p.mu.Lock()
		clear(p.queue[:])
		p.mu.Unlock()
		p.isr.Store(0)
	}
	p.dev.setStatus(v)
}

// Write16 implements [virtio.Regs].
func (p *pciRegs) Write16(off int, v uint16) {
	d := p.dev
	if off >= pciNotifyAt {
		if off != pciNotifyAt+int(v)*pciMult {
			d.violation("queue %d notified at %#x", v, off)
		}
		d.notify(int(v))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch off {
	case 0x10:
		d.setVector(-1, v, p.Vectors)
		return
	case 0x16:
		p.queueSel = v
		return
	}
	if p.queueSel >= numQueues || p.queue[p.queueSel].enabled != 0 {
		d.violation("16-bit write of %#x at %#x", v, off)
		return
	}
	q := &p.queue[p.queueSel]
	switch off {
	case 0x18:
		q.Size = int(v)
	case 0x1a:
		d.setVector(int(p.queueSel), v, p.Vectors)
	case 0x1c:
		if v == 1 && d.enable(int(p.queueSel), q.QueueAddrs) {
			q.enabled = 1
		}
	default:
		d.violation("16-bit write of %#x at %#x", v, off)
	}
}

// Write32 implements [virtio.Regs].
func (p *pciRegs) Write32(off int, v uint32) {
	d := p.dev
	p.mu.Lock()
	defer p.mu.Unlock()
	switch off {
	case 0x00:
		p.featSel = v
		return
	case 0x08:
		p.drvSel = v
		return
	case 0x0c:
		d.setFeatures(p.drvSel, v)
		return
	}
	if p.queueSel >= numQueues || p.queue[p.queueSel].enabled != 0 {
		d.violation("32-bit write of %#x at %#x", v, off)
		return
	}
	q := &p.queue[p.queueSel]
	switch off {
	case 0x20, 0x24:
		half(&q.Desc, off&4, v)
	case 0x28, 0x2c:
		half(&q.Driver, off&4, v)
	case 0x30, 0x34:
		half(&q.Device, off&4, v)
	default:
		d.violation("32-bit write of %#x at %#x", v, off)
	}
}
