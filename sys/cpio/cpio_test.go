package cpio

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func directory(name string) Entry { return Entry{Name: name, Mode: 0o40755} }
func file(name, contents string) Entry {
	return Entry{Name: name, Mode: 0o100644, Data: []byte(contents)}
}
func symlink(name, to string) Entry { return Entry{Name: name, Mode: 0o120777, Data: []byte(to)} }
func null(name string) Entry        { return Entry{Name: name, Mode: 0o20666, RdevMajor: 1, RdevMinor: 3} }

// build writes an archive as the format's description has it.
func build(entries ...Entry) []byte {
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	for i, e := range append(entries, Entry{Name: trailer}) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", i+1, e.Mode, e.UID, e.GID, max(e.Nlink, 1), e.Mtime,
			len(e.Data), e.DevMajor, e.DevMinor, e.RdevMajor, e.RdevMinor, len(e.Name)+1, 0, e.Name)
		pad()
		b.Write(e.Data)
		pad()
	}
	return b.Bytes()
}

func pack(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(b)
	w.Close()
	return z.Bytes()
}

func names(t testing.TB, b []byte) (l string, err error) {
	err = Walk(b, 1<<20, func(e Entry) error {
		l += fmt.Sprintf("%s %o %q,", e.Name, e.Mode, e.Data)
		return nil
	})
	return l, err
}

func TestWalk_archivesInARow(t *testing.T) {
	one := build(directory("etc"), file("etc/hosts", "127.0.0.1 a\n"))
	two := build(symlink("bin/sh", "busybox"), null("dev/null"))
	const wantOne, wantTwo = `etc 40755 "",etc/hosts 100644 "127.0.0.1 a\n",`, `bin/sh 120777 "busybox",dev/null 20666 "",`
	pad := func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, 512)...) }
	for name, in := range map[string][]byte{
		"plain":              append(bytes.Clone(one), two...),
		"padded":             append(pad(one), pad(two)...),
		"compressed":         append(pack(one), pack(two)...),
		"plain, compressed":  append(pad(one), pack(two)...),
		"two compressed":     pack(append(pad(one), two...)),
		"compressed, padded": append(pad(pack(one)), two...),
	} {
		if got, err := names(t, in); err != nil || got != wantOne+wantTwo {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestWalk_refusesWhatIsBroken(t *testing.T) {
	good := build(file("a", "contents"))
	set := func(at int, s string) []byte {
		b := bytes.Clone(good)
		copy(b[at:], s)
		return b
	}
	for name, in := range map[string][]byte{
		"not an archive": []byte("hello"),
		"header cut":     good[:100],
		"name cut":       good[:111],
		"data cut":       good[:118],
		"size huge":      set(6+6*8, "ffffffff"),
		"name huge":      set(6+11*8, "ffffffff"),
		"name empty":     set(6+11*8, "00000000"),
		"name unended":   set(6+11*8, "00000001"),
		"not hex":        set(6+6*8, "0000000g"),
		"old format":     set(0, "070707"),
		"gzip cut":       pack(good)[:30],
		"gzip of trash":  pack([]byte("trash")),
	} {
		if got, err := names(t, in); err == nil {
			t.Errorf("%s: no error, entries %s", name, got)
		}
	}
	bomb := pack(build(file("zeros", string(make([]byte, 2<<20)))))
	if _, err := names(t, bomb); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an archive above the limit: %v", err)
	}
}

// TestWalk_gnuCpio reads what cpio(1) made.
func TestWalk_gnuCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("no cpio command")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "one", "b": "", "long": strings.Repeat("x", 9001)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("cpio", "-o", "-H", "newc", "--quiet")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("a\nb\nlong\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`a 100640 "one",b 100640 "",long 100640 "%s",`, strings.Repeat("x", 9001))
	if got, err := names(t, out); err != nil || got != want {
		t.Errorf("got %.100s, %v", got, err)
	}
}

// FuzzWalk reads anything: no entry may reach outside of its archive, and what
// was read must come back when it is written and read again.
func FuzzWalk(f *testing.F) {
	f.Add(build(directory("d"), file("d/f", "x"), symlink("l", "d/f")))
	f.Add(pack(build(file("f", "hello"))))
	f.Add(append(make([]byte, 8), build(null("n"))...))
	f.Fuzz(func(t *testing.T, in []byte) {
		var got []Entry
		if err := Walk(in, 1<<20, func(e Entry) error {
			if e.Name == "" || strings.ContainsRune(e.Name, 0) || len(got) > 1000 {
				return io.EOF
			}
			got = append(got, e)
			return nil
		}); err != nil {
			return
		}
		i := 0
		err := Walk(build(got...), 1<<20, func(e Entry) error {
			if w := got[i]; e.Name != w.Name || e.Mode != w.Mode || e.Mtime != w.Mtime || !bytes.Equal(e.Data, w.Data) {
				t.Fatalf("entry %d: %+v, want %+v", i, e, w)
			}
			i++
			return nil
		})
		if err != nil || i != len(got) {
			t.Fatalf("%d of %d entries came back: %v", i, len(got), err)
		}
	})
}

// A compression that is not known is named, and a sum that is wrong is an
// error.
func TestWalk_otherCompression_isNamed(t *testing.T) {
	one := build(file("a", "x"))
	for name, magic := range map[string]string{"xz": "\xfd7zXZ\x00", "zstd": "\x28\xb5\x2f\xfd", "bzip2": "BZh9", "lz4": "\x02\x21\x4c\x18"} {
		l, err := names(t, append(bytes.Clone(one), magic...))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), name) || l == "" {
			t.Errorf("%s: %q %v", name, l, err)
		}
	}
	b := build(file("a", "xyz"))
	b[5] = '2'
	if _, err := names(t, b); !errors.Is(err, ErrChecksum) {
		t.Errorf("wrong sum: %v", err)
	}
	copy(b[102:], fmt.Sprintf("%08x", 'x'+'y'+'z'))
	copy(b[len(b)-124:], "070702")
	if l, err := names(t, b); err != nil || l == "" {
		t.Errorf("right sum: %q %v", l, err)
	}
}
