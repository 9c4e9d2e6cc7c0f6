package fwcfg

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// model is a device in memory: items by selector, and zeros behind their end.
type model struct {
	items map[uint16][]byte
	rest  []byte
}

func (m *model) Select(key uint16) { m.rest = m.items[key] }

func (m *model) Read(p []byte) {
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	clear(p[n:])
}

func entry(name string, key uint16, size uint32) []byte {
	e := make([]byte, 64)
	binary.BigEndian.PutUint32(e, size)
	binary.BigEndian.PutUint16(e[4:], key)
	copy(e[8:], name)
	return e
}

func device(n uint32, entries ...[]byte) *model {
	dir := binary.BigEndian.AppendUint32(nil, n)
	return &model{items: map[uint16][]byte{
		keySignature: []byte("QEMU"),
		keyRevision:  {3, 0, 0, 0},
		keyDirectory: append(dir, bytes.Join(entries, nil)...),
		0x20:         []byte("first"),
		0x21:         []byte("second file"),
	}}
}

func TestOpen_directory(t *testing.T) {
	d, err := Open(device(3, entry("etc/acpi", 0x20, 5), entry("opt/org.barewire/rules", 0x21, 11), entry("etc/acpi", 0x22, 9)))
	if err != nil {
		t.Fatal(err)
	}
	if d.Revision != 3 || len(d.Files) != 2 {
		t.Fatalf("revision %d, files %v", d.Revision, d.Files)
	}
	for i, want := range []string{"first", "second file"} {
		if b, err := d.ReadFile(d.Files[i]); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", d.Files[i].Name, b, err)
		}
	}
}

func TestOpen_refused(t *testing.T) {
	for want, m := range map[string]*model{
		"no device":              {},
		"a directory of 1025":    device(MaxFiles + 1),
		`name is ""`:             device(1, entry("", 0x20, 0)),
		`name is "../etc"`:       device(1, entry("../etc", 0x20, 0)),
		`name is "a//b"`:         device(1, entry("a//b", 0x20, 0)),
		`name is "a\nb"`:         device(1, entry("a\nb", 0x20, 0)),
		`name is "xxxxxxxx`:      device(1, entry(strings.Repeat("x", 56), 0x20, 0)),
		"file x has selector 0x": device(1, entry("x", 0x19, 0)),
	} {
		if _, err := Open(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := (&Device{}).ReadFile(File{Name: "big", Size: MaxFile + 1}); err == nil {
		t.Error("a file beyond the bound was read")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(device(1, entry("opt/x", 0x20, 5)).items[keyDirectory])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, dir []byte) {
		m := device(0)
		m.items[keyDirectory] = dir
		d, err := Open(m)
		if err != nil {
			return
		}
		for _, file := range d.Files {
			if !clean(file.Name) || len(file.Name) > 55 {
				t.Fatalf("name %q", file.Name)
			}
		}
	})
}
