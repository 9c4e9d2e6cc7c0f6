// Package cpio reads initramfs archives: the newc format, several of them in a
// row, each plain or gzip-compressed (Linux: init/initramfs.c,
// Documentation/driver-api/early-userspace/buffer-format.rst).
//
// An archive comes from the loader and is not trusted: every length is checked
// against what is there, and what is unpacked is bounded.
package cpio

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// Entry is one file of an archive. Its slices point into the archive.
type Entry struct {
	Name                 string
	Ino, Mode, UID, GID  uint32
	Nlink, Mtime         uint32
	DevMajor, DevMinor   uint32
	RdevMajor, RdevMinor uint32
	Data                 []byte
}

const (
	headerLen = 110
	nameMax   = 4096 // Linux: PATH_MAX, the NUL included
	trailer   = "TRAILER!!!"
)

// ErrFormat says that something is not a cpio archive in the newc format, or
// ends in the middle.
var ErrFormat = errors.New("cpio: not a newc archive") // read-only

// ErrChecksum says that a file of an archive with checksums was damaged.
var ErrChecksum = errors.New("cpio: bad data checksum") // read-only

// ErrTooLarge says that an archive unpacks to more than the limit.
var ErrTooLarge = errors.New("cpio: archive unpacks to more than there is memory for") // read-only

// Walk calls fn for each entry of the archives in b, in order, until it fails.
// Compressed archives may unpack to limit bytes together. Entries before the
// place of an error were passed to fn.
func Walk(b []byte, limit int64, fn func(Entry) error) error {
	all := len(b)
	for {
		b = bytes.TrimLeft(b, "\x00")
		switch {
		case len(b) == 0:
			return nil
		case len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b:
			plain, rest, err := gunzip(b, limit)
			if err != nil {
				return fmt.Errorf("at byte %d: %w", all-len(b), err)
			}
			limit -= int64(len(plain))
			// Compressed archives do not hold compressed ones.
			for plain = bytes.TrimLeft(plain, "\x00"); len(plain) > 0; plain = bytes.TrimLeft(plain, "\x00") {
				if plain, err = archive(plain, fn); err != nil {
					return err
				}
			}
			b = rest
		case compression(b) != "":
			return fmt.Errorf("at byte %d: compressed with %s, of which only gzip is unpacked: %w", all-len(b), compression(b), ErrFormat)
		default:
			rest, err := archive(b, fn)
			if err != nil {
				return err
			}
			b = rest
		}
	}
}

// methods are the compressions that Linux knows by their first two bytes beside
// gzip (Linux: lib/decompress.c); read-only.
var methods = map[[2]byte]string{
	{0x42, 0x5a}: "bzip2", {0x5d, 0x00}: "lzma", {0xfd, 0x37}: "xz", {0x89, 0x4c}: "lzo", {0x02, 0x21}: "lz4", {0x28, 0xb5}: "zstd",
}

// compression names what b is compressed with, "" if nothing is known of it.
func compression(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	return methods[[2]byte(b)]
}

// gunzip unpacks one gzip member and returns what follows it.
func gunzip(b []byte, limit int64) (plain, rest []byte, err error) {
	r := bytes.NewReader(b)
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	z.Multistream(false)
	plain, err = io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(plain)) > limit {
		return nil, nil, ErrTooLarge
	}
	return plain, b[len(b)-r.Len():], nil
}

// archive reads one archive up to its trailer, or to the end of b.
func archive(b []byte, fn func(Entry) error) (rest []byte, err error) {
	at := 0
	for at < len(b) {
		e, next, err := parse(b, at)
		if err != nil {
			return nil, fmt.Errorf("entry at byte %d: %w", at, err)
		}
		at = next
		if e.Name == trailer {
			return b[min(at, len(b)):], nil
		}
		if err := fn(e); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// parse reads the entry at b[at:] and returns where the next one begins, which
// may be behind the end of b when that lacks the padding.
func parse(b []byte, at int) (e Entry, next int, err error) {
	h := b[at:]
	if len(h) < headerLen || string(h[:5]) != "07070" || h[5] != '1' && h[5] != '2' {
		return e, 0, ErrFormat
	}
	var f [13]uint32
	for i := range f {
		v, ok := hex8(h[6+8*i:])
		if !ok {
			return e, 0, ErrFormat
		}
		f[i] = v
	}
	size, nameSize := int64(f[6]), int64(f[11])
	nameEnd := int64(at) + headerLen + nameSize
	if nameSize == 0 || nameSize > nameMax || nameEnd > int64(len(b)) || b[nameEnd-1] != 0 {
		return e, 0, ErrFormat
	}
	// Paddings count from the start of the archive.
	data := (nameEnd + 3) &^ 3
	if size > 0 && data+size > int64(len(b)) {
		return e, 0, ErrFormat
	}
	name := b[at+headerLen : nameEnd-1]
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	e = Entry{
		Name: string(name), Ino: f[0], Mode: f[1], UID: f[2], GID: f[3], Nlink: f[4], Mtime: f[5],
		DevMajor: f[7], DevMinor: f[8], RdevMajor: f[9], RdevMinor: f[10],
	}
	if size > 0 {
		e.Data = b[data : data+size : data+size]
	}
	if h[5] == '2' && e.Mode&0o170000 == 0o100000 && sum(e.Data) != f[12] {
		return e, 0, ErrChecksum
	}
	return e, int((data + size + 3) &^ 3), nil
}

// sum is the checksum of the crc format: all bytes added up.
func sum(b []byte) (v uint32) {
	for _, c := range b {
		v += uint32(c)
	}
	return v
}

// hex8 reads eight hexadecimal digits.
func hex8(b []byte) (v uint32, ok bool) {
	for _, c := range b[:8] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, true
}
