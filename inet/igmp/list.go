package igmp

import (
	"barewire/napi"
	"barewire/skb/header"
)

// Group is a group a device is in, for listings.
type Group struct {
	Dev   *napi.NetDevice
	Addr  header.Addr
	Since int64 // when it was joined, on the instance's clock in ns
}

// Groups lists the groups of all devices by ifindex, the newest first (Linux:
// in_dev_dump_ifmcaddr).
func (m *IGMP) Groups() (out []Group) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range *m.devs.Load() {
		if d == nil {
			continue
		}
		for _, g := range d.groups {
			out = append(out, Group{d.dev, g.addr, g.since})
		}
	}
	return out
}

func (m *IGMP) tell(d *device, g *group, joined bool) {
	if m.Notify != nil {
		m.Notify(Group{d.dev, g.addr, g.since}, joined)
	}
}
