package acpi

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// machine is physical memory with tables in it.
type machine []byte

func (m machine) at(addr, n uint64) []byte {
	if addr > uint64(len(m)) || n > uint64(len(m))-addr {
		return nil
	}
	return m[addr : addr+n]
}

func fix(b []byte, at int) {
	b[at] = 0
	b[at] = -sum(b)
}

// put places a table with the given body at addr.
func (m machine) put(addr int, sig string, body []byte) {
	t := m[addr : addr+36+len(body)]
	copy(t, sig)
	binary.LittleEndian.PutUint32(t[4:], uint32(len(t)))
	copy(t[36:], body)
	fix(t, 9)
}

// microvm builds the tables of a machine like QEMU's: two I/O APICs, an override, a PM timer, one ECAM.
func microvm(wide bool) machine {
	le := binary.LittleEndian
	m := make(machine, 0x4000)
	madt := make([]byte, 8)
	le.PutUint32(madt, 0xfee00000)
	madt = append(madt, 0, 8, 0, 0, 1, 0, 0, 0)                     // processor, enabled
	madt = append(madt, 0, 8, 1, 1, 0, 0, 0, 0)                     // processor, not enabled
	madt = append(madt, 0, 8, 2, 3, 1, 0, 0, 0)                     // processor 2, APIC id 3
	madt = append(madt, 0, 8, 3, 5, 2, 0, 0, 0)                     // processor that may be plugged in
	madt = append(madt, 0, 8, 4, 255, 1, 0, 0, 0)                   // no processor: the broadcast id
	madt = append(madt, 9, 16, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0)        // APIC id 3 once more, as x2APIC
	madt = append(madt, 0, 0, 0, 0)                                 // its processor's UID
	madt = append(madt, 9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0)        // x2APIC id 256
	madt = append(madt, 0, 0, 0, 0)                                 // its processor's UID
	madt = append(madt, 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0)  // I/O APIC
	madt = append(madt, 1, 12, 1, 0, 0, 0, 0xc1, 0xfe, 24, 0, 0, 0) // and another
	madt = append(madt, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0)              // ISA 0 is GSI 2
	madt = append(madt, 2, 10, 0, 9, 9, 0, 0, 0, 0xf, 0)            // ISA 9: level, low
	mcfg := append(make([]byte, 8), 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0)
	fadt := make([]byte, 116-36)
	le.PutUint32(fadt[76-36:], 0x608)
	fadt[91-36] = 4
	m.put(0x1000, "APIC", madt)
	m.put(0x1400, "MCFG", mcfg)
	m.put(0x1800, "FACP", fadt)
	var root []byte
	for _, p := range []uint64{0x1000, 0x1400, 0x1800} {
		if wide {
			root = le.AppendUint64(root, p)
		} else {
			root = le.AppendUint32(root, uint32(p))
		}
	}
	rsdp := m[0x100:0x124]
	copy(rsdp, "RSD PTR ")
	if wide {
		m.put(0x2000, "XSDT", root)
		rsdp[15] = 2
		le.PutUint32(rsdp[20:], 36)
		le.PutUint64(rsdp[24:], 0x2000)
		fix(rsdp[:20], 8)
		fix(rsdp, 32)
	} else {
		m.put(0x2000, "RSDT", root)
		le.PutUint32(rsdp[16:], 0x2000)
		fix(rsdp[:20], 8)
	}
	return m
}

