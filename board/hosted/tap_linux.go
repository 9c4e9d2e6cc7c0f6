package hosted

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"barewire/napi"
	"barewire/skb"
)

// Requests and flags of Linux's tun driver (include/uapi/linux/if_tun.h).
const (
	tunSetIff       = 0x400454ca // TUNSETIFF
	tunSetOffload   = 0x400454d0 // TUNSETOFFLOAD
	tunSetVnetHdrSz = 0x400454d8 // TUNSETVNETHDRSZ

	iffTap        = 0x0002
	iffMultiQueue = 0x0100
	iffNoPI       = 0x1000
	iffVnetHdr    = 0x4000

	tunFCsum = 0x01
	tunFTSO4 = 0x02
)

// The vnet header in front of each frame has the count of merged buffers.
const vnetHdrLen = skb.VnetHdrMrgLen

const ifNameSize = 16

// OpenTap attaches to the TAP device name, or makes it, in the network
// namespace of the calling thread (Linux: Documentation/networking/
// tuntap.rst). With vnetHdr frames carry the vnet header. The file is
// non-blocking and registered with Go's poller. It needs CAP_NET_ADMIN unless
// the device is there already and is the user's.
func OpenTap(name string, vnetHdr bool) (*os.File, error) {
	return openTap(name, vnetHdr, 0)
}

// OpenTapQueue is [OpenTap] for one more queue of a TAP device that was made
// with several (IFF_MULTI_QUEUE).
func OpenTapQueue(name string, vnetHdr bool) (*os.File, error) {
	return openTap(name, vnetHdr, iffMultiQueue)
}

func openTap(name string, vnetHdr bool, flags uint16) (*os.File, error) {
	if len(name) >= ifNameSize {
		return nil, fmt.Errorf("hosted: device name %q is too long", name)
	}
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("hosted: /dev/net/tun: %w", err)
	}
	var req struct { // struct ifreq
		name  [ifNameSize]byte
		flags uint16
		_     [22]byte
	}
	copy(req.name[:], name)
	req.flags = iffTap | iffNoPI | flags
	if vnetHdr {
		req.flags |= iffVnetHdr
	}
	if err := ioctl(fd, tunSetIff, uintptr(unsafe.Pointer(&req))); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("hosted: tap %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func ioctl(fd int, req, arg uintptr) error {
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), req, arg); e != 0 {
		return e
	}
	return nil
}

// TapConfig says how a Tap is used.
type TapConfig struct {
	Addr [6]byte // hardware address of our end
	TSO  bool    // exchange TCPv4 super-packets of up to 64 KiB with the host
	Ring int     // frames that wait for NAPI; 0 means DefaultRing
}

// A Tap is a network device whose other end is a TAP device of the host.
type Tap struct {
	port
	file *os.File
	raw  syscall.RawConn
	fd   int

	done  chan struct{} // the reader has ended
	pages []*skb.Page   // the reader's, ready to be filled

	// Transmit; the queue's lock is held.
	hdr [vnetHdrLen]byte
	iov [2 + skb.MaxFrags]syscall.Iovec
}

