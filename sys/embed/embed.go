package embed

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/sys"
	"barewire/sys/filter"
	"barewire/sys/rtnetlink"
)

// Config says what an Instance stands on. The zero value is good.
type Config struct {
	// Clock is the time. Nil: the time of package time. A
	// *hosted.VirtualClock may be shared by instances that talk to each other.
	Clock napi.Clock
	// Random fills b; for runs that can be repeated it comes from a seed. Nil:
	// crypto/rand.
	Random func(b []byte)
	// Pages bounds the packet memory, in pages of 4 KiB. 0: 32768.
	Pages int
	// Hostname is uname's node name.
	Hostname string
	// Log receives what the kernel would print. Nil: nothing.
	Log func(line string)
}

// Instance is a stack and the process above it.
type Instance struct {
	Sys       Sys
	kernel    *sys.Kernel
	inet      *inet.Net
	net       *napi.Net
	route     *rtnetlink.Route
	endFilter func() // nil until its sockets are there
	closed    sync.Once
	stop      chan struct{}
	done      chan struct{}
}

// New makes an instance with the loopback device up.
func New(c Config) (*Instance, error) {
	if c.Clock == nil {
		c.Clock = napi.SystemClock()
	}
	if c.Random == nil {
		c.Random = func(b []byte) { rand.Read(b) } // never fails
	}
	if c.Pages == 0 {
		c.Pages = 32768
	}
	n, err := napi.New(napi.Config{Clock: c.Clock, Rand: c.Random, Log: c.Log, Pages: skb.PageConfig{MaxPages: c.Pages}})
	if err != nil {
		return nil, fmt.Errorf("embed: %w", err)
	}
	i := &Instance{net: n, stop: make(chan struct{}), done: make(chan struct{})}
	soft := n.SoftNet()
	if v, ok := c.Clock.(*hosted.VirtualClock); ok {
		v.AtIdle(func() bool {
			work := soft.Pending()
			soft.DoSoftirq()
			return work
		})
		close(i.done)
	} else {
		go func() {
			defer close(i.done)
			soft.Run(i.stop)
		}()
	}
	if i.inet, err = inet.New(inet.Config{Net: n}); err != nil {
		i.Close()
		return nil, fmt.Errorf("embed: %w", err)
	}
	if i.route, err = rtnetlink.New(i.inet); err != nil {
		i.Close()
		return nil, fmt.Errorf("embed: %w", err)
	}
	if i.endFilter, err = filter.Open(i.route.Netlink(), i.inet); err != nil {
		i.Close()
		return nil, fmt.Errorf("embed: %w", err)
	}
	i.kernel = sys.New(sys.Config{
		Clock:      c.Clock,
		WallClock:  func() (int64, int32) { t := napi.WallNow(c.Clock); return t / 1e9, int32(t % 1e9) },
		Random:     c.Random,
		SockCreate: i.inet.SockCreate,
		Net:        n,
		Hostname:   c.Hostname,
		Log:        c.Log,
	})
	i.Sys = Sys{i.kernel}
	return i, nil
}

// Close ends the stack. Descriptors should have been closed, and nobody be in a
// call.
func (i *Instance) Close() {
	i.closed.Do(func() {
		if i.route != nil {
			i.route.Close()
		}
		if i.endFilter != nil {
			i.endFilter()
		}
		if i.inet != nil {
			i.inet.Close()
		}
		close(i.stop)
		<-i.done
	})
}

// Inet returns the Internet family: addresses, routes, counters.
func (i *Instance) Inet() *inet.Net { return i.inet }

// Net returns the device layer.
func (i *Instance) Net() *napi.Net { return i.net }

// Syscall makes a Linux system call for amd64 by its number. Pointers are passed
// as uintptr(unsafe.Pointer(p)) in the call expression. errno is 0 on success.
//
//go:uintptrescapes
func (i *Instance) Syscall(num, a1, a2, a3, a4, a5, a6 uintptr) (r uintptr, errno syscall.Errno) {
	r, _, e := i.kernel.Syscall(num, a1, a2, a3, a4, a5, a6)
	return r, syscall.Errno(e)
}

// Sysctl returns a setting by name, "net.ipv4.tcp_sack". ENOENT.
func (i *Instance) Sysctl(name string) (string, error) { return i.net.Sysctl().Get(name) }

// SetSysctl changes a setting. ENOENT, EINVAL, EPERM for one that cannot be.
func (i *Instance) SetSysctl(name, value string) error { return i.net.Sysctl().Set(name, value) }

// Tun is a link of the instance whose other end is the program.
type Tun struct {
	*napi.Tun
	in *Instance
}

// NewTun makes a device that carries IP packets. Each packet that leaves is
// given to out, which may be called from any goroutine, must not block, and does
// not keep the slice. The device has an MTU of 1500, is down and has no address;
// see Up. The name may end in %d.
func (i *Instance) NewTun(name string, out func(packet []byte)) (*Tun, error) {
	return i.newTun(name, false, out)
}

// NewTap is NewTun for Ethernet frames; the device has a random address.
func (i *Instance) NewTap(name string, out func(frame []byte)) (*Tun, error) {
	return i.newTun(name, true, out)
}

func (i *Instance) newTun(name string, tap bool, out func([]byte)) (*Tun, error) {
	flat := sync.Pool{New: func() any { return new([]byte) }}
	t, err := napi.NewTun(i.net, name, tap, func(b *skb.Buff) {
		defer b.Consume()
		if !b.IsNonlinear() {
			out(b.Data())
			return
		}
		p := flat.Get().(*[]byte)
		*p = slices.Grow((*p)[:0], b.Len())[:b.Len()]
		b.CopyBits(0, *p)
		out(*p)
		flat.Put(p)
	})
	if err != nil {
		return nil, fmt.Errorf("embed: %w", err)
	}
	return &Tun{t, i}, nil
}

// Up gives the device addresses and opens it.
func (t *Tun) Up(addrs ...netip.Prefix) error {
	for _, a := range addrs {
		if err := t.in.inet.AddAddr(t.Dev(), a); err != nil {
			return err
		}
	}
	return t.Dev().Open()
}

// Receive has a packet arrive, or a frame on a tap. It is copied. Errors: EIO
// while the device is down, EINVAL for what is no packet, ENOBUFS when the
// packet memory is used up.
func (t *Tun) Receive(packet []byte) error { return t.receive(packet, skb.VnetHdr{}) }

// ReceiveGSO is Receive of one packet that stands for several TCP segments, each
// with size bytes of data, as a device hands up that merged them. EINVAL if it is
// no TCP over IPv4, or on a tap.
func (t *Tun) ReceiveGSO(packet []byte, size int) error {
	if t.Tap() || len(packet) < header.IPv4MinLen {
		return syscall.EINVAL
	}
	return t.receive(packet, skb.VnetHdr{Flags: skb.VnetNeedsCsum, GSOType: skb.VnetGSOTCPv4, GSOSize: uint16(size),
		CsumStart: uint16(header.IPv4(packet).HeaderLen()), CsumOffset: 16})
}

func (t *Tun) receive(packet []byte, h skb.VnetHdr) error {
	it := sock.Iter{Iov: [][]byte{packet}}
	b := it.NewPacket(t.in.net.SKB(), len(packet), skb.Pad)
	if b == nil {
		return syscall.ENOBUFS
	}
	if h.GSOSize != 0 && !h.ToSkb(b, true, skb.VnetCsum|skb.VnetTSO4) {
		b.Free(skb.DevHdr)
		return syscall.EINVAL
	}
	return t.Tun.Receive(b)
}
