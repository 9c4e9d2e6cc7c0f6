package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"barewire/skb"
	"golang.org/x/sys/unix"
)

// linux is the kernel of the machine: a network namespace with a TUN device. It
// needs root.
type linux struct {
	c   Config
	tun *os.File

	mu   sync.Mutex
	cond sync.Cond
	out  outbox
	base time.Time
}

// scriptTime is how long a script may take.
const scriptTime = 2 * time.Minute

// NewLinux prepares the machine's kernel. Commands are run by /bin/sh in the
// namespace.
func NewLinux(c Config) (Kernel, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the Linux kernel can be judged by root only")
	}
	l := &linux{c: c, base: time.Now().Add(-time.Second)}
	l.cond.L = &l.mu
	return l, nil
}

// Run does everything on a thread that ends with the namespace.
func (l *linux) Run(f func()) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread is of no use to others
		err := l.enter()
		if err == nil {
			f()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(scriptTime):
		return fmt.Errorf("not over after %v: a call of the script does not return", scriptTime)
	}
}

func (l *linux) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq("tun0")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return fmt.Errorf("TUN device: %w", err)
	}
	l.tun = os.NewFile(uintptr(fd), "tun0")
	setup := fmt.Sprintf(`echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null
ip link set lo up
ip addr add %v/%d dev tun0
ip link set tun0 mtu %d up
ip route add %v via %v dev tun0`, l.c.Local, l.c.LocalBits, l.c.MTU, l.c.RemoteNet, l.c.Gateway)
	if err := l.Command(setup, "/"); err != nil {
		return err
	}
	go l.read()
	return nil
}

// read collects what goes out, until the device is closed.
func (l *linux) read() {
	b := make([]byte, 1<<17)
	for {
		n, err := l.tun.Read(b)
		if err != nil {
			return
		}
		at := l.Now()
		if n <= skb.VnetHdrLen || b[skb.VnetHdrLen]>>4 != 4 {
			continue
		}
		l.mu.Lock()
		l.out = append(l.out, sent{slices.Clone(b[skb.VnetHdrLen:n]), at})
		l.mu.Unlock()
		l.cond.Broadcast()
	}
}

func (l *linux) Close() {
	if l.tun != nil {
		l.tun.Close()
	}
}

func (l *linux) Now() int64  { return int64(time.Since(l.base)) }
func (l *linux) Wall() int64 { return time.Now().UnixNano() }

func (l *linux) SleepUntil(t int64) {
	if d := t - l.Now(); d > 0 {
		ts := unix.NsecToTimespec(d) // of the thread: the runtime's timers are late under load
		unix.Nanosleep(&ts, nil)
	}
	for l.Now() < t {
	}
}

func (l *linux) Syscall(num uintptr, a [6]uintptr) (uintptr, syscall.Errno) {
	r, _, e := unix.Syscall6(num, a[0], a[1], a[2], a[3], a[4], a[5])
	return r, e
}

func (l *linux) Go(call, done func()) {
	go func() {
		call()
		l.mu.Lock()
		done()
		l.mu.Unlock()
		l.cond.Broadcast()
	}()
	time.Sleep(200 * time.Microsecond) // for the call to begin
}

func (l *linux) Wait(deadline int64, ready func() bool) {
	t := time.AfterFunc(time.Duration(deadline-l.Now()), l.cond.Broadcast)
	defer t.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !ready() && l.Now() < deadline {
		l.cond.Wait()
	}
}

func (l *linux) Packet(deadline int64) (p []byte, at int64) {
	l.Wait(deadline, func() bool {
		p, at = l.out.take()
		return p != nil
	})
	return p, at
}

func (l *linux) Inject(p []byte, size int) error {
	var h skb.VnetHdr
	if size > 0 { // the checksum is right as it is
		h.GSOType, h.GSOSize = skb.VnetGSOTCPv4, uint16(size)
	}
	b := make([]byte, skb.VnetHdrLen+len(p))
	h.Put(b[:skb.VnetHdrLen])
	copy(b[skb.VnetHdrLen:], p)
	_, err := l.tun.Write(b)
	return err
}

func (l *linux) Command(line, dir string) error {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("command %q: %w: %s", strings.TrimSpace(line), err, strings.TrimSpace(string(out)))
	}
	return nil
}
