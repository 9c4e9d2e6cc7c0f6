// Package acpi reads the few ACPI tables a board needs (ACPI 6.5): where the interrupt controllers are (MADT), PCI
// configuration space (MCFG), the power-management timer (FADT). Tables come from firmware and are checked: signature, length, checksum,
// bounds. Nothing is allocated: it runs before the heap exists.
package acpi

import (
	"errors"
	"slices"
)

// Memory gives access to physical memory: the n bytes at addr, or nil if they are not readable.
type Memory func(addr, n uint64) []byte

// An IOAPIC is an I/O APIC and the first global system interrupt it serves (MADT type 1, 5.2.12.3).
type IOAPIC struct{ Addr, GSIBase uint32 }

// An Override says that ISA interrupt Source is wired to GSI (MADT type 2, 5.2.12.5). Flags are MPS INTI
// flags: polarity in bits 0-1 (3 = active low), trigger in bits 2-3 (3 = level).
type Override struct {
	Source uint8
	GSI    uint32
	Flags  uint16
}

// An ECAM is a PCI segment's memory-mapped configuration space (PCI Firmware Specification 3.2, 4.1.2): 1 MiB for each bus,
// bus StartBus at Base + StartBus<<20.
type ECAM struct {
	Base             uint64
	Segment          uint16
	StartBus, EndBus uint8
}

// Info is what was found. Absent tables leave their part zero.
type Info struct {
	LAPIC uint64 // physical address of the local APICs; 0 without a MADT

	cpus [MaxCPUs]uint32 // local APIC ids of the enabled processors
	ncpu int

	PMTimer   uint16 // I/O port of the power-management timer; 0 = none
	PMTimer32 bool   // it counts 32 bits, not 24

	ioapics   [8]IOAPIC
	nioapic   int
	overrides [16]Override
	noverride int
	ecams     [4]ECAM
	necam     int
}

// MaxCPUs is how many processors of a machine are looked at.
const MaxCPUs = 64

// CPUs are the local APIC ids of the processors that can be started, in the order of the MADT, each once (types 0 and 9,
// 5.2.12.2 and 5.2.12.12: flag 0, enabled; not those that may be plugged in later). Firmware lists the one it boots on first.
func (i *Info) CPUs() []uint32 { return i.cpus[:i.ncpu] }

// addCPU notes an enabled processor. The ids that address all CPUs are none's.
func (i *Info) addCPU(id, broadcast uint32) {
	if id == broadcast || i.ncpu == len(i.cpus) || slices.Contains(i.CPUs(), id) {
		return
	}
	i.cpus[i.ncpu] = id
	i.ncpu++
}

// IOAPICs are the machine's I/O APICs.
func (i *Info) IOAPICs() []IOAPIC { return i.ioapics[:i.nioapic] }

// Overrides are the ISA interrupts that are not wired to the pin of their number.
func (i *Info) Overrides() []Override { return i.overrides[:i.noverride] }

// ECAMs are the PCI configuration spaces.
func (i *Info) ECAMs() []ECAM { return i.ecams[:i.necam] }

// ISA returns the GSI and the flags of an ISA interrupt.
func (i *Info) ISA(irq uint8) (gsi uint32, flags uint16) {
	for _, o := range i.Overrides() {
		if o.Source == irq {
			return o.GSI, o.Flags
		}
	}
	return uint32(irq), 0
}

// What can be wrong with the root tables. Other tables that are wrong are passed over, as if they were not there.
var (
	ErrRSDP = errors.New("acpi: no valid root pointer")
	ErrRoot = errors.New("acpi: no valid root table")
)

// maxTable bounds a table's length: the largest of ours is some kilobytes.
const maxTable = 1 << 20

