package rtnetlink_test

import (
	"encoding/binary"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// ifreq makes the request cmd with a struct ifreq and returns what came back.
func (e *end) ifreq(cmd uintptr, name string, u []byte) ([]byte, syscall.Errno) {
	b := make([]byte, 40)
	copy(b, name)
	copy(b[16:], u)
	_, errno := e.syscall(syscall.SYS_IOCTL, e.fd, cmd, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
	return b, errno
}

func TestIoctl_ShowsTheLoopback(t *testing.T) {
	e, in := ours(t)
	lo := in.Dev().DevByName("lo")
	for _, c := range []struct {
		cmd  uintptr
		want []byte
	}{
		{0x8933, u32(uint32(lo.Ifindex()))},                // SIOCGIFINDEX
		{0x8921, u32(uint32(lo.MTU()))},                    // SIOCGIFMTU
		{0x8915, append([]byte{2, 0, 0, 0}, 127, 0, 0, 1)}, // SIOCGIFADDR
		{0x891b, append([]byte{2, 0, 0, 0}, 255, 0, 0, 0)}, // SIOCGIFNETMASK
		{0x8927, []byte{0x04, 0x03, 0, 0, 0, 0, 0, 0}},     // SIOCGIFHWADDR
	} {
		b, errno := e.ifreq(c.cmd, "lo", nil)
		if errno != 0 || string(b[16:16+len(c.want)]) != string(c.want) {
			t.Errorf("%x: %v %x, want %x", c.cmd, errno, b[16:], c.want)
		}
	}
	if _, errno := e.ifreq(0x8921, "nodev", nil); errno != syscall.ENODEV {
		t.Errorf("no device: %v", errno)
	}
	if b, errno := e.ifreq(0x8910, "", u32(uint32(lo.Ifindex()))); errno != 0 || strings.TrimRight(string(b[:16]), "\x00") != "lo" {
		t.Errorf("name: %v %q", errno, b)
	}
	if _, errno := e.ifreq(0x8999, "lo", nil); errno != syscall.ENOTTY {
		t.Errorf("unknown request: %v", errno)
	}
	// struct ifconf points to the list.
	list := make([]byte, 400)
	var c struct {
		len int32
		_   int32
		buf *byte
	}
	c.len, c.buf = int32(len(list)), &list[0]
	if _, errno := e.syscall(syscall.SYS_IOCTL, e.fd, 0x8912, uintptr(unsafe.Pointer(&c)), 0, 0, 0); errno != 0 || c.len != 40 {
		t.Fatalf("SIOCGIFCONF: %v, %d bytes", errno, c.len)
	}
	if string(list[:2]) != "lo" || binary.BigEndian.Uint32(list[20:]) != 0x7f000001 {
		t.Errorf("SIOCGIFCONF: %x", list[:40])
	}
}
