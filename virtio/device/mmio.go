package device

import (
	"sync"
	"sync/atomic"

	"barewire/virtio"
)

// MMIO is the register block of a device on virtio-mmio (virtio 1.2, 4.2.2).
// It implements [virtio.Regs].
type MMIO struct {
	dev *Net

	// Version and ID are what the registers say; 2 and the network device.
	Version, ID, Magic uint32

	mu       sync.Mutex
	featSel  uint32
	drvSel   uint32
	queueSel uint32
	queue    [numQueues]struct {
		virtio.QueueAddrs
		ready uint32
	}

	isr     atomic.Uint32
	line    line
	handler func()
}

// NewMMIO puts dev behind virtio-mmio registers.
func NewMMIO(dev *Net) *MMIO {
	m := &MMIO{dev: dev, Version: 2, ID: virtio.IDNet, Magic: 0x74726976}
	dev.irq = m.interrupt
	return m
}

// Config returns what the driver's transport is made of.
func (m *MMIO) Config() virtio.MMIOConfig {
	return virtio.MMIOConfig{
		Name: "virtio-mmio@test",
		Regs: m,
		RequestIRQ: func(h func() bool) error {
			m.handler = func() { h() }
			return nil
		},
		Sleep: m.dev.hostile.sleep,
	}
}

func (m *MMIO) interrupt(queue int) {
	bit := uint32(1)
	if queue < 0 {
		bit = 2
	}
	m.isr.Or(bit)
	m.line.raise(m.handler)
}

// Len implements [virtio.Regs].
func (m *MMIO) Len() int { return 0x200 }

// Read8 implements [virtio.Regs]: only the configuration has bytes (4.2.2.2).
func (m *MMIO) Read8(off int) uint8 {
	if off < 0x100 {
		m.dev.violation("8-bit read of register %#x", off)
		return 0
	}
	return m.dev.configByte(off - 0x100)
}

// Read16 implements [virtio.Regs].
func (m *MMIO) Read16(off int) uint16 {
	if off < 0x100 || off&1 != 0 {
		m.dev.violation("16-bit read of register %#x", off)
		return 0
	}
	return uint16(m.dev.configByte(off-0x100)) | uint16(m.dev.configByte(off-0xff))<<8
}

// Read32 implements [virtio.Regs].
func (m *MMIO) Read32(off int) uint32 {
	d := m.dev
	if off >= 0x100 {
		return uint32(m.Read16(off)) | uint32(m.Read16(off+2))<<16
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch off {
	case 0x000:
		return m.Magic
	case 0x004:
		return m.Version
	case 0x008:
		return m.ID
	case 0x00c:
		return 0x554d4551
	case 0x010:
		if m.featSel > 1 {
			return 0
		}
		return uint32(d.offered() >> (32 * m.featSel))
	case 0x034:
		return uint32(d.queueMax(int(m.queueSel)))
	case 0x044:
		if m.queueSel < numQueues {
			return m.queue[m.queueSel].ready
		}
		return 0
	case 0x060:
		return m.isr.Load()
	case 0x070:
		return uint32(d.readStatus())
	case 0x0fc:
		return d.generation()
	}
	d.violation("read of register %#x", off)
	return 0
}

// Write8 implements [virtio.Regs].
func (m *MMIO) Write8(off int, v uint8) { m.dev.violation("8-bit write of register %#x", off) }

// Write16 implements [virtio.Regs].
func (m *MMIO) Write16(off int, v uint16) { m.dev.violation("16-bit write of register %#x", off) }

// Write32 implements [virtio.Regs].
func (m *MMIO) Write32(off int, v uint32) {
	d := m.dev
	switch off { // those that make the device act, without the lock
	case 0x050:
		d.notify(int(v))
		return
	case 0x070:
		if v == 0 && !d.hostile.IgnoreReset {
			m.mu.Lock()
			for i := range m.queue {
				m.queue[i].ready = 0
			}
			m.mu.Unlock()
			m.isr.Store(0)
		}
		d.setStatus(uint8(v))
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch off {
	case 0x014:
		m.featSel = v
	case 0x020:
		d.setFeatures(m.drvSel, v)
	case 0x024:
		m.drvSel = v
	case 0x030:
		m.queueSel = v
	case 0x064:
		m.isr.And(^v)
	default:
		if m.queueSel >= numQueues || !m.writeQueue(off, v) {
			d.violation("write of %#x to register %#x", v, off)
		}
	}
}

// writeQueue sets a register of the selected queue.
func (m *MMIO) writeQueue(off int, v uint32) bool {
	q := &m.queue[m.queueSel]
	if q.ready != 0 {
		return false // 4.2.2.2: only while QueueReady is 0
	}
	switch off {
	case 0x038:
		q.Size = int(v)
	case 0x044:
		if v == 1 && m.dev.enable(int(m.queueSel), q.QueueAddrs) {
			q.ready = 1
		}
	case 0x080, 0x084:
		half(&q.Desc, off&4, v)
	case 0x090, 0x094:
		half(&q.Driver, off&4, v)
	case 0x0a0, 0x0a4:
		half(&q.Device, off&4, v)
	default:
		return false
	}
	return true
}

// half writes one half of a 64-bit register.
func half(p *uint64, high int, v uint32) {
	if high != 0 {
		*p = *p&0xffffffff | uint64(v)<<32
	} else {
		*p = *p&^0xffffffff | uint64(v)
	}
}