// Parse follows the root pointer at addr and fills info, which must be zero.
func Parse(mem Memory, addr uint64, info *Info) error {
	b := mem(addr, 20)
	if len(b) < 20 || string(b[:8]) != "RSD PTR " || sum(b[:20]) != 0 {
		return ErrRSDP
	}
	root, width := uint64(le32(b[16:])), 4
	if b[15] >= 2 { // ACPI 2 and later: the 64-bit table, if it holds up
		if x := mem(addr, 36); len(x) >= 36 && sum(x[:36]) == 0 && le64(x[24:]) != 0 {
			root, width = le64(x[24:]), 8
		}
	}
	t := table(mem, root)
	if t == nil || string(t[:4]) != "RSDT" && string(t[:4]) != "XSDT" {
		return ErrRoot
	}
	for e := t[36:]; len(e) >= width; e = e[width:] {
		p := uint64(le32(e))
		if width == 8 {
			p = le64(e)
		}
		t := table(mem, p)
		if t == nil {
			continue
		}
		switch string(t[:4]) {
		case "APIC":
			info.madt(t)
		case "MCFG":
			info.mcfg(t)
		case "FACP":
			info.fadt(t)
		}
	}
	return nil
}

// table returns the table at addr with its 36-byte header, or nil.
func table(mem Memory, addr uint64) []byte {
	h := mem(addr, 36)
	if addr == 0 || len(h) < 36 {
		return nil
	}
	n := uint64(le32(h[4:]))
	if n < 36 || n > maxTable {
		return nil
	}
	t := mem(addr, n)
	if uint64(len(t)) < n || sum(t[:n]) != 0 {
		return nil
	}
	return t[:n]
}

func (i *Info) madt(t []byte) {
	if len(t) < 44 {
		return
	}
	i.LAPIC = uint64(le32(t[36:]))
	for e := t[44:]; len(e) >= 2 && e[1] >= 2 && int(e[1]) <= len(e); e = e[e[1]:] {
		switch typ, n := e[0], e[1]; {
		case typ == 0 && n >= 8 && e[4]&1 != 0: // local APIC, enabled
			i.addCPU(uint32(e[3]), 1<<8-1)
		case typ == 9 && n >= 16 && e[8]&1 != 0: // local x2APIC, enabled
			i.addCPU(le32(e[4:]), 1<<32-1)
		case typ == 1 && n >= 12 && i.nioapic < len(i.ioapics):
			i.ioapics[i.nioapic] = IOAPIC{le32(e[4:]), le32(e[8:])}
			i.nioapic++
		case typ == 2 && n >= 10 && i.noverride < len(i.overrides):
			i.overrides[i.noverride] = Override{e[3], le32(e[4:]), le16(e[8:])}
			i.noverride++
		case typ == 5 && n >= 12: // address of the local APICs, 64 bits
			i.LAPIC = le64(e[4:])
		}
	}
}

func (i *Info) mcfg(t []byte) {
	if len(t) < 44 {
		return
	}
	for e := t[44:]; len(e) >= 16 && i.necam < len(i.ecams); e = e[16:] {
		c := ECAM{le64(e), le16(e[8:]), e[10], e[11]}
		if c.Base == 0 || c.EndBus < c.StartBus || c.Base+uint64(c.EndBus)<<20 < c.Base {
			continue
		}
		i.ecams[i.necam] = c
		i.necam++
	}
}

func (i *Info) fadt(t []byte) {
	if len(t) < 116 {
		return
	}
	// PM_TMR_BLK, 4 bytes long; flag 8 is TMR_VAL_EXT. The extended address counts when there is one.
	port := uint64(le32(t[76:]))
	if len(t) >= 220 && t[208] == 1 && le64(t[212:]) != 0 {
		port = le64(t[212:])
	}
	if port != 0 && port < 1<<16 && t[91] == 4 {
		i.PMTimer = uint16(port)
		i.PMTimer32 = le32(t[112:])&(1<<8) != 0
	}
}

func sum(b []byte) (s uint8) {
	for _, c := range b {
		s += c
	}
	return s
}

func le16(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }

func le32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }
