// Package lab is a network laboratory's hands: small commands that send, receive and configure through the Linux system calls and report in
// plain lines. The same code runs inside an image (guest/lab reads the commands from the console) and in a thread of the test that has entered a network namespace of
// the host, so that what the image does can be compared with what the Linux kernel does, line by line.
//
// A command is a word and key=value arguments:
//
//	ping dst=10.2.0.2 sizes=0-1500,8000 pmtu=do
//
// It runs to its end before [Run] returns. The commands that change the network (link, addr, route, rule, neigh, write) are for the
// image only by custom; nothing in them is.
package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Lab holds what outlives a command: open sockets. The zero value is ready.
type Lab struct {
	groups map[string]*member
}

// args are a command's arguments.
type args map[string]string

func (a args) str(key, otherwise string) string {
	if v, ok := a[key]; ok {
		return v
	}
	return otherwise
}

func (a args) num(key string, otherwise int) (int, error) {
	v, ok := a[key]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(v, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is no number", key, v)
	}
	return int(n), nil
}

func (a args) addr(key string) ([4]byte, error) {
	ip, err := netip.ParseAddr(a[key])
	if err != nil || !ip.Is4() {
		return [4]byte{}, fmt.Errorf("%s=%s is no IPv4 address", key, a[key])
	}
	return ip.As4(), nil
}

// commands are what Run knows. read-only
var commands = map[string]func(l *Lab, a args, out io.Writer) error{
	"ping": (*Lab).ping, "pmtu": (*Lab).pmtu, "udp": (*Lab).udp,
	"join": (*Lab).join, "leave": (*Lab).leave, "source": (*Lab).source, "received": (*Lab).received, "multicast": (*Lab).multicast,
	"cat": (*Lab).cat, "write": (*Lab).write, "memory": (*Lab).memory,
	"link": (*Lab).link, "address": (*Lab).address, "route": (*Lab).route, "rule": (*Lab).rule, "get": (*Lab).get,
}

// Run does what line says and reports on out.
func (l *Lab) Run(line string, out io.Writer) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	do, ok := commands[words[0]]
	if !ok {
		return fmt.Errorf("no command %q", words[0])
	}
	a := args{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		a[k] = v
	}
	return do(l, a, out)
}

// cat prints files: cat file=/proc/net/snmp.
func (l *Lab) cat(a args, out io.Writer) error {
	b, err := os.ReadFile(a["file"])
	if err != nil {
		return err
	}
	_, err = out.Write(b)
	return err
}

// write writes a file: write file=/proc/sys/net/ipv4/ip_forward value=1.
func (l *Lab) write(a args, _ io.Writer) error {
	return os.WriteFile(a["file"], []byte(a["value"]+"\n"), 0)
}

// memory prints the bytes of the heap that are reachable, and those taken from the system.
func (l *Lab) memory(_ args, out io.Writer) error {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(out, "heap %d system %d goroutines %d\n", m.HeapAlloc, m.Sys, runtime.NumGoroutine())
	return nil
}

// errno is an error as a test compares it: the system call's name for it.
func errno(err error) string {
	var e unix.Errno
	if errors.As(err, &e) {
		return unix.ErrnoName(e)
	}
	return err.Error()
}

// timeval sets how long a receive on fd waits.
func timeval(fd int, d time.Duration) error {
	tv := unix.NsecToTimeval(int64(d))
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
}
