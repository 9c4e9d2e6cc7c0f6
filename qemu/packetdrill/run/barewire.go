package run

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"barewire/board/hosted"
	"barewire/napi"
	"barewire/sys/embed"
)

// barewire is this stack, in virtual time.
type barewire struct {
	clock *hosted.VirtualClock
	in    *embed.Instance
	tun   *embed.Tun

	mu     sync.Mutex
	out    outbox
	parker *napi.Parker // the main line

	counted map[string]uint64 // what nstat showed last
}

// NewBarewire makes an instance with a TUN device as the configuration says.
func NewBarewire(c Config) (Kernel, error) {
	b := &barewire{clock: hosted.NewVirtualClock()}
	b.parker = napi.NewParker(b.clock)
	var err error
	if b.in, err = embed.New(embed.Config{Clock: b.clock}); err != nil {
		return nil, err
	}
	b.tun, err = b.in.NewTun("tun0", func(p []byte) {
		b.mu.Lock()
		b.out = append(b.out, sent{slices.Clone(p), b.clock.Now()})
		b.mu.Unlock()
		b.parker.Unpark()
	})
	if err == nil {
		err = b.tun.Dev().SetMTU(c.MTU)
	}
	if err == nil {
		err = b.tun.Up(netip.PrefixFrom(c.Local, c.LocalBits))
	}
	if err == nil {
		err = b.in.Inet().AddRoute(c.RemoteNet, c.Gateway, b.tun.Dev())
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *barewire) Close() { b.in.Close() }

func (b *barewire) Run(f func()) error { return b.clock.Run(f) }

func (b *barewire) Now() int64  { return b.clock.Now() }
func (b *barewire) Wall() int64 { return b.clock.WallNow() }

func (b *barewire) SleepUntil(t int64) { b.clock.SleepUntil(t) }

func (b *barewire) Syscall(num uintptr, a [6]uintptr) (uintptr, syscall.Errno) {
	r, e := b.in.Syscall(num, a[0], a[1], a[2], a[3], a[4], a[5])
	b.clock.Yield() // softirqs run when a call ends, as under Linux
	return r, e
}

func (b *barewire) Go(call, done func()) {
	b.clock.Go(func() {
		call()
		b.mu.Lock()
		done()
		b.mu.Unlock()
		b.parker.Unpark()
	})
	b.clock.Yield()
}

func (b *barewire) Wait(deadline int64, ready func() bool) {
	for {
		b.mu.Lock()
		ok := ready()
		b.mu.Unlock()
		if ok || b.clock.Now() >= deadline {
			return
		}
		b.parker.ParkUntil(deadline)
	}
}

// moment is what a packet takes to arrive.
const moment = 4 * time.Microsecond

func (b *barewire) Inject(p []byte, size int) error {
	// A packet takes a moment to arrive: nothing that is sent, answered and sent
	// again happens at one time.
	b.clock.Sleep(moment)
	err := error(nil)
	if size > 0 {
		err = b.tun.ReceiveGSO(p, size)
	} else {
		err = b.tun.Receive(p)
	}
	b.clock.Yield()
	return err
}

func (b *barewire) Packet(deadline int64) (p []byte, at int64) {
	b.Wait(deadline, func() bool {
		p, at = b.out.take()
		return p != nil
	})
	return p, at
}

func (b *barewire) Command(line, dir string) error {
	return (&shell{b: b, dir: dir}).run(line)
}

// setSysctl takes a name with dots or a path below /proc/sys.
func (b *barewire) setSysctl(name, value string) error {
	name = strings.TrimPrefix(name, "/proc/sys/")
	return b.in.SetSysctl(strings.ReplaceAll(name, "/", "."), strings.TrimSpace(value))
}

func (b *barewire) sleep(d time.Duration) { b.clock.Sleep(d) }
