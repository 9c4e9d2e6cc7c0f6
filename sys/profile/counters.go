package profile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// shown are the files that count what the kernel does. read-only
var shown = []string{"/proc/interrupts", "/proc/softirqs", "/proc/net/softnet_stat", "/proc/net/dev", "/proc/net/drop_reasons"}

// counters writes what the kernel counts: files of /proc, and each device's
// own by name as "ethtool -S" prints them. What is not there is left out.
func counters(w io.Writer) error {
	for _, name := range shown {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "== %s\n%s", name, text); err != nil {
			return err
		}
	}
	devs, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, d := range devs {
		names, values, err := DriverStats(d.Name)
		if err != nil || len(names) == 0 {
			continue
		}
		fmt.Fprintf(w, "== %s\n", d.Name)
		for i, n := range names {
			if _, err := fmt.Fprintf(w, "%s: %d\n", n, values[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Of SIOCETHTOOL (Linux: include/uapi/linux/ethtool.h).
const (
	siocEthtool = 0x8946

	ethtoolGStrings = 0x1b
	ethtoolGStats   = 0x1d
	ethtoolGSsetLen = 0x37 // ETHTOOL_GSSET_INFO
	setStats        = 1    // ETH_SS_STATS
	stringLen       = 32
	maxStats        = 4096
)

// DriverStats asks a device for the counters of its driver.
func DriverStats(dev string) (names []string, values []uint64, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer syscall.Close(fd)
	ask := func(data []byte) error {
		var ifr struct {
			name [16]byte
			data unsafe.Pointer
			_    [16]byte
		}
		copy(ifr.name[:15], dev)
		ifr.data = unsafe.Pointer(&data[0])
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), siocEthtool, uintptr(unsafe.Pointer(&ifr))); e != 0 {
			return e
		}
		return nil
	}
	ne := binary.NativeEndian
	info := make([]byte, 20) // cmd, reserved, mask, one length
	ne.PutUint32(info, ethtoolGSsetLen)
	ne.PutUint64(info[8:], 1<<setStats)
	if err := ask(info); err != nil {
		return nil, nil, err
	}
	n := int(ne.Uint32(info[16:]))
	if ne.Uint64(info[8:]) == 0 || n == 0 || n > maxStats {
		return nil, nil, nil
	}
	text := make([]byte, 12+n*stringLen)
	ne.PutUint32(text, ethtoolGStrings)
	ne.PutUint32(text[4:], setStats)
	ne.PutUint32(text[8:], uint32(n))
	if err := ask(text); err != nil {
		return nil, nil, err
	}
	stats := make([]byte, 8+n*8)
	ne.PutUint32(stats, ethtoolGStats)
	ne.PutUint32(stats[4:], uint32(n))
	if err := ask(stats); err != nil {
		return nil, nil, err
	}
	for i := range n {
		name, _, _ := bytes.Cut(text[12+i*stringLen:][:stringLen], []byte{0})
		names = append(names, string(name))
		values = append(values, ne.Uint64(stats[8+i*8:]))
	}
	return names, values, nil
}
