package pvh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// image is physical memory from 0 on, for tests.
type image []byte

func (m image) at(addr, n uint64) []byte {
	if addr > uint64(len(m)) || n > uint64(len(m))-addr {
		return nil
	}
	return m[addr : addr+n]
}

// start builds a start info at 0x100 with what it points to behind it.
func start(cmdline string, regions []Region, modules []Module) image {
	m := make(image, 1<<16)
	le := binary.LittleEndian
	b := m[0x100:]
	le.PutUint32(b, magic)
	le.PutUint32(b[4:], 1)
	le.PutUint32(b[12:], uint32(len(modules)))
	le.PutUint64(b[16:], 0x1000)
	le.PutUint64(b[24:], 0x2000)
	le.PutUint64(b[32:], 0xe0000)
	le.PutUint64(b[40:], 0x4000)
	le.PutUint32(b[48:], uint32(len(regions)))
	copy(m[0x2000:], cmdline)
	for i, r := range regions {
		b := m[0x4000+i*regionSize:]
		le.PutUint64(b, r.Addr)
		le.PutUint64(b[8:], r.Size)
		le.PutUint32(b[16:], r.Type)
	}
	for i, mod := range modules {
		b := m[0x1000+i*moduleSize:]
		le.PutUint64(b, mod.Addr)
		le.PutUint64(b[8:], mod.Size)
	}
	return m
}

var usual = []Region{{0, 0x9fc00, RAM}, {0x100000, 0x7f00000, RAM}, {0xfffc0000, 0x40000, Reserved}}

func TestParse_usualLoader_everythingCopied(t *testing.T) {
	m := start("ip=dhcp -- -v", usual, []Module{{Addr: 0x200000, Size: 5}})
	var info Info
	if err := Parse(m.at, 0x100, &info); err != nil {
		t.Fatal(err)
	}
	clear(m)
	if got := string(info.CmdLine()); got != "ip=dhcp -- -v" {
		t.Errorf("command line %q", got)
	}
	if info.RSDP != 0xe0000 || len(info.Map()) != 3 || info.Map()[1] != usual[1] {
		t.Errorf("rsdp %#x map %v", info.RSDP, info.Map())
	}
	if ms := info.Modules(); len(ms) != 1 || ms[0].Addr != 0x200000 || ms[0].Size != 5 || len(ms[0].CmdLine()) != 0 {
		t.Errorf("modules %v", ms)
	}
}

func TestParse_wrongInput_saysWhich(t *testing.T) {
	put := func(off int, v uint64, width int) func(image) {
		return func(m image) {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], v)
			copy(m[off:], b[:width])
		}
	}
	for _, c := range []struct {
		name string
		edit func(image)
		want error
	}{
		{"magic", put(0x100, 1, 4), ErrMagic},
		{"version 0", put(0x104, 0, 4), ErrNoMap},
		{"no map", put(0x130, 0, 4), ErrNoMap},
		{"map of millions", put(0x130, 1<<31, 4), ErrMap},
		{"map elsewhere", put(0x128, 1<<40, 8), ErrUnreadable},
		{"map entry wraps", put(0x4008, 1<<64-1, 8), nil}, // 0 + 2^64-1 does not wrap
		{"map entry wraps above", put(0x4018+8, 1<<64-1, 8), ErrMap},
		{"modules of millions", put(0x10c, 1<<31, 4), ErrModules},
		{"modules elsewhere", put(0x110, 1<<63, 8), ErrUnreadable},
		{"module wraps", put(0x1008, 1<<64-1, 8), ErrModules},
		{"command line elsewhere", put(0x118, 1<<40, 8), ErrCmdLine},
		{"command line without end", func(m image) { copy(m[0x2000:], bytes.Repeat([]byte("x"), MaxCmdLine+1)) }, ErrCmdLine},
	} {
		m := start("", usual, []Module{{Addr: 0x200000, Size: 5}})
		c.edit(m)
		var info Info
		if err := Parse(m.at, 0x100, &info); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: err = %v, want %v", c.name, err, c.want)
		}
	}
	var info Info
	if err := Parse(image(nil).at, 0x100, &info); !errors.Is(err, ErrUnreadable) {
		t.Errorf("no memory: err = %v", err)
	}
}

func TestParse_any_allocatesNothing(t *testing.T) {
	m := start(strings.Repeat("x", 1000), usual, []Module{{Addr: 0x200000, Size: 5}})
	var info Info
	if n := testing.AllocsPerRun(10, func() { info = Info{}; Parse(m.at, 0x100, &info) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(start("a b", usual, []Module{{Addr: 0x200000, Size: 5}})[:0x4100]), uint64(0x100))
	f.Fuzz(func(t *testing.T, b []byte, addr uint64) {
		var info Info
		if Parse(image(b).at, addr, &info) != nil {
			return
		}
		for _, r := range info.Map() {
			if r.Size == 0 || r.Addr+r.Size < r.Addr {
				t.Fatalf("region %+v", r)
			}
		}
		for _, m := range info.Modules() {
			if m.Addr+m.Size < m.Addr {
				t.Fatalf("module %+v", m)
			}
		}
		if bytes.IndexByte(info.CmdLine(), 0) >= 0 {
			t.Fatal("NUL in the command line")
		}
	})
}
