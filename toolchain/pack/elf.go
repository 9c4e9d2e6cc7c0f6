package pack

import (
	"bytes"
	"debug/elf"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

//go:generate go test -run TestStub_asItsSource -update

// stub is the machine code of testdata/stub/stub_386.s, which says what its parameters are.
//
//go:embed stub.bin
var stub []byte

// Where the stub lies: at the begin of the memory above the first MiB, which the image does not use, and which is the program's
// afterwards.
const (
	stubAddr   = 0x100000
	stubParams = 0x800
	stubText   = 0x880
	stubSlots  = 0xa00
	stubNote   = 0xe00
	stubSize   = 0x1000
	workAddr   = 0x110000 // the stub's working memory
	workEnd    = 0x119000
	page       = 0x1000
	slack      = 64 // more room than the copies were seen to need
)

var messages = []string{ // read-only
	"barewire: cannot boot: the machine's memory is too small for this image\r\n",
	"barewire: cannot boot: the loader put something in this image's place; give the machine more memory\r\n",
	"barewire: cannot boot: the packed image is damaged\r\n",
}

// File packs the image in file name. It fails, and leaves the file as it is, if that is no image.
func File(name string) error {
	image, err := os.ReadFile(name)
	if err == nil {
		var packed []byte
		if packed, err = Image(image); err == nil {
			return os.WriteFile(name, packed, 0o777)
		}
	}
	return fmt.Errorf("packing %s: %w", name, err)
}

// Image returns an image packed. The ELF file has to have a PVH entry below 4 GiB: its own entry.
func Image(image []byte) ([]byte, error) {
	m, err := flat(image)
	if err != nil {
		return nil, err
	}
	filtered, values := m.filter()
	packed := compress(filtered)
	out, gap, err := unpack(packed, len(m.data))
	if err == nil {
		m.unfilter(out, values)
	}
	if err != nil || !bytes.Equal(out, m.data) {
		return nil, fmt.Errorf("what is packed does not unpack: %v", err)
	}
	packed = append(packed, make([]byte, -len(packed)&15)...)
	at := m.low + uint64(gap+slack+page-1)&^(page-1)
	m.high = max(m.high, at+uint64(len(packed)))
	spare := (m.high + 15) &^ 15
	top := max(m.high, spare+uint64(m.tables.end-m.tables.start+3)&^3)
	if top > 1<<32 {
		return nil, errors.New("it is too large to be unpacked below 4 GiB")
	}
	return link(m.stub(values, at, packed, spare, top), packed, at, m.high), nil
}

// stub returns the stub with its parameters: see stub_386.s.
func (m *memory) stub(values int, at uint64, packed []byte, spare, top uint64) []byte {
	code := make([]byte, stubSize)
	copy(code, stub)
	p := code[stubParams:]
	le := binary.LittleEndian
	a, b := sums(packed)
	copy(p[32:], a[:])
	copy(p[48:], b[:])
	set := func(from int, values ...uint64) {
		for i, v := range values {
			le.PutUint32(p[from+4*i:], uint32(v))
		}
	}
	set(0, m.entry, m.low, m.low+uint64(len(m.data)), top, at, at+uint64(len(packed)), uint64(len(m.data)))
	set(64, m.low+uint64(m.code.start), m.low+uint64(max(m.code.end-4, m.code.start)),
		m.low+uint64(m.tables.start), m.low+uint64(m.tables.end), uint64(values), spare)
	set(100, m.low+uint64(m.funcs.start), uint64(m.count))
	text := stubText
	for i, s := range messages {
		set(88+4*i, uint64(stubAddr+text))
		text += copy(code[text:stubSlots], s) + 1
	}
	p = code[stubSlots:stubNote]
	put := func(first uint64, count int, direct uint32) {
		values, extra := spans(count, direct)
		for i := range values {
			set(0, first+uint64(values[i]), uint64(31-extra[i]))
			p = p[8:]
		}
	}
	put(1, slots-repeats, directDistances)
	put(longLength, lengths, directLengths)
	return code
}

// memory is an image as it is in memory.
type memory struct {
	entry, low, high uint64
	data             []byte // from low on; what follows up to high is zero
	code             region
	tables, funcs    region // pc-value tables, the table of functions
	count            int    // of functions
}

// filter returns the data as it is packed, and how many bytes of the tables are values.
func (m *memory) filter() ([]byte, int) {
	data := bytes.Clone(m.data)
	values, end := split(data[m.tables.start:m.tables.end])
	m.tables.end = m.tables.start + end
	functions(data[m.funcs.start:m.funcs.end], m.count, true)
	branches(data, m.code, true)
	return data, values
}

// unfilter undoes filter.
func (m *memory) unfilter(data []byte, values int) {
	branches(data, m.code, false)
	functions(data[m.funcs.start:m.funcs.end], m.count, false)
	join(data[m.tables.start:m.tables.end], values)
}

// flat lays the segments of an ELF file out.
func flat(image []byte) (memory, error) {
	e, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return memory{}, err
	}
	m := memory{entry: e.Entry, low: 1 << 32}
	if e.Class != elf.ELFCLASS64 || e.Machine != elf.EM_X86_64 {
		return m, errors.New("it is no x86-64 image")
	}
	var end uint64
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD && p.Filesz > 0 {
			if p.Paddr+p.Memsz > 1<<32 || p.Paddr+p.Memsz < p.Paddr || p.Filesz > p.Memsz || p.Filesz > uint64(len(image)) {
				return m, fmt.Errorf("a segment of %#x bytes at %#x makes no sense", p.Memsz, p.Paddr)
			}
			m.low, m.high, end = min(m.low, p.Paddr), max(m.high, p.Paddr+p.Memsz), max(end, p.Paddr+p.Filesz)
		}
	}
	if m.low < workEnd || m.low >= end || m.entry < m.low || m.entry >= end {
		return m, errors.New("it is not loaded above 1 MiB and entered there, or is packed already")
	}
	m.data = make([]byte, end-m.low)
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD && p.Filesz > 0 {
			if _, err := io.ReadFull(p.Open(), m.data[p.Paddr-m.low:][:p.Filesz]); err != nil {
				return m, err
			}
			if p.Flags&elf.PF_X != 0 {
				m.code = region{int(p.Paddr - m.low), int(p.Paddr + p.Filesz - m.low)}
			}
		}
	}
	m.tables, m.funcs, m.count = pcTables(e, m)
	return m, nil
}

