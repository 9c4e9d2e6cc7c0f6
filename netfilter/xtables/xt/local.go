package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
)

// Matches of what the machine itself knows: the sock of a packet, the CPU, the
// realm of its route, the port of a bridge.

var (
	ownerDef = &xtables.Def{ // read-only
		Name:  "owner",
		Hooks: 1<<netfilter.LocalOut | 1<<netfilter.PostRouting,
		Options: []xtables.Option{
			{Name: "uid-owner", ID: ownerUID, Args: 1, Invert: true}, {Name: "gid-owner", ID: ownerGID, Args: 1, Invert: true},
			{Name: "socket-exists", ID: ownerSocket, Invert: true}, {Name: "suppl-groups", ID: ownerGroups}},
		NewMatch: func() xtables.Match { return new(ownerMatch) },
	}
	cpuDef = &xtables.Def{ // read-only
		Name:     "cpu",
		Options:  []xtables.Option{{Name: "cpu", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(cpuMatch) },
	}
	realmDef = &xtables.Def{ // read-only
		Name:     "realm",
		Hooks:    1<<netfilter.PostRouting | 1<<netfilter.Forward | 1<<netfilter.LocalOut | 1<<netfilter.LocalIn,
		Options:  []xtables.Option{{Name: "realm", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(realmMatch) },
	}
	physdevDef = &xtables.Def{ // read-only
		Name: "physdev",
		Options: []xtables.Option{
			{Name: "physdev-in", ID: physIn, Args: 1, Invert: true}, {Name: "physdev-out", ID: physOut, Args: 1, Invert: true},
			{Name: "physdev-is-in", ID: physIsIn, Invert: true}, {Name: "physdev-is-out", ID: physIsOut, Invert: true},
			{Name: "physdev-is-bridged", ID: physBridged, Invert: true}},
		NewMatch: func() xtables.Match { return new(physdevMatch) },
	}
)

// Options of owner, bits of what was asked.
const (
	ownerSocket = iota
	ownerUID
	ownerGID
	ownerGroups
)

// ownerMatch is xt_owner: whose sock a packet leaves by. Programs on an instance
// are all the same user and group, the superuser's.
type ownerMatch struct {
	xtables.Plain
	asked, invert uint8
	lo, hi        [2]uint32 // of users and of groups
}

// Set implements xtables.Extension.
func (m *ownerMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	switch id {
	case ownerUID, ownerGID:
		i, opt := id-ownerUID, [...]string{"uid", "gid"}[id-ownerUID]
		a, b, is := strings.Cut(args[0], "-")
		lo, ok := parseUint(a, 0, 1<<32-2)
		hi, ok2 := lo, true
		if is {
			hi, ok2 = parseUint(b, 0, 1<<32-2)
		}
		if args[0] == "root" {
			lo, hi, ok, ok2 = 0, 0, true, true
		}
		if !ok || !ok2 {
			return fmt.Errorf("owner: Bad value for \"--%s-owner\" option: \"%s\"", opt, args[0])
		}
		m.lo[i], m.hi[i] = uint32(lo), uint32(hi)
	case ownerGroups:
		if m.asked&(1<<ownerGID) == 0 {
			return errors.New("owner: Bad value for \"--suppl-groups\" option: \"you need to use --gid-owner first\"")
		}
	}
	m.asked |= 1 << id
	if invert {
		m.invert |= 1 << id
	}
	return nil
}

// Done implements xtables.Extension.
func (m *ownerMatch) Done(*xtables.ParseContext) error {
	if m.asked&^(1<<ownerGroups) == 0 {
		return errors.New("owner: At least one of --uid-owner, --gid-owner or --socket-exists is required")
	}
	return nil
}

func (m *ownerMatch) text(b []byte, words [4]string, names bool) []byte {
	for id, word := range words {
		if m.asked&(1<<id) == 0 {
			continue
		}
		b = append(append(not(b, m.invert&(1<<id) != 0), ' '), word...)
		if i := id - ownerUID; i == 0 || i == 1 {
			if names && m.hi[i] == 0 {
				b = append(b, " root"...)
				continue
			}
			b = strconv.AppendUint(append(b, ' '), uint64(m.lo[i]), 10)
			if m.lo[i] != m.hi[i] {
				b = strconv.AppendUint(append(b, '-'), uint64(m.hi[i]), 10)
			}
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *ownerMatch) Save(b []byte) []byte {
	return m.text(b, [4]string{"--socket-exists", "--uid-owner", "--gid-owner", "--suppl-groups"}, false)
}

// Print implements xtables.Extension.
func (m *ownerMatch) Print(b []byte, numeric bool) []byte {
	return m.text(b, [4]string{"owner socket exists", "owner UID match", "owner GID match", "incl. suppl. groups"}, !numeric)
}

// Check implements xtables.Extension (Linux: owner_check).
func (m *ownerMatch) Check(c *xtables.CheckContext) error {
	if m.lo[0] > m.hi[0] || m.lo[1] > m.hi[1] {
		return errors.New("xt_owner: the range is empty")
	}
	if c.Env.HasSocket == nil {
		return errors.New("xt_owner: there are no sockets")
	}
	return nil
}

// Match implements xtables.Match (Linux: owner_mt). What no socket sent has no
// owner, and only what was asked with a '!' is true of it.
func (m *ownerMatch) Match(p *xtables.Packet) bool {
	asked := m.asked &^ (1 << ownerGroups)
	exists, held := p.Env.HasSocket(p.B)
	if !exists {
		return asked == m.invert
	}
	if m.invert&(1<<ownerSocket) != 0 {
		return false
	}
	if !held {
		const who = 1<<ownerUID | 1<<ownerGID
		return (asked^m.invert)&who == 0
	}
	for i := range m.lo {
		if bit := uint8(1 << (ownerUID + i)); asked&bit != 0 && (m.lo[i] == 0) == (m.invert&bit != 0) {
			return false
		}
	}
	return true
}

// cpuMatch is xt_cpu: on which CPU the packet is being worked on.
type cpuMatch struct {
	xtables.Plain
	cpu    uint32
	invert bool
}

// Set implements xtables.Extension.
func (m *cpuMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	n, err := number("cpu", "cpu", args[0], 0, 1<<32-1)
	m.cpu, m.invert = uint32(n), invert
	return err
}

// Save implements xtables.Extension.
func (m *cpuMatch) Save(b []byte) []byte {
	return strconv.AppendUint(append(not(b, m.invert), " --cpu "...), uint64(m.cpu), 10)
}

// Print implements xtables.Extension.
func (m *cpuMatch) Print(b []byte, _ bool) []byte {
	b = append(not(append(b, " cpu"...), m.invert), ' ')
	return strconv.AppendUint(b, uint64(m.cpu), 10)
}

// Match implements xtables.Match (Linux: cpu_mt).
func (m *cpuMatch) Match(p *xtables.Packet) bool {
	cpu := int(p.B.CPU)
	if p.State.In == nil && p.Env.CPU != nil {
		cpu = p.Env.CPU()
	}
	return (m.cpu == uint32(cpu)) != m.invert
}

// realmMatch is xt_realm: the realm of the route. Routes have none here: all are
// of realm 0, "cosmos".
type realmMatch struct {
	xtables.Plain
	id, mask uint32
	name     bool
	invert   bool
}

// Set implements xtables.Extension.
func (m *realmMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	m.invert = invert
	if args[0] == "cosmos" {
		m.name, m.mask = true, 1<<32-1
		return nil
	}
	v, k, is := strings.Cut(args[0], "/")
	n, ok := parseUint(v, 0, 1<<32-1)
	if !ok {
		return fmt.Errorf("realm: could not map name %s to an integer value for option \"--realm\".\n", args[0])
	}
	mask := uint64(1<<32 - 1)
	if is {
		if mask, ok = parseUint(k, 0, 1<<32-1); !ok {
			return badInteger("realm", "realm")
		}
	}
	m.id, m.mask = uint32(n), uint32(mask)
	return nil
}

func (m *realmMatch) value(b []byte, numeric bool) []byte {
	if m.name && !numeric {
		return append(b, "cosmos"...)
	}
	if b = appendHex(b, m.id); m.mask != 1<<32-1 {
		b = appendHex(append(b, '/'), m.mask)
	}
	return b
}

// Save implements xtables.Extension.
func (m *realmMatch) Save(b []byte) []byte {
	return m.value(append(not(b, m.invert), " --realm "...), false)
}

// Print implements xtables.Extension.
func (m *realmMatch) Print(b []byte, numeric bool) []byte {
	return m.value(append(not(b, m.invert), " realm "...), numeric)
}

// Match implements xtables.Match (Linux: realm_mt).
func (m *realmMatch) Match(p *xtables.Packet) bool { return (m.id == 0) != m.invert }

// Pure implements xtables.Pure.
func (m *realmMatch) Pure() {}

// Options of physdev, bits of what was asked, in the order they are saved.
const (
	physIsIn = iota
	physIn
	physIsOut
	physOut
	physBridged
)

// physdevMatch is xt_physdev: the ports of a bridge that a packet came in and
// goes out by. There are no bridges here, and no packet has such ports.
type physdevMatch struct {
	xtables.Plain
	asked, invert uint8
	dev           [2]string
}

// Set implements xtables.Extension.
func (m *physdevMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	if id == physIn || id == physOut {
		if len(args[0]) > 15 {
			return fmt.Errorf("interface name `%s' must be shorter than IFNAMSIZ (15)", args[0])
		}
		m.dev[id/physOut] = args[0]
	}
	m.asked |= 1 << id
	if invert {
		m.invert |= 1 << id
	}
	return nil
}

// Done implements xtables.Extension.
func (m *physdevMatch) Done(*xtables.ParseContext) error {
	if m.asked == 0 {
		return errors.New("PHYSDEV: no physdev option specified")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *physdevMatch) Save(b []byte) []byte {
	for id, word := range []string{" --physdev-is-in", " --physdev-in ", " --physdev-is-out", " --physdev-out ", " --physdev-is-bridged"} {
		if m.asked&(1<<id) == 0 {
			continue
		}
		b = append(not(b, m.invert&(1<<id) != 0), word...)
		if id == physIn || id == physOut {
			b = append(b, m.dev[id/physOut]...)
		}
	}
	return b
}

// Print implements xtables.Extension.
func (m *physdevMatch) Print(b []byte, _ bool) []byte { return m.Save(append(b, " PHYSDEV match"...)) }

// Check implements xtables.Extension (Linux: physdev_mt_check): what the machine
// itself sends has no port it leaves by yet.
func (m *physdevMatch) Check(c *xtables.CheckContext) error {
	const bridged = 1 << physBridged
	if m.asked&(1<<physIsOut|1<<physOut) != 0 && (m.asked&bridged == 0 || m.invert&bridged != 0) && c.Hooks&(1<<netfilter.LocalOut) != 0 {
		return errors.New("xt_physdev: --physdev-out and --physdev-is-out only supported in the FORWARD and POSTROUTING chains with bridged traffic")
	}
	return nil
}

// Match implements xtables.Match (Linux: physdev_mt, for a packet of no bridge).
func (m *physdevMatch) Match(*xtables.Packet) bool { return m.asked == m.invert }

// Pure implements xtables.Pure.
func (m *physdevMatch) Pure() {}
