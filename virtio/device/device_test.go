package device_test

import (
	"strings"
	"testing"

	"barewire/virtio"
	"barewire/virtio/device"
)

func TestMemory_onlyMappedBytesExist(t *testing.T) {
	m := device.NewMemory()
	a := make([]byte, 5000)
	addr, err := m.Map(a)
	if err != nil || addr&4095 != 0 {
		t.Fatalf("address %#x: %v", addr, err)
	}
	other, _ := m.Map(make([]byte, 100))
	m.Slice(addr+4999, 1)[0] = 7
	if a[4999] != 7 {
		t.Fatal("the slice is other memory")
	}
	for _, c := range []struct {
		addr uint64
		n    int
	}{{addr, 5001}, {addr + 5000, 1}, {addr - 1, 1}, {addr + 4999, 2}, {addr, -1}, {0, 1}, {^uint64(0), 2},
		{addr, int(other - addr)}, {other + 100, 1}} {
		if m.Slice(c.addr, c.n) != nil {
			t.Errorf("%d bytes at %#x exist", c.n, c.addr)
		}
	}
	if _, err := m.Map(nil); err == nil {
		t.Error("nothing was mapped")
	}
}

// A model that does not notice a bad driver proves nothing about a good one.
func TestNet_driverBreaksRules_noticed(t *testing.T) {
	for _, c := range []struct {
		name, want string
		do         func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory)
	}{
		{"unmappedBuffer", "not mapped", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			q.Add([]virtio.Seg{{Addr: 0x1000, Len: 16}}, 1)
			q.Kick()
		}},
		{"bufferPastEnd", "not mapped", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			a, _ := mem.Map(make([]byte, 64))
			q.Add([]virtio.Seg{{Addr: a, Len: 65}}, 1)
			q.Kick()
		}},
		{"emptySegment", "not mapped", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			a, _ := mem.Map(make([]byte, 64))
			q.Add([]virtio.Seg{{Addr: a}}, 1)
			q.Kick()
		}},
		{"writableOnTransmit", "writable descriptor", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			a, _ := mem.Map(make([]byte, 64))
			q.Add([]virtio.Seg{{Addr: a, Len: 64}}, 0)
			q.Kick()
		}},
		{"postedTwice", "posted by heads", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			a, _ := mem.Map(make([]byte, 64))
			q.Add([]virtio.Seg{{Addr: a, Len: 64}}, 0)
			q.Add([]virtio.Seg{{Addr: a + 63, Len: 1}}, 0)
			q.Publish()
			dev.Hostile().Take(device.QueueTX)
			dev.Hostile().Take(device.QueueTX)
		}},
		{"notifiedAfterReset", "notified with status", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			tr.Reset()
			q.Notify()
		}},
		{"enabledTooLate", "enabled with status", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			if err := tr.EnableQueue(0, virtio.QueueAddrs{Size: 8}); err == nil {
				t.Error("queue taken after DRIVER_OK")
			}
		}},
		{"featuresTooLate", "after FEATURES_OK", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			tr.SetDriverFeatures(0)
		}},
		{"statusBack", "cleared bits", func(t *testing.T, dev *device.Net, tr virtio.Transport, q *virtio.Queue, mem *device.Memory) {
			tr.SetStatus(virtio.StatusAcknowledge)
		}},
	} {
		for _, bus := range []string{"mmio", "pci"} {
			mem := device.NewMemory()
			dev := device.New(mem, device.Config{Features: virtio.FeatVersion1, Paranoid: true})
			var tr virtio.Transport
			var err error
			if bus == "mmio" {
				tr, err = virtio.NewMMIO(device.NewMMIO(dev).Config())
			} else {
				tr, err = virtio.NewPCI(device.NewPCI(dev, 4).Config())
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := virtio.Negotiate(tr, func(f uint64) (uint64, error) { return f, nil }); err != nil {
				t.Fatal(err)
			}
			q, err := virtio.NewQueue(tr, virtio.QueueConfig{Index: device.QueueTX, Size: 8, Map: mem.Map})
			if err != nil {
				t.Fatal(err)
			}
			// Without SetHandler a PCI queue has no vector, which is allowed.
			if err := q.Enable(); err != nil {
				t.Fatal(err)
			}
			virtio.DriverOK(tr)
			if v := dev.Violations(); len(v) != 0 {
				t.Fatalf("%s, %s: a good driver broke %q", c.name, bus, v)
			}
			c.do(t, dev, tr, q, mem)
			if v := dev.Violations(); len(v) == 0 || !strings.Contains(v[0], c.want) {
				t.Errorf("%s, %s: noticed %q, want %q", c.name, bus, v, c.want)
			}
		}
	}
}
