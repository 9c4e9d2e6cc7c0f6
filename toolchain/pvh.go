package toolchain

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The note a PVH loader looks for: Xen's ELF notes (xen/include/public/elfnote.h), type XEN_ELFNOTE_PHYS32_ENTRY.
const (
	pvhNoteName = "Xen\x00"
	pvhNoteType = 18
	pvhNoteSize = 12 + len(pvhNoteName) + 8 // header, name, 64-bit entry address
	maxNoteSize = 1 << 16                   // what is read of a PT_NOTE
)

// SetPVHNote replaces what the linker left in the PT_NOTE segment of the ELF file at name by one PVH note whose entry is
// the ELF's own entry address.
func SetPVHNote(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := setPVHNote(f); err != nil {
		f.Close()
		return fmt.Errorf("marking %s as bootable: %w", name, err)
	}
	return f.Close()
}

func setPVHNote(f interface {
	io.ReaderAt
	io.WriterAt
}) error {
	e, err := elf.NewFile(f)
	if err != nil {
		return err
	}
	if e.Class != elf.ELFCLASS64 || e.Machine != elf.EM_X86_64 || e.Type != elf.ET_EXEC {
		return fmt.Errorf("want a static x86-64 executable, not %v %v %v", e.Class, e.Machine, e.Type)
	}
	if e.Entry >= 1<<32 {
		return fmt.Errorf("the entry address %#x is not below 4 GiB, where a PVH loader enters", e.Entry)
	}
	for i, prog := range e.Progs {
		if prog.Type != elf.PT_NOTE {
			continue
		}
		if prog.Filesz < uint64(pvhNoteSize) {
			return fmt.Errorf("its PT_NOTE has %d bytes, a PVH note needs %d", prog.Filesz, pvhNoteSize)
		}
		if prog.Filesz > maxNoteSize {
			return fmt.Errorf("its PT_NOTE claims %d bytes, no linker writes more than %d", prog.Filesz, maxNoteSize)
		}
		note := make([]byte, prog.Filesz) // what follows our note is cleared
		le := binary.LittleEndian
		le.PutUint32(note[0:], uint32(len(pvhNoteName)))
		le.PutUint32(note[4:], 8)
		le.PutUint32(note[8:], pvhNoteType)
		copy(note[12:], pvhNoteName)
		le.PutUint64(note[12+len(pvhNoteName):], e.Entry)
		if _, err := f.WriteAt(note, int64(prog.Off)); err != nil {
			return err
		}
		// Loaders walk notes until the segment's size: cut it to the one note. Offsets are those of Elf64_Phdr.
		var phoff [8]byte
		if _, err := f.ReadAt(phoff[:], 32); err != nil {
			return err
		}
		at := int64(le.Uint64(phoff[:])) + int64(i)*56
		var size [8]byte
		le.PutUint64(size[:], uint64(pvhNoteSize))
		for _, field := range []int64{32, 40} { // p_filesz, p_memsz
			if _, err := f.WriteAt(size[:], at+field); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("it has no PT_NOTE segment to hold the PVH note (was it linked with -buildid=?)")
}

// PVHEntry returns the entry address in the PVH note of the ELF file at name; it fails if there is none.
func PVHEntry(name string) (uint64, error) {
	e, err := elf.Open(name)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	for _, prog := range e.Progs {
		if prog.Type != elf.PT_NOTE || prog.Filesz > maxNoteSize {
			continue
		}
		data, err := io.ReadAll(prog.Open())
		if err != nil {
			return 0, err
		}
		for len(data) >= 12 {
			le := binary.LittleEndian
			namesz, descsz, typ := uint64(le.Uint32(data)), uint64(le.Uint32(data[4:])), le.Uint32(data[8:])
			nameEnd := 12 + (namesz+3)&^3
			descEnd := nameEnd + (descsz+3)&^3
			if descEnd > uint64(len(data)) {
				break
			}
			if typ == pvhNoteType && string(data[12:12+namesz]) == pvhNoteName && descsz == 8 {
				return le.Uint64(data[nameEnd:]), nil
			}
			data = data[descEnd:]
		}
	}
	return 0, fmt.Errorf("%s has no PVH note: it is not an image made by barewire build", name)
}

// Sizes are what an image takes.
type Sizes struct {
	File int64  // bytes on disk
	Text uint64 // bytes of loaded executable segments
	Data uint64 // bytes of loaded other segments, from the file
	Bss  uint64 // bytes of memory beyond the file's
	Low  uint64 // physical address of the first loaded byte
	High uint64 // physical address after the last one
}

// ImageSizes reads the sizes of the ELF file at name.
func ImageSizes(name string) (Sizes, error) {
	var s Sizes
	info, err := os.Stat(name)
	if err != nil {
		return s, err
	}
	e, err := elf.Open(name)
	if err != nil {
		return s, err
	}
	defer e.Close()
	s.File = info.Size()
	s.Low = ^uint64(0)
	for _, p := range e.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if p.Flags&elf.PF_X != 0 {
			s.Text += p.Filesz
		} else {
			s.Data += p.Filesz
		}
		s.Bss += p.Memsz - p.Filesz
		s.Low = min(s.Low, p.Paddr)
		s.High = max(s.High, p.Paddr+p.Memsz)
	}
	return s, nil
}

// String gives the sizes in one line.
func (s Sizes) String() string {
	return fmt.Sprintf("%.1f MiB (text %.1f, data %.1f, bss %.1f MiB), loaded at %#x-%#x",
		mib(uint64(s.File)), mib(s.Text), mib(s.Data), mib(s.Bss), s.Low, s.High)
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }
