package run

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/interp"

	"barewire/qemu/packetdrill/pdl"
)

// Files that a script's commands make: they are the instance's own.

// maxFile is the largest file a command may make, in bytes.
const maxFile = 64 << 20

// writeFile makes a file with the contents data.
func (b *barewire) writeFile(path string, data []byte) error {
	c := &call{}
	name := c.ptr(append([]byte(path), 0))
	c.num, c.args = syscall.SYS_OPEN, [6]uintptr{name, syscall.O_WRONLY | syscall.O_CREAT | syscall.O_TRUNC, 0o644}
	if c.make(b); c.errno != 0 {
		return fmt.Errorf("%s: %w", path, c.errno)
	}
	fd := uintptr(c.ret)
	defer b.Syscall(syscall.SYS_CLOSE, [6]uintptr{fd})
	for len(data) > 0 {
		w := &call{num: syscall.SYS_WRITE}
		w.args = [6]uintptr{fd, w.ptr(data), uintptr(len(data))}
		if w.make(b); w.errno != 0 || w.ret == 0 {
			return fmt.Errorf("%s: %w", path, w.errno)
		}
		data = data[w.ret:]
	}
	return nil
}

// dd is dd if=/dev/zero of=FILE bs=N count=N.
func (s *shell) dd(_ interp.HandlerContext, args []string) error {
	opts := map[string]string{"if": "", "of": "", "bs": "512", "count": "1"}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		opts[name] = value
	}
	bs, err := fileSize(opts["bs"])
	count, err2 := fileSize(opts["count"])
	switch {
	case opts["if"] != "/dev/zero" || opts["of"] == "":
		return &pdl.Unsupported{What: "dd " + strings.Join(args, " ")}
	case err != nil || err2 != nil || bs*count > maxFile:
		return errors.New("bad size")
	}
	return s.b.writeFile(opts["of"], make([]byte, bs*count))
}

// truncate is truncate -s SIZE FILE.
func (s *shell) truncate(_ interp.HandlerContext, args []string) error {
	if len(args) != 3 || args[0] != "-s" {
		return &pdl.Unsupported{What: "truncate " + strings.Join(args, " ")}
	}
	n, err := fileSize(args[1])
	if err != nil {
		return err
	}
	return s.b.writeFile(args[2], make([]byte, n))
}

// fileSize reads 10, 4K, 1M.
func fileSize(text string) (int, error) {
	unit := 1
	switch {
	case strings.HasSuffix(strings.ToUpper(text), "K"):
		unit = 1 << 10
	case strings.HasSuffix(strings.ToUpper(text), "M"):
		unit = 1 << 20
	}
	n, err := strconv.Atoi(strings.TrimRight(text, "kKmM"))
	if err == nil && (n < 0 || n > maxFile/unit) {
		err = errors.New("too large")
	}
	return n * unit, err
}

// echo output, and that of others, may go to a file.
func (b *barewire) outputFile(path string) *file {
	return &file{Reader: strings.NewReader(""), write: func(text string) error { return b.writeFile(path, []byte(text)) }}
}
