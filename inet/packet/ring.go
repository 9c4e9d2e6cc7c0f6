package packet

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"barewire/inet/sock"
	"barewire/skb"
)

// A memory-mapped receive ring (Linux: PACKET_RX_RING, Documentation/networking/
// packet_mmap.rst): packets are written into memory the program has mapped, each
// behind a header with its lengths, time and sender, and change hands by a
// status word. In versions 1 and 2 the ring is one of frames of one size; in
// version 3 (ringv3.go) one of blocks that are filled and handed over whole.
//
// The program writes to the same memory. Nothing here is steered by what stands
// there but the status words: lengths and places are kept on this side.

// Versions (Linux: enum tpacket_versions).
const (
	tpacketV1 = 0
	tpacketV2 = 1
	tpacketV3 = 2
)

// Sizes of struct tpacket_hdr, tpacket2_hdr and tpacket3_hdr; a struct
// sockaddr_ll stands behind each.
var tpacketHdrSize = [...]uint32{tpacketV1: 32, tpacketV2: 32, tpacketV3: 48} // read-only

const (
	tpacketAlignment = 16
	ringPage         = 4096
	minMacLen        = 16 // room for a link header, so that what is behind it is aligned
)

func tpacketAlign(n uint64) uint64 { return (n + tpacketAlignment - 1) &^ (tpacketAlignment - 1) }

// ring is a receive ring, or a transmit ring. Its geometry does not change.
type ring struct {
	version   uint32
	hdrlen    uint32 // TPACKET_HDRLEN of the version: header and sender
	reserve   uint32
	mem       []byte // begins on a page
	blockSize uint32
	blocks    uint32
	frameSize uint32
	frames    uint32
	perBlock  uint32 // frames
	timeout   int64  // ns until a block that is not full is handed over
	priv      uint32 // bytes of a block that are the program's
	rxhash    bool   // write the flow's hash beside each packet

	mu     sync.Mutex
	closed bool
	head   uint32 // next frame, or block in version 3
	block  openBlock
}

// ringRequest is struct tpacket_req and tpacket_req3.
type ringRequest struct {
	blockSize, blocks, frameSize, frames uint32
	retire, priv, features               uint32 // version 3
}

func parseRingRequest(version uint32, val []byte) (q ringRequest, ok bool) {
	words := [...]*uint32{&q.blockSize, &q.blocks, &q.frameSize, &q.frames, &q.retire, &q.priv, &q.features}
	n := 4
	if version == tpacketV3 {
		n = 7
	}
	if len(val) < 4*n {
		return q, false
	}
	for i, w := range words[:n] {
		*w = binary.LittleEndian.Uint32(val[4*i:])
	}
	return q, true
}

// newRing checks a request and makes the ring (Linux: packet_set_ring). EINVAL
// for sizes that do not fit together, ENOMEM for more than room bytes.
func newRing(q *ringRequest, version, reserve uint32, room int64) (*ring, error) {
	hdr := tpacketHdrSize[version] + sizeofLL
	least := uint64(hdr) + uint64(reserve)
	switch {
	case int32(q.blockSize) <= 0, q.blockSize%ringPage != 0,
		version == tpacketV3 && uint64(q.blockSize) < blockPlusPriv(q.priv)+least,
		uint64(q.frameSize) < least, q.frameSize%tpacketAlignment != 0,
		q.blockSize/q.frameSize == 0,
		uint64(q.blockSize/q.frameSize)*uint64(q.blocks) != uint64(q.frames):
		return nil, syscall.EINVAL
	}
	size := uint64(q.blockSize) * uint64(q.blocks)
	if size > uint64(max(room, 0)) {
		return nil, syscall.ENOMEM
	}
	r := &ring{
		version: version, hdrlen: hdr, reserve: reserve,
		blockSize: q.blockSize, blocks: q.blocks, frameSize: q.frameSize, frames: q.frames,
		perBlock: q.blockSize / q.frameSize, priv: q.priv, rxhash: q.features&fillRxhash != 0,
	}
	r.mem = ringMemory(int(size))
	return r, nil
}

// setRing is PACKET_RX_RING and PACKET_TX_RING: a new ring, or with no blocks
// the end of the one there is. EBUSY while there is one already, or memory of
// the socket is mapped.
func (k *Sock) setRing(val []byte, tx bool) error {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	q, ok := parseRingRequest(k.version, val)
	if !ok {
		return syscall.EINVAL
	}
	at := &k.ring
	if tx {
		at = &k.tx
	}
	old := at.Load()
	if k.mapped > 0 || old != nil && q.blocks != 0 {
		return syscall.EBUSY
	}
	if q.blocks == 0 {
		if q.frames != 0 {
			return syscall.EINVAL
		}
		k.dropRing(at)
	} else {
		r, err := newRing(&q, k.version, k.reserve, k.p.maxRings-k.p.rings)
		if err != nil {
			return err
		}
		if tx && (q.retire|q.priv|q.features) != 0 {
			return syscall.EINVAL // blocks are for receiving
		}
		if !tx && r.version == tpacketV3 {
			r.initBlocks(k, q.retire)
			k.froze.Store(0)
		}
		k.p.rings += int64(len(r.mem))
		at.Store(r)
		k.joinRings()
	}
	if !tx {
		k.purge()
	}
	return nil
}

