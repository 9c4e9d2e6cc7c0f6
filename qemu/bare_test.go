package qemu

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// bareImage writes an image of a few bytes to try the harness with, before and
// apart from any image of barewire: it boots as barewire's do (an ELF file with
// a PVH note), prints "ready\n" on the serial port, gives back every byte typed,
// and on 'q' ends QEMU with exit code 42.
func bareImage(t testing.TB) string {
	t.Helper()
	const (
		base = 0x100000 // where the file is loaded
		head = 0x40 + 2*0x38
		note = head // PT_NOTE
		text = note + 0x18
	)
	code := []byte{0xba, 0xf8, 0x03, 0x00, 0x00} // mov edx, 0x3f8: COM1
	for _, c := range []byte("ready\n") {
		code = append(code, 0xb0, c, 0xee) // mov al, c; out dx, al
	}
	loop := len(code)
	code = append(code,
		0xba, 0xfd, 0x03, 0x00, 0x00, // mov edx, 0x3fd: line status
		0xec,       // in al, dx
		0xa8, 0x01, // test al, 1: anything typed?
		0x74, 0xf6, // jz loop
		0xba, 0xf8, 0x03, 0x00, 0x00, // mov edx, 0x3f8
		0xec,      // in al, dx
		0xee,      // out dx, al
		0x3c, 'q', // cmp al, 'q'
		0x75, 0, // jne loop
		0xb0, 42, // mov al, 42
		0xe6, 0xf4, // out 0xf4, al: isa-debug-exit
		0xf4, // hlt: not reached
	)
	jne := len(code) - 7
	code[jne+1] = byte(loop - (jne + 2))

	var b bytes.Buffer
	le := func(v ...any) {
		for _, x := range v {
			binary.Write(&b, binary.LittleEndian, x)
		}
	}
	size := uint64(text + len(code))
	b.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	le(uint16(2), uint16(62), uint32(1), uint64(base+text), uint64(0x40), uint64(0), uint32(0),
		uint16(0x40), uint16(0x38), uint16(2), uint16(0), uint16(0), uint16(0))
	le(uint32(1), uint32(7), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000))
	le(uint32(4), uint32(4), uint64(note), uint64(base+note), uint64(base+note), uint64(0x18), uint64(0x18), uint64(4))
	le(uint32(4), uint32(8), uint32(18)) // name and descriptor lengths; XEN_ELFNOTE_PHYS32_ENTRY
	b.WriteString("Xen\x00")
	le(uint64(base + text))
	b.Write(code)

	file := filepath.Join(t.TempDir(), "bare.elf")
	if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}
