package packet

import (
	"io"
	"sync"
	"time"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// Defaults of a capture.
const (
	DefaultSnaplen = 262144  // bytes of a packet, as tcpdump's
	DefaultBuffer  = 4 << 20 // bytes of stream nobody has read
)

// CaptureConfig says what to capture. The zero value is everything.
type CaptureConfig struct {
	// Device is the device to capture on; nil means all of the namespace.
	Device *napi.NetDevice
	// Filter sees each packet from the link header on and says how many bytes
	// of it to keep, 0 for none; nil keeps all.
	Filter sock.Filter
	// Snaplen bounds the bytes kept of a packet; 0 means DefaultSnaplen.
	Snaplen int
	// Buffer bounds the bytes of stream that wait to be read; 0 means
	// DefaultBuffer. A packet that finds no room is counted and not captured:
	// the network never waits for who captures.
	Buffer int
	// Promisc has Device receive everything while the capture lasts.
	Promisc bool
}

// Capture is a pcapng stream of what passes the devices of a namespace, in both
// directions, with times in nanoseconds, directions, and at the end how many
// packets there were and how many found no room. Wireshark and tcpdump read it.
//
// It is a tap, so capturing takes place in softirq or in a sender's context;
// it allocates nothing per packet.
type Capture struct {
	net     *napi.Net
	conf    CaptureConfig
	remove  func()
	promisc bool

	mu     sync.Mutex
	more   sync.Cond
	ring   []byte // what waits to be read
	start  int
	used   int
	ifaces []iface // by interface number of the stream
	tail   []byte  // statistics, behind all packets
	closed bool
	notify func()
}

// iface is a device as the stream knows it.
type iface struct {
	dev               *napi.NetDevice
	received, dropped uint64
}

// maxIfaces bounds the devices one stream describes; packets of further ones
// are not captured.
const maxIfaces = 1024

// NewCapture begins to capture. The stream begins with its header at once; the
// caller reads it and must Close it.
func NewCapture(n *napi.Net, c CaptureConfig) *Capture {
	if c.Snaplen <= 0 {
		c.Snaplen = DefaultSnaplen
	}
	if c.Buffer <= 0 {
		c.Buffer = DefaultBuffer
	}
	k := &Capture{net: n, conf: c, ring: make([]byte, max(c.Buffer, 4096))}
	k.more.L = &k.mu
	k.write(appendSection(nil))
	if c.Device != nil {
		k.iface(c.Device)
		k.promisc = c.Promisc && c.Device.SetPromisc(1) == nil
	}
	k.remove = n.AddPack(napi.ETH_P_ALL, c.Device, k.rcv)
	return k
}

// SetNotify has fn called when there may be something to read, in any context
// with no lock held; it must not block. Nil removes it.
func (k *Capture) SetNotify(fn func()) {
	k.mu.Lock()
	k.notify = fn
	k.mu.Unlock()
}

// Readable reports whether Read would return at once.
func (k *Capture) Readable() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.used > 0 || k.closed
}

// Read reads the stream, waiting while there is nothing. After Close it returns
// what is left, then io.EOF.
func (k *Capture) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.used == 0 && !k.closed {
		k.more.Wait()
	}
	n := k.take(p)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TryRead is Read that does not wait: 0 without an error means that there is
// nothing yet.
func (k *Capture) TryRead(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.take(p)
	if n == 0 && k.closed && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (k *Capture) take(p []byte) int {
	n := 0
	for n < len(p) && k.used > 0 {
		c := copy(p[n:], k.ring[k.start:min(k.start+k.used, len(k.ring))])
		k.start = (k.start + c) % len(k.ring)
		k.used -= c
		n += c
	}
	if k.used == 0 && n < len(p) {
		c := copy(p[n:], k.tail)
		k.tail = k.tail[c:]
		n += c
	}
	return n
}

// WriteTo writes the stream to w until the capture is closed or w fails.
func (k *Capture) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, 64<<10)
	total := int64(0)
	for {
		n, err := k.Read(buf)
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
	}
}

