package cpio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"barewire/sys/cpio"

	uroot "github.com/u-root/u-root/pkg/cpio"
)

// u-root's pkg/cpio, which makes most initramfs archives for programs in Go,
// is the reference here. The kernel cannot stand on it, since it reads through
// package os; so it is asked whether both understand the same.

// record makes a file of any kind that an initramfs may hold.
func record(r *rand.Rand, i int) uroot.Record {
	name := fmt.Sprintf("d%d/%s%d", r.IntN(4), strings.Repeat("n", 1+r.IntN(40)), i)
	info := uroot.Info{Ino: uint64(i), UID: uint64(r.Uint32()), GID: uint64(r.Uint32()), NLink: 1 + uint64(r.IntN(3)), MTime: uint64(r.Uint32()),
		Major: uint64(r.IntN(1 << 12)), Minor: uint64(r.IntN(1 << 20)), Rmajor: uint64(r.IntN(1 << 12)), Rminor: uint64(r.IntN(1 << 20)), Name: name}
	var data []byte
	switch r.IntN(5) {
	case 0:
		info.Mode = 0o040755
	case 1:
		info.Mode, data = 0o120777, []byte("../"+name)
	case 2:
		info.Mode = 0o020600
	default:
		info.Mode, data = 0o100000|uint64(r.IntN(0o10000)), make([]byte, r.IntN(300))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
	}
	return uroot.StaticRecord(data, info)
}

// text is a record in words, whoever read it.
func text(name string, ino, mode, uid, gid, nlink, mtime, major, minor, rmajor, rminor uint64, data []byte) string {
	return fmt.Sprintf("%q %d %o %d %d %d %d %d:%d %d:%d %x", name, ino, mode, uid, gid, nlink, mtime, major, minor, rmajor, rminor, data)
}

func ours(b []byte) (l []string, err error) {
	err = cpio.Walk(b, 1<<20, func(e cpio.Entry) error {
		l = append(l, text(e.Name, uint64(e.Ino), uint64(e.Mode), uint64(e.UID), uint64(e.GID), uint64(e.Nlink), uint64(e.Mtime),
			uint64(e.DevMajor), uint64(e.DevMinor), uint64(e.RdevMajor), uint64(e.RdevMinor), e.Data))
		return nil
	})
	return l, err
}

func theirs(b []byte) (l []string, err error) {
	r := uroot.Newc.Reader(bytes.NewReader(b))
	for {
		rec, err := r.ReadRecord()
		if errors.Is(err, io.EOF) || err == nil && rec.Name == uroot.Trailer {
			return l, nil
		}
		if err != nil {
			return l, err
		}
		data := make([]byte, rec.FileSize)
		if rec.FileSize > 1<<20 {
			return l, fmt.Errorf("%d bytes", rec.FileSize)
		}
		if rec.FileSize > 0 {
			if _, err := io.ReadFull(io.NewSectionReader(rec, 0, int64(rec.FileSize)), data); err != nil {
				return l, err
			}
		}
		i := rec.Info
		i.Name, _, _ = strings.Cut(i.Name, "\x00") // which ends a name in C
		l = append(l, text(i.Name, i.Ino, i.Mode, i.UID, i.GID, i.NLink, i.MTime, i.Major, i.Minor, i.Rmajor, i.Rminor, data))
	}
}

func write(t testing.TB, recs []uroot.Record) []byte {
	var b bytes.Buffer
	w := uroot.Newc.Writer(&b)
	for _, r := range recs {
		if err := w.WriteRecord(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := uroot.WriteTrailer(w); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What u-root writes is read as u-root reads it, archives of every size and
// after one another.
func TestWalk_readsWhatURootWrites(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var recs []uroot.Record
		for i := range r.IntN(20) {
			recs = append(recs, record(r, i))
		}
		b := write(t, recs)
		want, err := theirs(b)
		if err != nil || len(want) != len(recs) {
			t.Fatalf("seed %d: u-root reads %d of %d records: %v", seed, len(want), len(recs), err)
		}
		got, err := ours(b)
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("seed %d: %v\n here   %s\n u-root %s", seed, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		twice, err := ours(append(append([]byte(nil), b...), b...))
		if err != nil || len(twice) != 2*len(got) {
			t.Fatalf("seed %d: two in a row: %d entries, %v", seed, len(twice), err)
		}
	}
}

// What is accepted whole of damaged archives is what u-root makes of it.
func TestWalk_damaged_asURootOrRefused(t *testing.T) {
	accepted := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := write(t, []uroot.Record{record(r, 1), record(r, 2), record(r, 3)})
		for range 1 + r.IntN(3) {
			switch r.IntN(3) {
			case 0:
				b[r.IntN(len(b))] = "0123456789abcdefABCDEF\x00 g"[r.IntN(25)]
			case 1:
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			case 2:
				b = b[:1+r.IntN(len(b))]
			}
		}
		got, err := ours(b)
		if err != nil {
			continue
		}
		accepted++
		want, _ := theirs(b)
		// u-root ends at an archive's trailer or at its first broken record;
		// the kernel goes on behind the trailer.
		if len(got) < len(want) {
			t.Errorf("seed %d: %d entries here, %d by u-root", seed, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("seed %d, entry %d:\n here   %s\n u-root %s", seed, i, got[i], want[i])
			}
		}
	}
	if accepted < 100 {
		t.Errorf("only %d archives were accepted", accepted)
	}
}
