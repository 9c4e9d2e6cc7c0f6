package virtio_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unsafe"

	"barewire/virtio"
	"barewire/virtio/device"
)

func TestNewMMIO_notADevice_saysWhat(t *testing.T) {
	for _, c := range []struct {
		name, want string
		is         error
		edit       func(m *device.MMIO)
	}{
		{"empty", "device id 0", virtio.ErrNoDevice, func(m *device.MMIO) { m.ID = 0 }},
		{"emptyLegacy", "device id 0", virtio.ErrNoDevice, func(m *device.MMIO) { m.ID, m.Version = 0, 1 }},
		{"nothing", "magic value", virtio.ErrNoDevice, func(m *device.MMIO) { m.Magic = 0xffffffff }},
		{"legacy", "-global virtio-mmio.force-legacy=false", virtio.ErrLegacy, func(m *device.MMIO) { m.Version = 1 }},
		{"future", "version 3", virtio.ErrBadDevice, func(m *device.MMIO) { m.Version = 3 }},
	} {
		m := device.NewMMIO(device.New(device.NewMemory(), device.Config{Features: device.AllFeatures}))
		c.edit(m)
		if _, err := virtio.NewMMIO(m.Config()); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func TestNewMMIO_shortRegisterBlock_refused(t *testing.T) {
	m := device.NewMMIO(device.New(device.NewMemory(), device.Config{}))
	cfg := m.Config()
	cfg.Regs = virtio.Window(m, 0, 0x80)
	if _, err := virtio.NewMMIO(cfg); !errors.Is(err, virtio.ErrNoDevice) {
		t.Fatalf("error %v", err)
	}
}

// Offsets of the device model's capabilities in its configuration space.
const (
	capCommon = 0x40
	capISR    = 0x50
	capDevice = 0x60
	capNotify = 0x70
)

func TestNewPCI_capabilities_checked(t *testing.T) {
	put32 := binary.LittleEndian.PutUint32
	put16 := binary.LittleEndian.PutUint16
	for _, c := range []struct {
		name, want string
		is         error
		edit       func(s []byte)
	}{
		{name: "good", edit: func(s []byte) {}},
		{name: "transitional", edit: func(s []byte) { put16(s[2:], 0x1000); put16(s[0x2e:], 1) }},
		{name: "otherVendor", is: virtio.ErrNoDevice, edit: func(s []byte) { put16(s, 0x8086) }},
		{name: "otherDevice", is: virtio.ErrNoDevice, edit: func(s []byte) { put16(s[2:], 0x1110) }},
		{name: "noList", is: virtio.ErrLegacy, want: "disable-modern=off", edit: func(s []byte) { s[6] = 0 }},
		{name: "emptyList", is: virtio.ErrLegacy, edit: func(s []byte) { s[0x34] = 0 }},
		{name: "pointerIntoHeader", is: virtio.ErrLegacy, edit: func(s []byte) { s[0x34] = 0x3c }},
		{name: "loop", is: virtio.ErrBadDevice, want: "missing", edit: func(s []byte) { s[capISR+1] = capCommon }},
		{name: "selfLoop", is: virtio.ErrBadDevice, edit: func(s []byte) { s[capCommon+1] = capCommon }},
		{name: "noNotify", is: virtio.ErrBadDevice, edit: func(s []byte) { s[capNotify+3] = 9 }},
		{name: "noDevice", edit: func(s []byte) { s[capDevice+3] = 9 }},
		{name: "badBAR", is: virtio.ErrBadDevice, want: "BAR 6", edit: func(s []byte) { s[capCommon+4] = 6 }},
		{name: "absentBAR", want: "BAR 1", edit: func(s []byte) { s[capCommon+4] = 1 }},
		{name: "beyondBAR", is: virtio.ErrBadDevice, want: "BAR 4 has 0x4000", edit: func(s []byte) { put32(s[capCommon+8:], 0x3ffc) }},
		{name: "offsetOverflow", is: virtio.ErrBadDevice, edit: func(s []byte) { put32(s[capCommon+8:], 0xfffffffc) }},
		{name: "lengthOverflow", is: virtio.ErrBadDevice, edit: func(s []byte) { put32(s[capNotify+12:], 0xffffffff) }},
		{name: "commonTooSmall", is: virtio.ErrBadDevice, edit: func(s []byte) { put32(s[capCommon+12:], 0x37) }},
		{name: "isrEmpty", is: virtio.ErrBadDevice, edit: func(s []byte) { put32(s[capISR+12:], 0) }},
		{name: "unaligned", is: virtio.ErrBadDevice, edit: func(s []byte) { put32(s[capCommon+8:], 2) }},
		{name: "oddMultiplier", is: virtio.ErrBadDevice, edit: func(s []byte) { put32(s[capNotify+16:], 3) }},
		{name: "hugeMultiplier", is: virtio.ErrBadDevice, edit: func(s []byte) { put32(s[capNotify+16:], 1<<31) }},
		{name: "shortCapability", is: virtio.ErrBadDevice, edit: func(s []byte) { s[capCommon+2] = 8 }},
		// The first usable of several counts: a bad one in front is skipped.
		{name: "badOneFirst", edit: func(s []byte) {
			copy(s[0xc0:], s[capCommon:capCommon+16])
			s[0xc1], s[0xc4] = capCommon, 6
			s[0x34] = 0xc0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := device.NewPCI(device.New(device.NewMemory(), device.Config{Features: device.AllFeatures}), 4)
			c.edit(p.Space[:])
			tr, err := virtio.NewPCI(p.Config())
			bad := c.is != nil || c.want != ""
			if bad != (err != nil) || c.is != nil && !errors.Is(err, c.is) || bad && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if tr.DeviceID() != virtio.IDNet {
				t.Fatalf("device type %d", tr.DeviceID())
			}
			if p.Space[4]&6 != 6 {
				t.Fatalf("command register %#x: no memory decoding or bus mastering", p.Space[4])
			}
		})
	}
}

// FuzzPCICaps: any configuration space gives a transport or an error.
func FuzzPCICaps(f *testing.F) {
	p := device.NewPCI(device.New(device.NewMemory(), device.Config{}), 4)
	f.Add(p.Space[:])
	f.Add(p.Space[0x40:])
	f.Fuzz(func(t *testing.T, space []byte) {
		p := device.NewPCI(device.New(device.NewMemory(), device.Config{Features: device.AllFeatures}), 4)
		copy(p.Space[4:], space)
		tr, err := virtio.NewPCI(p.Config())
		if err != nil {
			return
		}
		tr.Status()
		tr.QueueMax(0)
		tr.DeviceConfig().Read32(0)
		virtio.ReadConfig(tr, func(c virtio.Regs) { c.Read8(0) })
	})
}

// sink takes interrupts.
type sink struct{ queue, config int }

func (s *sink) QueueInterrupt(int) { s.queue++ }
func (s *sink) ConfigInterrupt()   { s.config++ }

func TestInterrupt_foreignOnSharedLine_disowned(t *testing.T) {
	dev := device.New(device.NewMemory(), device.Config{Features: device.AllFeatures})
	for _, bus := range []string{"mmio", "intx"} {
		var handler func() bool
		var tr virtio.Transport
		var err error
		if bus == "mmio" {
			cfg := device.NewMMIO(dev).Config()
			cfg.RequestIRQ = func(h func() bool) error { handler = h; return nil }
			tr, err = virtio.NewMMIO(cfg)
		} else {
			cfg := device.NewPCI(dev, 0).Config()
			cfg.RequestIRQ = func(h func() bool) error { handler = h; return nil }
			tr, err = virtio.NewPCI(cfg)
		}
		if err != nil {
			t.Fatal(err)
		}
		s := &sink{}
		if err := tr.SetHandler(s, []int{0, 0}); err != nil {
			t.Fatal(err)
		}
		if handler() || *s != (sink{}) {
			t.Fatalf("%s: took an interrupt that is not its own", bus)
		}
		dev.Hostile().Interrupt(0) // not connected: only the status is set
		if !handler() || *s != (sink{queue: 1}) {
			t.Fatalf("%s: %+v after a queue interrupt", bus, *s)
		}
		dev.Hostile().Interrupt(-1)
		if !handler() || *s != (sink{queue: 1, config: 1}) {
			t.Fatalf("%s: %+v after a configuration interrupt", bus, *s)
		}
		if handler() {
			t.Fatalf("%s: an acknowledged interrupt is still there", bus)
		}
	}
}

func TestSetHandler_noInterrupt_saysSo(t *testing.T) {
	dev := device.New(device.NewMemory(), device.Config{Features: device.AllFeatures})
	cfg := device.NewPCI(dev, 0).Config()
	cfg.RequestIRQ = nil
	tr, err := virtio.NewPCI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.SetHandler(&sink{}, []int{0, 0}); err == nil || !strings.Contains(err.Error(), "no interrupt") {
		t.Fatalf("error %v", err)
	}
}

// A device that cannot map an event answers NO_VECTOR.
func TestSetHandler_vectorRefused_noticed(t *testing.T) {
	dev := device.New(device.NewMemory(), device.Config{Features: device.AllFeatures})
	cfg := device.NewPCI(dev, 0).Config()
	cfg.Vectors = 4
	cfg.RequestVector = func(int, int, func()) error { return nil }
	tr, err := virtio.NewPCI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.SetHandler(&sink{}, []int{0, 0}); !errors.Is(err, virtio.ErrBadDevice) {
		t.Fatal("entries that are not there were taken")
	}
}

func TestMemRegs_accessWidthsAndBounds(t *testing.T) {
	mem := make([]uint64, 2)
	r := virtio.NewMemRegs(unsafe.Pointer(&mem[0]), 16)
	r.Write32(0, 0x11223344)
	r.Write16(4, 0x5566)
	r.Write8(7, 0x77)
	if mem[0] != 0x7700_5566_1122_3344 {
		t.Fatalf("memory is %#x", mem[0])
	}
	if a, b, c := r.Read32(0), r.Read16(4), r.Read8(7); a != 0x11223344 || b != 0x5566 || c != 0x77 {
		t.Fatalf("read %#x, %#x, %#x", a, b, c)
	}
	for _, off := range []int{-4, 13, 14, 16, 1 << 40, 2} {
		r.Write32(off, 1)
		if r.Read32(off) != ^uint32(0) {
			t.Fatalf("32-bit access at %d", off)
		}
	}
	for _, off := range []int{-1, 16} {
		r.Write8(off, 1)
		if r.Read8(off) != ^uint8(0) {
			t.Fatalf("8-bit access at %d", off)
		}
	}
	r.Write16(15, 1)
	if r.Read16(15) != ^uint16(0) || mem[0] != 0x7700_5566_1122_3344 || mem[1] != 0 {
		t.Fatalf("memory is %#x", mem)
	}
	w := virtio.Window(r, 4, 4)
	if w.Read16(0) != 0x5566 || w.Read16(3) != 0xffff || w.Read32(4) != 0xffffffff || w.Len() != 4 {
		t.Fatal("window reads elsewhere")
	}
	w.Write32(4, 1)
	w.Write16(-2, 1)
	w.Write8(4, 1)
	if mem[1] != 0 || mem[0] != 0x7700_5566_1122_3344 {
		t.Fatal("window writes elsewhere")
	}
}