// Stats returns how many packets passed the filter, and how many of them found
// no room.
func (k *Capture) Stats() (received, dropped uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.ifaces {
		received += k.ifaces[i].received
		dropped += k.ifaces[i].dropped
	}
	return received, dropped
}

// Close ends the capture: the stream gets its statistics and ends. Whoever
// reads is woken. Process context.
func (k *Capture) Close() error {
	k.remove()
	k.net.Synchronize()
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	now := time.Now().UnixNano()
	for i, f := range k.ifaces {
		k.tail = appendStats(k.tail, uint32(i), now, f.received, f.dropped)
	}
	fn := k.notify
	k.mu.Unlock()
	k.more.Broadcast()
	if fn != nil {
		fn()
	}
	if k.promisc {
		k.conf.Device.SetPromisc(-1)
	}
	return nil
}

// rcv captures a packet.
func (k *Capture) rcv(b *skb.Buff, dev *napi.NetDevice) {
	b = b.ShareCheck()
	defer b.Consume()
	if off := b.MacOffset(); off < 0 {
		b.Push(-off)
	}
	n := b.Len()
	keep := min(n, k.conf.Snaplen)
	if k.conf.Filter != nil {
		r := k.conf.Filter.Run(b)
		if r == 0 {
			return
		}
		keep = min(keep, int(r))
	}
	k.mu.Lock()
	fn := k.put(b, dev, n, keep)
	k.mu.Unlock()
	if fn != nil {
		k.more.Signal()
		fn()
	}
}

// zeros pad a packet to four bytes. read-only
var zeros [4]byte

// nothing stands for a reader that asked for no notification.
func nothing() {}

// put appends a packet to the stream, and returns whom to tell if the stream
// was empty before.
func (k *Capture) put(b *skb.Buff, dev *napi.NetDevice, n, keep int) (tell func()) {
	empty := k.used == 0
	id := -1
	if !k.closed {
		id = k.iface(dev)
	}
	if id < 0 {
		return nil
	}
	f := &k.ifaces[id]
	f.received++
	if packetSize(keep) > len(k.ring)-k.used {
		f.dropped++
		return nil
	}
	var head [28]byte
	var tail [16]byte
	packetHead(&head, uint32(id), time.Now().UnixNano(), keep, n)
	packetTail(&tail, flagsOf(b), keep)
	k.write(head[:])
	for off := 0; off < keep; {
		at := (k.start + k.used) % len(k.ring)
		c := b.CopyBits(off, k.ring[at:min(at+keep-off, len(k.ring))])
		if c == 0 {
			break // cannot be: keep is within the packet
		}
		k.used += c
		off += c
	}
	k.write(zeros[:pad4(keep)-keep])
	k.write(tail[:])
	if !empty {
		return nil
	}
	if k.notify != nil {
		return k.notify
	}
	return nothing
}

// flagsOf says where a packet went and for whom it was.
func flagsOf(b *skb.Buff) uint32 {
	switch b.PktType {
	case skb.PacketOutgoing:
		return flagOutbound
	case skb.PacketBroadcast:
		return flagInbound | flagBroadcast
	case skb.PacketMulticast:
		return flagInbound | flagMulticast
	case skb.PacketOtherHost:
		return flagInbound | flagPromisc
	}
	return flagInbound | flagUnicast
}

// iface returns the number of a device in the stream, describing it first if it
// is new; -1 when there is no room for that.
func (k *Capture) iface(dev *napi.NetDevice) int {
	for i := range k.ifaces {
		if k.ifaces[i].dev == dev {
			return i
		}
	}
	d := appendInterface(nil, dev.Name(), k.conf.Snaplen)
	if len(k.ifaces) >= maxIfaces || len(d) > len(k.ring)-k.used {
		return -1
	}
	k.write(d)
	k.ifaces = append(k.ifaces, iface{dev: dev})
	return len(k.ifaces) - 1
}

// write appends bytes there is room for.
func (k *Capture) write(p []byte) {
	for len(p) > 0 {
		at := (k.start + k.used) % len(k.ring)
		c := copy(k.ring[at:min(at+len(k.ring)-k.used, len(k.ring))], p)
		k.used += c
		p = p[c:]
	}
}
