package toolchain

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hello builds a small Linux program with the stock toolchain and returns its path.
func hello(t *testing.T) string {
	t.Helper()
	dir := writeTree(t, map[string]string{
		"go.mod":  "module hello\n",
		"main.go": "package main\n\nfunc main() { println(\"hello\") }\n",
	})
	cmd := exec.Command("go", "build", "-o", "hello", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "hello")
}

// memFile is an ELF file in memory.
type memFile struct{ data []byte }

func (m *memFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

func (m *memFile) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m.data)) {
		return 0, bytes.ErrTooLarge
	}
	return copy(m.data[off:], p), nil
}

func TestSetPVHNote_realProgram_entryReadsBackAndItStillRuns(t *testing.T) {
	name := hello(t)
	if _, err := PVHEntry(name); err == nil {
		t.Error("a stock program has a PVH note")
	}
	if err := SetPVHNote(name); err != nil {
		t.Fatal(err)
	}
	e, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got, err := PVHEntry(name); err != nil || got != e.Entry || got == 0 {
		t.Errorf("the note's entry is %#x, %v; the ELF's is %#x", got, err, e.Entry)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_NOTE && (p.Filesz != 24 || p.Memsz != 24) {
			t.Errorf("PT_NOTE has %d bytes in the file and %d in memory, want one note of 24", p.Filesz, p.Memsz)
		}
	}
	if out, err := exec.Command(name).CombinedOutput(); err != nil || string(out) != "hello\n" {
		t.Errorf("the marked program printed %q, %v", out, err)
	}
	sizes, err := ImageSizes(name)
	if err != nil || sizes.Text == 0 || sizes.Data == 0 || sizes.High <= sizes.Low || sizes.File == 0 {
		t.Errorf("sizes %+v, %v", sizes, err)
	}
}

func TestSetPVHNote_noRoom_isAClearError(t *testing.T) {
	program, err := os.ReadFile(hello(t))
	if err != nil {
		t.Fatal(err)
	}
	phoff := binary.LittleEndian.Uint64(program[32:])
	phnum := int(binary.LittleEndian.Uint16(program[56:]))
	// change returns the program with each PT_NOTE header changed.
	change := func(f func(header []byte)) *memFile {
		data := bytes.Clone(program)
		for i := range phnum {
			h := data[phoff+uint64(i)*56:][:56]
			if elf.ProgType(binary.LittleEndian.Uint32(h)) == elf.PT_NOTE {
				f(h)
			}
		}
		return &memFile{data}
	}
	high := bytes.Clone(program)
	binary.LittleEndian.PutUint64(high[24:], 1<<32)
	for want, f := range map[string]*memFile{
		"no PT_NOTE":            change(func(h []byte) { binary.LittleEndian.PutUint32(h, uint32(elf.PT_NULL)) }),
		"a PVH note needs 24":   change(func(h []byte) { binary.LittleEndian.PutUint64(h[32:], 23) }),
		"not below 4 GiB":       {high},
		"bad magic":             {[]byte("#!/bin/sh\nthis is not an ELF file, whatever its name may be\n")},
		"static x86-64 program": nil,
	} {
		if f == nil {
			arm := bytes.Clone(program)
			binary.LittleEndian.PutUint16(arm[18:], uint16(elf.EM_AARCH64))
			f, want = &memFile{arm}, "x86-64"
		}
		if err := setPVHNote(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func FuzzSetPVHNote(f *testing.F) {
	// The smallest file that gets through: header, one PT_NOTE, room.
	seed := make([]byte, 64+56+24)
	copy(seed, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(seed[16:], 2)
	le.PutUint16(seed[18:], 62)
	le.PutUint32(seed[20:], 1)
	le.PutUint64(seed[24:], 0x201000)
	le.PutUint64(seed[32:], 64)
	le.PutUint16(seed[52:], 64)
	le.PutUint16(seed[54:], 56)
	le.PutUint16(seed[56:], 1)
	le.PutUint32(seed[64:], 4)
	le.PutUint64(seed[64+8:], 64+56)
	le.PutUint64(seed[64+32:], 24)
	if err := setPVHNote(&memFile{bytes.Clone(seed)}); err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		m := &memFile{bytes.Clone(data)}
		if setPVHNote(m) == nil && len(m.data) != len(data) {
			t.Fatal("the file's size changed")
		}
	})
}
