// Knobs turns what an administrator turns with ethtool and in /sys, by the same
// calls, and then echoes UDP on port 7 and reads what comes by TCP on port 9:
//
//	knobs check                 try every knob of eth0 and say PASS
//	knobs rx-usecs=N defer=N timeout=N
//
// A datagram "counters" is answered with the driver's counters.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"barewire/sys/profile"
)

const dev = "eth0"

// ethtool makes a request of the device; data begins with the command.
func ethtool(data []byte) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var ifr struct {
		name [16]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(ifr.name[:15], dev)
	ifr.data = unsafe.Pointer(&data[0])
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0x8946, uintptr(unsafe.Pointer(&ifr))); e != 0 {
		return e
	}
	return nil
}

// get asks for a structure of so many bytes.
func get(cmd uint32, size int) ([]byte, error) {
	b := make([]byte, size)
	binary.NativeEndian.PutUint32(b, cmd)
	return b, ethtool(b)
}

const (
	gDrvInfo, gCoalesce, sCoalesce, gRing = 0x03, 0x0e, 0x0f, 0x10
	gFeatures, sFeatures, gChannels       = 0x3a, 0x3b, 0x3c
	gTSO, sTSO, gStrings, gSset           = 0x1e, 0x1f, 0x1b, 0x37
)

func u32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }

// rxUsecs is ethtool -C rx-usecs N.
func rxUsecs(n uint32) error {
	b, err := get(gCoalesce, 92)
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(b, sCoalesce)
	binary.NativeEndian.PutUint32(b[4:], n)
	return ethtool(b)
}

func write(name, value string) error {
	return os.WriteFile("/sys/class/net/"+dev+"/"+name, []byte(value), 0o644)
}

func read(name string) string {
	b, err := os.ReadFile("/sys/class/net/" + dev + "/" + name)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

// check tries everything once and returns what went wrong.
func check() (wrong []error) {
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	b, err := get(gDrvInfo, 196)
	expect(err == nil && strings.HasPrefix(string(b[4:]), "virtio_net\x00") && u32(b, 180) > 10, "drvinfo: %v %q", err, b[4:36])
	b, err = get(gRing, 36)
	expect(err == nil && u32(b, 20) > 0 && u32(b, 20) <= u32(b, 4), "ringparam: %v %x", err, b)
	b, err = get(gChannels, 36)
	expect(err == nil && u32(b, 32) >= 1 && u32(b, 32) <= u32(b, 16), "channels: %v %x", err, b)
	binary.NativeEndian.PutUint32(b, 0x3d)
	binary.NativeEndian.PutUint32(b[32:], 1000)
	expect(errors.Is(ethtool(b), syscall.EINVAL), "1000 channels are taken")

	names, values, err := profile.DriverStats(dev)
	expect(err == nil && len(names) == len(values) && len(names) > 10, "stats: %v, %d names, %d values", err, len(names), len(values))
	expect(strings.Contains(strings.Join(names, " "), "tx_queue_0_kicks"), "stats: %v", names)

	expect(rxUsecs(40) == nil, "rx-usecs 40 is refused")
	b, err = get(gCoalesce, 92)
	expect(err == nil && u32(b, 4) == 40, "coalesce: %v, rx-usecs %d, want 40", err, u32(b, 4))
	binary.NativeEndian.PutUint32(b, sCoalesce)
	binary.NativeEndian.PutUint32(b[44:], 1) // use_adaptive_tx_coalesce
	expect(errors.Is(ethtool(b), syscall.EOPNOTSUPP), "adaptive transmit coalescing is taken")
	expect(rxUsecs(0) == nil, "rx-usecs 0 is refused")

	b, err = get(gTSO, 8)
	on := u32(b, 4)
	expect(err == nil, "tso: %v", err)
	if on == 1 {
		off, err := get(sTSO, 8)
		now, _ := get(gTSO, 8)
		expect(err == nil && u32(off, 4) == 0 && u32(now, 4) == 0, "tso off: %v, is %d", err, u32(now, 4))
		f := make([]byte, 16) // by the newer request
		binary.NativeEndian.PutUint32(f, sFeatures)
		binary.NativeEndian.PutUint32(f[4:], 1)
		binary.NativeEndian.PutUint32(f[8:], 1<<2)
		binary.NativeEndian.PutUint32(f[12:], 1<<2)
		err = ethtool(f)
		now, _ = get(gTSO, 8)
		expect(err == nil && u32(now, 4) == 1, "tso on: %v, is %d", err, u32(now, 4))
	}

	for name, value := range map[string]string{"napi_defer_hard_irqs": "7", "gro_flush_timeout": "20000"} {
		old := read(name)
		expect(old == "0", "%s is %s at first", name, old)
		expect(write(name, value) == nil && read(name) == value, "%s: %s, want %s", name, read(name), value)
		expect(write(name, old) == nil, "%s cannot be set to %s again", name, old)
	}
	expect(errors.Is(write("napi_defer_hard_irqs", "4294967296"), syscall.ERANGE), "napi_defer_hard_irqs takes 2^32")
	text, err := os.ReadFile("/proc/interrupts")
	expect(err == nil && strings.Contains(string(text), "LOC:"), "/proc/interrupts: %v %q", err, text)
	return wrong
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "check" {
		wrong := check()
		for _, err := range wrong {
			fmt.Println("FAIL:", err)
		}
		if len(wrong) > 0 {
			os.Exit(1)
		}
		fmt.Println("PASS")
		return
	}
	if err := serve(os.Args[1:]); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		var err error
		switch name {
		case "rx-usecs":
			var n uint64
			if n, err = strconv.ParseUint(value, 10, 32); err == nil {
				err = rxUsecs(uint32(n))
			}
		case "defer":
			err = write("napi_defer_hard_irqs", value)
		case "timeout":
			err = write("gro_flush_timeout", value)
		default:
			err = errors.New("no such knob")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	conn, err := net.ListenPacket("udp4", ":7")
	if err != nil {
		return err
	}
	sink, err := net.Listen("tcp4", ":9")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := sink.Accept()
			if err != nil {
				return
			}
			n, _ := io.Copy(io.Discard, c)
			fmt.Fprintln(c, n)
			c.Close()
		}
	}()
	fmt.Println("echoes")
	for b := make([]byte, 2048); ; {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		answer := b[:n]
		if string(answer) == "counters" {
			answer = counters()
		}
		if _, err := conn.WriteTo(answer, from); err != nil {
			return err
		}
	}
}

func counters() (text []byte) {
	names, values, err := profile.DriverStats(dev)
	if err != nil {
		return []byte(err.Error())
	}
	for i, n := range names {
		if values[i] != 0 {
			text = fmt.Appendf(text, "%s %d\n", n, values[i])
		}
	}
	return text
}