// purge frees what has been received but not into the ring. An error that waits
// to be told goes on waiting.
func (k *Sock) purge() {
	pending := syscall.Errno(0)
	for {
		b, err := k.RecvDatagram(syscall.MSG_DONTWAIT)
		switch e, _ := err.(syscall.Errno); {
		case b != nil:
			b.Consume()
		case e != syscall.EAGAIN:
			pending = e
		default:
			if pending != 0 {
				k.SetError(pending)
			}
			return
		}
	}
}

// joinRings lays two rings one behind the other, as they are mapped. The caller
// holds Packet.mu.
func (k *Sock) joinRings() {
	rx, tx := k.ring.Load(), k.tx.Load()
	if rx == nil || tx == nil {
		return
	}
	rx.mu.Lock()
	defer rx.mu.Unlock()
	tx.mu.Lock()
	defer tx.mu.Unlock()
	n := len(rx.mem)
	all := ringMemory(n + len(tx.mem))
	copy(all, rx.mem)
	copy(all[n:], tx.mem)
	rx.mem, tx.mem = all[:n:n], all[n:]
}

// ringMemory is n zeroed bytes that begin on a page.
func ringMemory(n int) []byte {
	b := make([]byte, n+ringPage)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % ringPage)
	return b[skip : skip+n : skip+n]
}

// dropRing ends a ring of k's, if it is there. The caller holds Packet.mu.
func (k *Sock) dropRing(at *atomic.Pointer[ring]) {
	r := at.Swap(nil)
	if r == nil {
		return
	}
	k.p.rings -= int64(len(r.mem))
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if at == &k.ring && r.version == tpacketV3 {
		r.block.timer.Del()
	}
}

// Mmap gives the memory of the rings to a program, that of the receive ring
// first (Linux: packet_mmap). unmap is called when it has gone from the
// program's address space. EINVAL without a ring, for an offset and for a size
// that is not that of all.
func (k *Sock) Mmap(off int64, n int) (mem []byte, unmap func(), err error) {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	size := 0
	for _, r := range []*ring{k.ring.Load(), k.tx.Load()} {
		if r == nil {
			continue
		}
		if size += len(r.mem); mem == nil {
			mem = r.mem
		}
	}
	if mem == nil || off != 0 || n != size {
		return nil, nil, syscall.EINVAL
	}
	k.mapped++
	return unsafe.Slice(unsafe.SliceData(mem), size), func() { // joined, if there are two
		k.p.mu.Lock()
		k.mapped--
		k.p.mu.Unlock()
	}, nil
}

// word is an aligned word of the ring, which the program may change at any time.
func (r *ring) word(at uint64) *uint32 { return (*uint32)(unsafe.Pointer(&r.mem[at])) }

// frameAt is where a frame of versions 1 and 2 begins.
func (r *ring) frameAt(i uint32) uint64 {
	return uint64(i/r.perBlock)*uint64(r.blockSize) + uint64(i%r.perBlock)*uint64(r.frameSize)
}

// blockAt is where a block of version 3 begins.
func (r *ring) blockAt(i uint32) uint64 { return uint64(i) * uint64(r.blockSize) }

// frameStatus reads a frame's status word; it is 64 bits wide in version 1, of
// which the upper half is always zero, and 32 in version 2.
func (r *ring) frameStatus(i uint32) uint32 { return atomic.LoadUint32(r.word(r.frameAt(i))) }

// readable reports whether the program has something to look at: the frame or
// block before the one that is next to be filled (Linux: packet_poll).
func (r *ring) readable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if r.version == tpacketV3 {
		return r.blockStatus((r.head+r.blocks-1)%r.blocks) != tpKernel
	}
	return r.frameStatus((r.head+r.frames-1)%r.frames) != tpKernel
}

// entry is a packet for a ring.
type entry struct {
	b       *skb.Buff
	snaplen uint32 // bytes the filter keeps
	length  uint32 // bytes there are
	status  uint32
	vnet    uint32 // bytes of a virtio-net header in front of the packet
	mac     uint64 // where the packet goes, from the frame's start
	net     uint64
	at      time.Time
	from    sockaddrLL
}