// sums are what the stub compares: of each fourth 32-bit word, and of the sums so far.
func sums(block []byte) (a, b [16]byte) {
	var x, y [4]uint32
	for i := 0; i < len(block); i += 4 {
		k := i / 4 % 4
		x[k] += binary.LittleEndian.Uint32(block[i:])
		y[k] += x[k]
	}
	for k := range x {
		binary.LittleEndian.PutUint32(a[4*k:], x[k])
		binary.LittleEndian.PutUint32(b[4*k:], y[k])
	}
	return a, b
}

// link makes the ELF file: the stub, the block at address at, a note with the entry (see toolchain.SetPVHNote).
func link(code, block []byte, at, high uint64) []byte {
	type note struct {
		Namesz, Descsz, Type uint32
		Name                 [4]byte
		Desc                 uint64
	}
	const noteSize = 24
	var f bytes.Buffer
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: stubAddr,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 3, Shentsize: 64,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	n := note{4, 8, 18, [4]byte{'X', 'e', 'n'}, stubAddr}
	data := uint64(page + stubSize)
	put := func(v any) { binary.Write(&f, binary.LittleEndian, v) } // to memory
	put(h)
	put([]elf.Prog64{
		{Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Off: page + stubNote, Vaddr: stubAddr + stubNote,
			Paddr: stubAddr + stubNote, Filesz: noteSize, Memsz: noteSize, Align: 4},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W | elf.PF_X), Off: page, Vaddr: stubAddr, Paddr: stubAddr,
			Filesz: stubSize, Memsz: stubSize, Align: page},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: data, Vaddr: at, Paddr: at,
			Filesz: uint64(len(block)), Memsz: high - at, Align: page},
	})
	f.Write(make([]byte, page-f.Len()))
	f.Write(code[:stubNote])
	put(n)
	f.Write(make([]byte, page+stubSize-f.Len()))
	f.Write(block)
	return f.Bytes()
}
