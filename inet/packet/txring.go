package packet

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"

	"barewire/inet/sock"
)

// A memory-mapped transmit ring (Linux: PACKET_TX_RING, tpacket_snd): the
// program writes frames, marks them, and one call of send transmits all that
// are marked. A frame is copied, so it is the program's again when send returns
// and is never seen in state TP_STATUS_SENDING.

// States of a frame (Linux: TP_STATUS_*).
const (
	txAvailable   = 0
	txSendRequest = 1 << 0
	txWrongFormat = 1 << 2
)

// txStatusAt is where the status stands in a frame's header.
var txStatusAt = [...]uint64{tpacketV1: 0, tpacketV2: 0, tpacketV3: v3StatusAt} // read-only

// sendRing transmits the frames that are marked, in order, and returns how many
// bytes they had. A frame that cannot be sent is marked TP_STATUS_WRONG_FORMAT
// and ends the call with EINVAL or EMSGSIZE, or with PACKET_LOSS is passed over.
// EBUSY when the ring has gone; otherwise as SendMsg.
func (k *Sock) sendRing(r *ring, m *sock.Msg, flags int) (int, error) {
	k.sending.Lock()
	defer k.sending.Unlock()
	dev, a, c, err := k.address(m)
	if err != nil {
		return 0, err
	}
	longest := int(r.frameSize - (r.hdrlen - sizeofLL))
	if k.vnetHdr.Load() == 0 {
		room := dev.MTU() + 4 // a VLAN tag
		if k.typ == syscall.SOCK_RAW {
			room += dev.HardHeaderLen
		}
		longest = min(longest, room)
	}
	k.p.mu.Lock()
	offsets := k.kept[optTxHasOff] != 0
	k.p.mu.Unlock()
	sum := 0
	var iov [1][]byte
	for {
		data, status, err := r.nextFrame(longest, offsets, k.typ)
		if status == nil {
			if err != nil {
				return 0, err
			}
			return sum, nil
		}
		if err == nil {
			if err := k.WaitSendSpace(flags); err != nil {
				if sum > 0 {
					return sum, nil
				}
				return 0, err
			}
			iov[0] = data
			it := sock.Iter{Iov: iov[:]}
			switch err = k.xmit(&it, len(data), dev, &a, &c, m.NameLen != 0, flags); err {
			case nil:
				sum += len(data)
			case syscall.EINVAL, syscall.EMSGSIZE:
			default:
				return 0, err // the frame stays marked
			}
		}
		if err != nil && !k.loss.Load() {
			atomic.StoreUint32(status, txWrongFormat)
			return 0, err
		}
		atomic.StoreUint32(status, txAvailable)
		r.mu.Lock()
		r.head = (r.head + 1) % r.frames
		r.mu.Unlock()
	}
}

// nextFrame returns the packet of the next frame and its status word, nil if it
// is not marked. EBUSY when the ring has gone; with a status word the error is
// the frame's, as of frameData.
func (r *ring) nextFrame(longest int, offsets bool, typ int) (data []byte, status *uint32, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, syscall.EBUSY
	}
	at := r.frameAt(r.head)
	status = r.word(at + txStatusAt[r.version])
	if atomic.LoadUint32(status) != txSendRequest {
		return nil, nil, nil
	}
	data, err = r.frameData(at, longest, offsets, typ)
	return data, status, err
}

// frameData is the packet of a frame of at most longest bytes (Linux:
// tpacket_parse_header): behind the header, or where the header says with
// PACKET_TX_HAS_OFF. EINVAL, EMSGSIZE.
func (r *ring) frameData(at uint64, longest int, offsets bool, typ int) ([]byte, error) {
	f := r.mem[at : at+uint64(r.frameSize)]
	le := binary.LittleEndian
	var n, mac, net uint32
	switch r.version {
	case tpacketV1:
		n, mac, net = le.Uint32(f[8:]), uint32(le.Uint16(f[16:])), uint32(le.Uint16(f[18:]))
	case tpacketV2:
		n, mac, net = le.Uint32(f[4:]), uint32(le.Uint16(f[12:])), uint32(le.Uint16(f[14:]))
	default:
		if le.Uint32(f) != 0 {
			return nil, syscall.EINVAL // frames of a size of their own
		}
		n, mac, net = le.Uint32(f[16:]), uint32(le.Uint16(f[24:])), uint32(le.Uint16(f[26:]))
	}
	if n > uint32(longest) {
		return nil, syscall.EMSGSIZE
	}
	least := r.hdrlen - sizeofLL
	off := least
	if offsets {
		if off = mac; typ == syscall.SOCK_DGRAM {
			off = net
		}
		if off < least || off > r.frameSize-n {
			return nil, syscall.EINVAL
		}
	}
	return f[off : off+n], nil
}

// sendable reports whether the next frame is free (Linux: packet_poll).
func (r *ring) sendable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.closed && atomic.LoadUint32(r.word(r.frameAt(r.head)+txStatusAt[r.version])) == txAvailable
}
