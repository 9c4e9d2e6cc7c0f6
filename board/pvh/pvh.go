// Package pvh reads what a PVH loader left in memory: hvm_start_info, the memory map, the command line, the modules
// (Xen's public/arch-x86/hvm/start_info.h). Nothing in it is believed before it is checked, and nothing is allocated: it runs before
// the heap exists.
package pvh

import "errors"

// Limits of what is taken over. A loader that brings more is refused, not cut short.
const (
	MaxCmdLine = 4096
	MaxMap     = 128
	MaxModules = 8
)

// Types of memory-map entries, those of the E820 BIOS call.
const (
	RAM      = 1
	Reserved = 2
	ACPI     = 3
	NVS      = 4
)

// Memory gives access to physical memory: the n bytes at addr, or nil if they are not readable.
type Memory func(addr, n uint64) []byte

// A Region is one entry of the memory map: [Addr, Addr+Size) does not wrap.
type Region struct {
	Addr, Size uint64
	Type       uint32
}

// A Module is a blob the loader put into memory, such as an initrd: [Addr, Addr+Size) does not wrap.
type Module struct {
	Addr, Size uint64
	cmd        [256]byte
	cmdLen     int
}

// CmdLine is the module's own command line.
func (m *Module) CmdLine() []byte { return m.cmd[:m.cmdLen] }

// Info is a checked copy of the start info.
type Info struct {
	RSDP uint64 // address of the ACPI root pointer; 0 = none

	cmd     [MaxCmdLine]byte
	cmdLen  int
	regions [MaxMap]Region
	nregion int
	modules [MaxModules]Module
	nmodule int
}

// CmdLine is the kernel command line, without the final NUL.
func (i *Info) CmdLine() []byte { return i.cmd[:i.cmdLen] }

// Map is the memory map in the loader's order.
func (i *Info) Map() []Region { return i.regions[:i.nregion] }

// Modules are the loader's modules.
func (i *Info) Modules() []Module { return i.modules[:i.nmodule] }

// What can be wrong with a start info.
var (
	ErrUnreadable = errors.New("pvh: start info lies outside of readable memory")
	ErrMagic      = errors.New("pvh: wrong magic number")
	ErrNoMap      = errors.New("pvh: no memory map (version 0 start info)")
	ErrMap        = errors.New("pvh: memory map has too many entries, or one that wraps around")
	ErrModules    = errors.New("pvh: too many modules, or one that wraps around")
	ErrCmdLine    = errors.New("pvh: command line too long or outside of readable memory")
)

const (
	magic      = 0x336ec578
	infoSize   = 56
	regionSize = 24
	moduleSize = 32
)

// Parse reads the start info at addr into info, which must be zero.
func Parse(mem Memory, addr uint64, info *Info) error {
	b := mem(addr, infoSize)
	if len(b) < infoSize {
		return ErrUnreadable
	}
	if le32(b) != magic {
		return ErrMagic
	}
	var (
		version  = le32(b[4:])
		nmodules = le32(b[12:])
		modules  = le64(b[16:])
		cmdline  = le64(b[24:])
		rsdp     = le64(b[32:])
		regions  = le64(b[40:])
		nregions = le32(b[48:])
	)
	info.RSDP = rsdp
	if version < 1 || nregions == 0 {
		return ErrNoMap
	}
	if nregions > MaxMap {
		return ErrMap
	}
	b = mem(regions, uint64(nregions)*regionSize)
	if uint64(len(b)) < uint64(nregions)*regionSize {
		return ErrUnreadable
	}
	for ; nregions > 0; nregions-- {
		r := Region{le64(b), le64(b[8:]), le32(b[16:])}
		if r.Addr+r.Size < r.Addr {
			return ErrMap
		}
		if r.Size > 0 {
			info.regions[info.nregion] = r
			info.nregion++
		}
		b = b[regionSize:]
	}
	var err error
	if cmdline != 0 {
		if info.cmdLen, err = cstring(mem, cmdline, info.cmd[:]); err != nil {
			return err
		}
	}
	if nmodules > MaxModules {
		return ErrModules
	}
	if nmodules == 0 {
		return nil
	}
	b = mem(modules, uint64(nmodules)*moduleSize)
	if uint64(len(b)) < uint64(nmodules)*moduleSize {
		return ErrUnreadable
	}
	for ; nmodules > 0; nmodules-- {
		m := &info.modules[info.nmodule]
		m.Addr, m.Size = le64(b), le64(b[8:])
		if m.Addr+m.Size < m.Addr {
			return ErrModules
		}
		if cmd := le64(b[16:]); cmd != 0 {
			if m.cmdLen, err = cstring(mem, cmd, m.cmd[:]); err != nil {
				return err
			}
		}
		info.nmodule++
		b = b[moduleSize:]
	}
	return nil
}

// cstring copies the NUL-terminated string at addr to dst and returns its length.
func cstring(mem Memory, addr uint64, dst []byte) (int, error) {
	for i := range dst {
		b := mem(addr+uint64(i), 1)
		if len(b) == 0 {
			break
		}
		if b[0] == 0 {
			return i, nil
		}
		dst[i] = b[0]
	}
	return 0, ErrCmdLine
}

func le32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }
