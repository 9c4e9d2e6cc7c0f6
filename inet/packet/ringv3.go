package packet

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"barewire/napi"
)

// Version 3 of the ring (Linux: struct tpacket_block_desc, the prb functions of
// net/packet/af_packet.c). A block begins with a description, then come as many
// bytes as the program wants for itself, then packets one behind the other, each
// aligned to 8. A block is handed over when the next packet does not fit, or
// when it has held packets for a while. If the next block is still the
// program's, the ring is frozen and packets are dropped until it is given back.

const (
	blockHdrSize  = 48      // struct tpacket_block_desc
	blockTimeout  = 8000000 // DEFAULT_PRB_RETIRE_TOV, ns
	fillRxhash    = 1 << 0  // TP_FT_REQ_FILL_RXHASH
	v3StatusAt    = 20      // of tp_status in struct tpacket3_hdr
	blockStatusAt = 8       // of block_status in struct tpacket_block_desc
)

// align8 is V3_ALIGNMENT.
func align8(n uint64) uint64 { return (n + 7) &^ 7 }

// blockPlusPriv is where the first packet of a block stands (Linux:
// BLK_PLUS_PRIV).
func blockPlusPriv(priv uint32) uint64 { return blockHdrSize + align8(uint64(priv)) }

// openBlock is the block of number head that is being filled, as far as the
// ring is not frozen. Guarded by ring.mu.
type openBlock struct {
	frozen  bool
	seq     uint64
	packets uint32
	next    uint64 // where the next packet goes, from the block's start
	last    uint64 // where the last one went
	timer   napi.Timer
}

// initBlocks opens the first block. retire is in milliseconds, 0 for the
// default.
func (r *ring) initBlocks(k *Sock, retire uint32) {
	r.timeout = int64(retire) * int64(time.Millisecond)
	if retire == 0 {
		r.timeout = blockTimeout
	}
	r.block.timer.Init(k.p.net.Timers(), func(*napi.Timer) { r.retire(k) })
	r.open()
}

func (r *ring) blockStatus(i uint32) uint32 {
	return atomic.LoadUint32(r.word(r.blockAt(i) + blockStatusAt))
}

// open begins to fill block head (Linux: prb_open_block).
func (r *ring) open() {
	o := &r.block
	o.frozen, o.packets = false, 0
	o.seq++
	o.next = blockPlusPriv(r.priv)
	o.last = o.next
	d := r.mem[r.blockAt(r.head):]
	le := binary.LittleEndian
	le.PutUint32(d[0:], r.version)
	le.PutUint32(d[4:], blockHdrSize)
	le.PutUint32(d[12:], 0)
	le.PutUint32(d[16:], uint32(o.next))
	le.PutUint32(d[20:], uint32(o.next))
	le.PutUint64(d[24:], o.seq)
	now := time.Now()
	le.PutUint32(d[32:], uint32(now.Unix()))
	le.PutUint32(d[36:], uint32(now.Nanosecond()))
}

// close hands block head over (Linux: prb_close_block) and goes on to the next,
// opening it if it is free.
func (r *ring) close(k *Sock, status uint32) {
	o := &r.block
	d := r.mem[r.blockAt(r.head):]
	le := binary.LittleEndian
	now := time.Now()
	sec, nsec := uint32(now.Unix()), uint32(now.Nanosecond())
	if o.packets > 0 {
		le.PutUint32(d[o.last:], 0) // no next packet
		sec, nsec = le.Uint32(d[o.last+4:]), le.Uint32(d[o.last+8:])
	}
	le.PutUint32(d[40:], sec)
	le.PutUint32(d[44:], nsec)
	if k.dropped.Load() != 0 {
		status |= tpLosing
	}
	atomic.StoreUint32(r.word(r.blockAt(r.head)+blockStatusAt), tpUser|status)
	r.head = (r.head + 1) % r.blocks
	if r.blockStatus(r.head)&tpUser != 0 {
		o.frozen = true
		k.froze.Add(1)
		return
	}
	r.open()
}

// putBlock appends a packet to the open block or the next. tell means that a
// block was handed over, or that a packet found no room.
func (r *ring) putBlock(k *Sock, e *entry) (ok, tell bool) {
	o := &r.block
	if o.frozen {
		if r.blockStatus(r.head)&tpUser != 0 {
			return false, true
		}
		r.open()
	}
	n := align8(e.mac + uint64(e.snaplen))
	if o.next+n >= uint64(r.blockSize) {
		tell = true
		if r.close(k, 0); o.frozen {
			return false, tell
		}
	}
	at := r.blockAt(r.head)
	d := r.mem[at : at+uint64(r.blockSize)]
	f := d[o.next : o.next+n]
	e.copyTo(f)
	le := binary.LittleEndian
	le.PutUint32(f[0:], uint32(n))
	le.PutUint32(f[4:], uint32(e.at.Unix()))
	le.PutUint32(f[8:], uint32(e.at.Nanosecond()))
	le.PutUint32(f[12:], e.snaplen)
	le.PutUint32(f[16:], e.length)
	le.PutUint16(f[24:], uint16(e.mac))
	le.PutUint16(f[26:], uint16(e.net))
	clear(f[28:48])
	if r.rxhash {
		le.PutUint32(f[28:], e.b.Hash)
	}
	status := e.status &^ tpLosing // said of the block
	if e.b.VlanProto != 0 {
		le.PutUint32(f[32:], uint32(e.b.VlanTCI))
		le.PutUint16(f[36:], e.b.VlanProto)
		status |= tpVlanValid | tpVlanTPIDValid
	}
	le.PutUint32(f[v3StatusAt:], status)
	e.from.put((*[sizeofLL]byte)(f[tpacketHdrSize[tpacketV3]:]))
	o.last = o.next
	o.next += n
	o.packets++
	le.PutUint32(d[12:], o.packets)
	le.PutUint32(d[20:], uint32(o.next))
	if o.packets == 1 {
		o.timer.Mod(k.p.net.Clock().Now() + r.timeout)
	}
	return true, tell
}

// retire hands a block over that has held packets for the timeout (Linux:
// prb_retire_rx_blk_timer_expired). Softirq context. The timer may belong to a
// block that has gone meanwhile: then the present one is handed over early,
// which Linux's periodic timer does as well.
func (r *ring) retire(k *Sock) {
	r.mu.Lock()
	tell := !r.closed && !r.block.frozen && r.block.packets > 0
	if tell {
		r.close(k, tpBlkTmo)
	}
	r.mu.Unlock()
	if tell {
		k.DataReady()
	}
}