func TestParse_goodTables_everythingFound(t *testing.T) {
	for _, wide := range []bool{false, true} {
		var i Info
		if err := Parse(microvm(wide).at, 0x100, &i); err != nil {
			t.Fatal(err)
		}
		if i.LAPIC != 0xfee00000 || !slices.Equal(i.CPUs(), []uint32{0, 3, 256}) || i.PMTimer != 0x608 || i.PMTimer32 {
			t.Errorf("wide %v: %+v", wide, i)
		}
		if io := i.IOAPICs(); len(io) != 2 || io[1] != (IOAPIC{0xfec10000, 24}) {
			t.Errorf("I/O APICs %v", io)
		}
		if e := i.ECAMs(); len(e) != 1 || e[0] != (ECAM{0xb0000000, 0, 0, 255}) {
			t.Errorf("ECAMs %v", e)
		}
		if gsi, flags := i.ISA(0); gsi != 2 || flags != 0 {
			t.Errorf("ISA 0: %d %#x", gsi, flags)
		}
		if gsi, flags := i.ISA(9); gsi != 9 || flags != 0xf {
			t.Errorf("ISA 9: %d %#x", gsi, flags)
		}
		if gsi, flags := i.ISA(4); gsi != 4 || flags != 0 {
			t.Errorf("ISA 4: %d %#x", gsi, flags)
		}
	}
}

func TestParse_damagedTable_passedOver(t *testing.T) {
	m := microvm(false)
	m[0x1000+44]++ // the MADT's checksum is wrong now
	var i Info
	if err := Parse(m.at, 0x100, &i); err != nil {
		t.Fatal(err)
	}
	if len(i.IOAPICs()) != 0 || i.PMTimer != 0x608 {
		t.Errorf("%+v", i)
	}
}

func TestParse_damagedRoot_error(t *testing.T) {
	m := microvm(false)
	m[0x108]++
	var i Info
	if err := Parse(m.at, 0x100, &i); !errors.Is(err, ErrRSDP) {
		t.Errorf("err = %v, want ErrRSDP", err)
	}
	m = microvm(false)
	m[0x2009]++
	if err := Parse(m.at, 0x100, &i); !errors.Is(err, ErrRoot) {
		t.Errorf("err = %v, want ErrRoot", err)
	}
	if err := Parse(m.at, 1<<60, &i); !errors.Is(err, ErrRSDP) {
		t.Errorf("err = %v, want ErrRSDP", err)
	}
}

// FuzzParse repairs the checksums, so that what lies behind them is reached.
func FuzzParse(f *testing.F) {
	f.Add([]byte(microvm(false)[:0x2100]), uint16(0x100))
	f.Add([]byte(microvm(true)[:0x2100]), uint16(0x100))
	f.Fuzz(func(t *testing.T, b []byte, addr uint16) {
		m := machine(b)
		for _, at := range []int{0x1000, 0x1400, 0x1800, 0x2000} {
			if len(m) > at+36 {
				if n := int(binary.LittleEndian.Uint32(m[at+4:])); n >= 36 && n <= len(m)-at {
					fix(m[at:at+n], 9)
				}
			}
		}
		if len(m) >= 0x124 {
			fix(m[0x100:0x114], 8)
			fix(m[0x100:0x124], 32)
		}
		var i Info
		if Parse(m.at, uint64(addr), &i) != nil {
			return
		}
		for _, e := range i.ECAMs() {
			if e.EndBus < e.StartBus || e.Base == 0 {
				t.Fatalf("%+v", e)
			}
		}
		for n, id := range i.CPUs() {
			if slices.Contains(i.CPUs()[:n], id) {
				t.Fatalf("processor %d twice in %v", id, i.CPUs())
			}
		}
		i.ISA(4)
	})
}

func TestParse_moreProcessorsThanRoom_theFirstOnes(t *testing.T) {
	m := microvm(false)
	madt := make([]byte, 8)
	for id := range byte(MaxCPUs + 10) {
		madt = append(madt, 0, 8, id, id, 1, 0, 0, 0)
	}
	m.put(0x3000, "APIC", madt)
	binary.LittleEndian.PutUint32(m[0x2000+36:], 0x3000)
	fix(m[0x2000:0x2000+36+12], 9)
	var i Info
	if err := Parse(m.at, 0x100, &i); err != nil {
		t.Fatal(err)
	}
	if c := i.CPUs(); len(c) != MaxCPUs || c[MaxCPUs-1] != MaxCPUs-1 {
		t.Errorf("CPUs %v", c)
	}
}
