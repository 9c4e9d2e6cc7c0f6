// Package fwcfg reads QEMU's firmware configuration device: named files that
// the host gives a guest on QEMU's command line, as in
//
//	-fw_cfg name=opt/org.barewire/rules,file=rules.v4
//
// (QEMU: docs/specs/fw_cfg.rst; Linux: drivers/firmware/qemu_fw_cfg.c.) It
// knows the format, not the ports: the board passes those as a [Port].
//
// The device is as little trusted as any other: a directory that makes no
// sense is an error, and what is read is bounded by [MaxFiles] and [MaxFile].
package fwcfg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Limits of what is looked at.
const (
	MaxFiles = 1024     // entries of the directory
	MaxFile  = 64 << 20 // bytes of one file
)

// Selectors with a fixed meaning.
const (
	keySignature = 0x00
	keyRevision  = 0x01
	keyDirectory = 0x19
	keyFirstFile = 0x20
)

// Port is the device: a selector that starts an item from its first byte, and
// the bytes of the item one after the other.
type Port interface {
	Select(key uint16)
	Read(p []byte)
}

// File is one entry of the directory.
type File struct {
	Name string // such as "opt/org.barewire/rules"
	Key  uint16 // its selector
	Size uint32 // in bytes
}

// Device is a device that was found.
type Device struct {
	port Port
	// Revision is the device's feature bits.
	Revision uint32
	// Files is the directory, in the device's order.
	Files []File
}

// ErrNoDevice says that the ports answer with something else.
var ErrNoDevice = errors.New("fwcfg: no device") // read-only

// Open looks whether the device is there and reads its directory.
func Open(p Port) (*Device, error) {
	var sign [4]byte
	p.Select(keySignature)
	p.Read(sign[:])
	if string(sign[:]) != "QEMU" {
		return nil, ErrNoDevice
	}
	d := &Device{port: p}
	var word [4]byte
	p.Select(keyRevision)
	p.Read(word[:])
	d.Revision = binary.LittleEndian.Uint32(word[:])

	p.Select(keyDirectory)
	p.Read(word[:])
	n := binary.BigEndian.Uint32(word[:])
	if n > MaxFiles {
		return nil, fmt.Errorf("fwcfg: a directory of %d files", n)
	}
	seen := make(map[string]bool)
	for range n {
		var e [64]byte
		p.Read(e[:])
		f, err := parse(e[:])
		if err != nil {
			return nil, err
		}
		if !seen[f.Name] {
			seen[f.Name] = true
			d.Files = append(d.Files, f)
		}
	}
	return d, nil
}

// parse reads an entry: size, selector, two bytes of nothing, and a name of at
// most 55 bytes that ends with a zero.
func parse(e []byte) (File, error) {
	f := File{Size: binary.BigEndian.Uint32(e), Key: binary.BigEndian.Uint16(e[4:])}
	name, _, ended := strings.Cut(string(e[8:]), "\x00")
	switch {
	case !ended || name == "" || !clean(name):
		return f, fmt.Errorf("fwcfg: a file's name is %q", name)
	case f.Key < keyFirstFile:
		return f, fmt.Errorf("fwcfg: file %s has selector %#x", name, f.Key)
	}
	f.Name = name
	return f, nil
}

// clean tells whether a name can be a path below a directory.
func clean(name string) bool {
	for _, part := range strings.Split(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// ReadFile returns the contents of a file.
func (d *Device) ReadFile(f File) ([]byte, error) {
	if f.Size > MaxFile {
		return nil, fmt.Errorf("fwcfg: %s has %d bytes, more than %d", f.Name, f.Size, MaxFile)
	}
	b := make([]byte, f.Size)
	d.port.Select(f.Key)
	d.port.Read(b)
	return b, nil
}