// AttachTap makes a device over a TAP file from [OpenTap] with its vnet header
// and registers it with the stack. The name may end in %d. It owns file from
// here on; [Tap.Close] closes it.
func AttachTap(stack *napi.Net, name string, file *os.File, cfg TapConfig) (*Tap, error) {
	t := &Tap{file: file}
	err := t.setUp(cfg)
	if err == nil {
		feat := napi.FeatureSG | napi.FeatureHWCsum | napi.FeatureRxCsum
		if cfg.TSO {
			feat |= napi.FeatureTSO
		}
		err = newPort(stack, name, cfg.Addr, cfg.Ring, 1, feat, t, &t.port)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	t.pages = make([]*skb.Page, 1)
	if cfg.TSO {
		t.pages = make([]*skb.Page, 1+skb.MaxFrags)
	}
	return t, nil
}

func (t *Tap) setUp(cfg TapConfig) (err error) {
	if t.raw, err = t.file.SyscallConn(); err != nil {
		return err
	}
	var inner error
	err = t.raw.Control(func(fd uintptr) {
		t.fd = int(fd)
		size := int32(vnetHdrLen)
		if inner = ioctl(t.fd, tunSetVnetHdrSz, uintptr(unsafe.Pointer(&size))); inner != nil {
			return
		}
		offload := uintptr(tunFCsum)
		if cfg.TSO {
			offload |= tunFTSO4
		}
		inner = ioctl(t.fd, tunSetOffload, offload)
	})
	if err = errors.Join(err, inner); err != nil {
		return fmt.Errorf("hosted: tap %s: %w", t.file.Name(), err)
	}
	return nil
}

// Device returns the network device.
func (t *Tap) Device() *napi.NetDevice { return t.dev }

// Close takes the device down and off the stack and gives up the TAP file.
func (t *Tap) Close() error {
	t.stack.UnregisterNetdev(t.dev)
	return t.file.Close()
}

// Open starts the goroutine that reads frames.
func (t *Tap) Open(*napi.NetDevice) error {
	if err := t.file.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	t.start()
	t.done = make(chan struct{})
	go t.receive()
	return nil
}

// Stop ends it.
func (t *Tap) Stop(*napi.NetDevice) error {
	t.file.SetReadDeadline(time.Unix(1, 0)) // wakes the reader for good
	<-t.done
	t.stop()
	for i, p := range t.pages {
		if p != nil {
			p.Put()
			t.pages[i] = nil
		}
	}
	return nil
}

// receive reads frames until the device is stopped. It takes what is there in
// batches, so that NAPI is scheduled once for many.
func (t *Tap) receive() {
	defer close(t.done)
	r := &tapReader{Tap: t}
	// One closure for all reads: nothing is allocated per frame.
	step := r.step
	for {
		err := t.raw.Read(step)
		t.deliver(&r.batch)
		if r.err != nil { // the host's end is gone for good
			t.dev.CarrierOff()
			return
		}
		if err != nil { // stopped
			return
		}
	}
}

type tapReader struct {
	*Tap
	hdr   [vnetHdrLen]byte
	iov   [2 + skb.MaxFrags]syscall.Iovec
	batch skb.List
	err   error
}

// step reads what is there and reports false when the poller has to wait.
func (r *tapReader) step(fd uintptr) bool {
	for r.batch.Len() < napi.DefaultWeight {
		b, err := r.readOne(int(fd))
		switch {
		case err == syscall.EAGAIN:
			return r.batch.Len() > 0
		case err == syscall.EINTR:
			continue
		case err != nil:
			r.err = err
			return true
		case b != nil:
			r.batch.PushBack(b)
		}
	}
	return true
}

// readOne reads one frame into pages of the stack's pool. A nil skb without an
// error is a frame that was dropped and counted.
func (r *tapReader) readOne(fd int) (*skb.Buff, error) {
	pool := r.stack.SKB().Pool()
	iov := r.iov[:1]
	iov[0] = syscall.Iovec{Base: &r.hdr[0], Len: vnetHdrLen}
	for i, p := range r.pages {
		if p == nil {
			if p = pool.Alloc(); p == nil {
				break
			}
			r.pages[i] = p
		}
		mem := p.Bytes()
		if i == 0 {
			mem = mem[skb.Pad:]
		}
		iov = append(iov, syscall.Iovec{Base: &mem[0], Len: uint64(len(mem))})
	}
	if len(iov) == 1 { // no memory: take the frame off the device all the same
		r.dev.Stats.RxDropped.Add(1)
	}
	got, _, e := syscall.Syscall(syscall.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	if e != 0 {
		return nil, e
	}
	n := int(got) - vnetHdrLen
	if n <= 0 || len(iov) == 1 {
		return nil, nil
	}
	first := min(n, len(r.pages[0].Bytes())-skb.Pad)
	b := r.stack.SKB().Build(r.pages[0], skb.Pad, first)
	r.pages[0] = nil
	for i := 1; i < len(r.pages) && n > first; i++ {
		size := min(n-first, len(r.pages[i].Bytes()))
		b.AddFrag(r.pages[i], 0, size, len(r.pages[i].Bytes()))
		r.pages[i] = nil
		first += size
	}
	h := skb.ParseVnetHdr(r.hdr[:])
	if !h.ToSkb(b, false, skb.VnetCsum|skb.VnetTSO4|skb.VnetECN) {
		r.dev.Stats.RxErrors.Add(1)
		r.dev.Stats.RxFrameErrors.Add(1)
		b.Free(skb.DevHdr)
		return nil, nil
	}
	return b, nil
}

// StartXmit writes frames to the host, which copies them.
func (t *Tap) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	for _, b := range batch {
		var h skb.VnetHdr
		if !h.FromSkb(b, false, false) {
			t.dev.Stats.TxErrors.Add(1)
			b.Free(skb.DevHdr)
			continue
		}
		h.Put(t.hdr[:])
		iov := append(t.iov[:0], syscall.Iovec{Base: &t.hdr[0], Len: vnetHdrLen})
		if d := b.Data(); len(d) > 0 {
			iov = append(iov, syscall.Iovec{Base: &d[0], Len: uint64(len(d))})
		}
		for i := range b.Frags() {
			if d := b.Frags()[i].Bytes(); len(d) > 0 {
				iov = append(iov, syscall.Iovec{Base: &d[0], Len: uint64(len(d))})
			}
		}
		_, _, e := syscall.Syscall(syscall.SYS_WRITEV, uintptr(t.fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		if e != 0 { // the host's end is down, or it has no memory
			t.dev.Stats.TxErrors.Add(1)
			b.Free(skb.DevReady)
			continue
		}
		b.Consume()
	}
	return len(batch)
}
