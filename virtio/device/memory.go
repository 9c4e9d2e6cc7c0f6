package device

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
)

// guard is the hole behind every mapping: an access that runs over the end of
// one does not land in the next.
const guard = 1 << 16

// Memory is a fake IOMMU: a device address space in which only mapped memory
// exists, at addresses that are not the virtual ones.
type Memory struct {
	mu      sync.Mutex
	next    uint64
	regions atomic.Pointer[[]region] // ascending, immutable
}

type region struct {
	addr uint64
	mem  []byte
}

// NewMemory returns an address space with nothing in it.
func NewMemory() *Memory {
	m := &Memory{next: 0x7_0000_0000}
	m.regions.Store(&[]region{})
	return m
}

// Map makes mem reachable for the device and returns its address, which is
// page-aligned. It fits virtio/net.Options.Map and skb.PageConfig.Map.
func (m *Memory) Map(mem []byte) (uint64, error) {
	if len(mem) == 0 {
		return 0, fmt.Errorf("device: map of no bytes")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	addr := m.next
	m.next += (uint64(len(mem))+4095)&^4095 + guard
	old := *m.regions.Load()
	l := append(old[:len(old):len(old)], region{addr, mem[:len(mem):len(mem)]})
	m.regions.Store(&l)
	return addr, nil
}

// Slice returns the n bytes at a device address, nil when not all of them are
// in one mapping.
func (m *Memory) Slice(addr uint64, n int) []byte {
	l := *m.regions.Load()
	i := sort.Search(len(l), func(i int) bool { return l[i].addr > addr }) - 1
	if i < 0 || n < 0 {
		return nil
	}
	off := addr - l[i].addr
	if off > uint64(len(l[i].mem)) || uint64(n) > uint64(len(l[i].mem))-off {
		return nil
	}
	return l[i].mem[off : off+uint64(n) : off+uint64(n)]
}
