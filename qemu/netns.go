package qemu

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"barewire/board/hosted"
	"barewire/toolchain/vm"
	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace of the host: a Linux network stack of its
// own, for the other end of a guest's cable. It exists until [Namespace.Close].
type Namespace struct {
	Name string
	file *os.File
}

// CanNamespace returns nil when this process may make network namespaces and
// TAP devices, and otherwise why not.
func CanNamespace() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces and TAP need CAP_SYS_ADMIN and CAP_NET_ADMIN; not root")
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		return fmt.Errorf("no TAP devices: %w", err)
	} else {
		f.Close()
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("no ip command (Debian: apt-get install iproute2)")
	}
	return nil
}

// NewNamespace makes a network namespace with its loopback up. The name is made
// from hint and a random number, so that runs side by side do not meet.
func NewNamespace(hint string) (*Namespace, error) {
	ns := &Namespace{Name: fmt.Sprintf("bw-%s-%08x", hint, rand.Uint32())}
	if err := command("ip", "netns", "add", ns.Name); err != nil {
		return nil, fmt.Errorf("cannot make a network namespace (CAP_SYS_ADMIN is needed): %w", err)
	}
	f, err := os.Open(filepath.Join("/run/netns", ns.Name))
	if err != nil {
		ns.Close()
		return nil, err
	}
	ns.file = f
	if err := ns.IP("link", "set", "lo", "up"); err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// Close removes the namespace and every device in it.
func (ns *Namespace) Close() error {
	if ns.file != nil {
		ns.file.Close()
	}
	return command("ip", "netns", "del", ns.Name)
}

// IP runs the ip command in the namespace: ns.IP("addr", "show").
func (ns *Namespace) IP(args ...string) error {
	return command("ip", append([]string{"-n", ns.Name}, args...)...)
}

// Command returns a command that runs in the namespace and dies with ctx.
func (ns *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", ns.Name, name}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// Run runs a command in the namespace for at most timeout and returns what it
// printed, on both its outputs.
func (ns *Namespace) Run(timeout time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	out, err := ns.Command(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done in %v", timeout)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", vm.ShellLine(append([]string{name}, args...)), err, out)
	}
	return string(out), err
}

// Do calls f on a thread that is in the namespace: sockets it makes and files
// under /proc/sys/net it opens are the namespace's. f must not start goroutines
// that rely on it.
func (ns *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("setns %s: %w", ns.Name, err)
			return
		}
		err = f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			// The thread is lost to the namespace; ending the goroutine while
			// locked ends the thread too.
			done <- errors.Join(err, back)
			return
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// DialUDP returns a UDP socket of the namespace that is connected to addr.
func (ns *Namespace) DialUDP(addr netip.AddrPort) (conn *net.UDPConn, err error) {
	err = ns.Do(func() error {
		conn, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(addr))
		return err
	})
	return conn, err
}

// Sysctl sets a parameter of the namespace: ns.Sysctl("ipv4/ip_forward", "1").
func (ns *Namespace) Sysctl(name, value string) error {
	return ns.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)
	})
}

// Tap makes the TAP device name in the namespace when it is not there yet, gives
// it addr, sets it up, and returns it opened, with the vnet header that lets
// QEMU pass offloads through.
func (ns *Namespace) Tap(name string, addr netip.Prefix) (Backend, error) {
	return ns.TapQueues(name, addr, 1)
}

// TapQueues is [Namespace.Tap] for a card with several pairs of queues, which
// needs "mq=on,vectors=N" among its properties, N two for each pair and two more.
func (ns *Namespace) TapQueues(name string, addr netip.Prefix, queues int) (Backend, error) {
	open := hosted.OpenTap
	if err := ns.IP("link", "show", name); err != nil {
		args := []string{"tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr"}
		if queues > 1 {
			args = append(args, "multi_queue")
		}
		if err := ns.IP(args...); err != nil {
			return nil, fmt.Errorf("cannot make a TAP device (CAP_NET_ADMIN is needed): %w", err)
		}
		if err := ns.IP("addr", "add", addr.String(), "dev", name); err != nil {
			return nil, err
		}
		if err := ns.IP("link", "set", name, "up"); err != nil {
			return nil, err
		}
	}
	if queues > 1 {
		open = hosted.OpenTapQueue
	}
	var t tapEnd
	for range max(queues, 1) {
		err := ns.Do(func() error {
			f, err := open(name, true)
			if err == nil {
				t = append(t, f)
			}
			return err
		})
		if err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

// tapEnd is a TAP device, a file for each pair of queues.
type tapEnd []*os.File

func (t tapEnd) netdev(file func(*os.File) int) (string, error) {
	if len(t) == 1 {
		return fmt.Sprintf("tap,fd=%d,vhost=off", file(t[0])), nil
	}
	var fds []string
	for _, f := range t {
		fds = append(fds, strconv.Itoa(file(f)))
	}
	return "tap,fds=" + strings.Join(fds, ":") + ",vhost=off", nil
}

func (t tapEnd) close() {
	for _, f := range t {
		f.Close()
	}
}

// command runs a command and makes what it printed part of the error.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", vm.ShellLine(append([]string{name}, args...)), err, strings.TrimSpace(string(out)))
	}
	return nil
}