// rcvRing puts a packet into the ring (Linux: tpacket_rcv). One that is cut can
// be received as a whole besides, with PACKET_COPY_THRESH. b.CB has been set.
// Consumes b. Softirq context, or that of a sender.
func (k *Sock) rcvRing(r *ring, b *skb.Buff) {
	e := entry{b: b, snaplen: uint32(b.Len()), length: uint32(b.CB[cbLen]), status: tpUser | checksumStatus(b), from: sender(b), at: time.Now()}
	maclen := uint64(0)
	if k.typ == syscall.SOCK_RAW {
		maclen = uint64(max(b.NetworkOffset(), 0))
	}
	if k.typ == syscall.SOCK_DGRAM {
		e.net = tpacketAlign(uint64(r.hdrlen)) + minMacLen + uint64(r.reserve)
	} else {
		e.vnet = uint32(k.vnetHdr.Load())
		e.net = tpacketAlign(uint64(r.hdrlen)+max(maclen, minMacLen)) + uint64(r.reserve) + uint64(e.vnet)
	}
	e.mac = e.net - maclen
	if e.net > 0xffff { // tp_net has 16 bits
		k.dropped.Add(1)
		b.Consume()
		return
	}
	whole := e.fit(r.room())
	queue := !whole && r.version != tpacketV3 && k.copyThresh.Load() && k.RmemAlloc() < k.RcvBuf()
	if queue {
		e.status |= tpCopy
	}

	r.mu.Lock()
	ok, tell := false, true
	if !r.closed {
		if k.dropped.Load() != 0 {
			e.status |= tpLosing
		}
		if r.version == tpacketV3 {
			ok, tell = r.putBlock(k, &e)
		} else {
			ok = r.putFrame(&e)
		}
	}
	if ok {
		k.packets.Add(1)
	} else {
		k.dropped.Add(1)
	}
	r.mu.Unlock()
	if !ok || !queue || k.QueueRcv(b) != sock.Queued {
		b.Consume()
	}
	if tell {
		k.DataReady()
	}
}

// room is how long a frame may be, with header and packet.
func (r *ring) room() uint64 {
	if r.version == tpacketV3 {
		return uint64(r.blockSize) - blockPlusPriv(r.priv)
	}
	return uint64(r.frameSize)
}

// fit cuts the packet to room bytes of frame, and reports whether it is whole.
func (e *entry) fit(room uint64) bool {
	switch {
	case e.mac+uint64(e.snaplen) <= room:
		return true
	case e.mac > room:
		e.mac, e.snaplen, e.vnet = room, 0, 0
	default:
		e.snaplen = uint32(room - e.mac)
	}
	return false
}

// putFrame fills the next frame, if the program has given it back. The caller
// holds mu.
func (r *ring) putFrame(e *entry) bool {
	at := r.frameAt(r.head)
	if r.frameStatus(r.head) != tpKernel {
		return false
	}
	r.head = (r.head + 1) % r.frames
	f := r.mem[at : at+uint64(r.frameSize)]
	e.copyTo(f)
	le := binary.LittleEndian
	sec, nsec := uint32(e.at.Unix()), uint32(e.at.Nanosecond())
	if r.version == tpacketV1 {
		le.PutUint32(f[4:], 0)
		le.PutUint32(f[8:], e.length)
		le.PutUint32(f[12:], e.snaplen)
		le.PutUint16(f[16:], uint16(e.mac))
		le.PutUint16(f[18:], uint16(e.net))
		le.PutUint32(f[20:], sec)
		le.PutUint32(f[24:], nsec/1000)
	} else {
		le.PutUint32(f[4:], e.length)
		le.PutUint32(f[8:], e.snaplen)
		le.PutUint16(f[12:], uint16(e.mac))
		le.PutUint16(f[14:], uint16(e.net))
		le.PutUint32(f[16:], sec)
		le.PutUint32(f[20:], nsec)
		clear(f[24:32])
		if e.b.VlanProto != 0 {
			le.PutUint16(f[24:], e.b.VlanTCI)
			le.PutUint16(f[26:], e.b.VlanProto)
			e.status |= tpVlanValid | tpVlanTPIDValid
		}
	}
	e.from.put((*[sizeofLL]byte)(f[tpacketHdrSize[r.version]:]))
	atomic.StoreUint32(r.word(at), e.status) // last: it is the program's now
	return true
}

// copyTo writes the packet to its place in a frame.
func (e *entry) copyTo(f []byte) {
	e.b.CopyBits(0, f[e.mac:e.mac+uint64(e.snaplen)])
	if e.vnet > 0 {
		putVnetHdr(f[e.mac-uint64(e.vnet):e.mac], e.b)
	}
}
