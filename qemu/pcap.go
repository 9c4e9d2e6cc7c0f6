package qemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// A Captured is one frame of a pcap file.
type Captured struct {
	Time   time.Time
	Length int    // of the frame on the wire
	Data   []byte // as much of it as was kept
}

// ReadPcap reads a capture in the classic libpcap format (the pcap-savefile
// manual page), as QEMU's filter-dump writes it: little-endian, microseconds,
// Ethernet. A record cut off at the end, as a killed QEMU leaves it, ends the
// list.
func ReadPcap(path string) ([]Captured, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if len(b) < 24 || le.Uint32(b) != 0xa1b2c3d4 {
		return nil, fmt.Errorf("%s: not a little-endian pcap file", path)
	}
	if link := le.Uint32(b[20:]); link != 1 {
		return nil, fmt.Errorf("%s: link type %d is not Ethernet", path, link)
	}
	var out []Captured
	for b = b[24:]; len(b) >= 16; {
		n, length := int(le.Uint32(b[8:])), int(le.Uint32(b[12:]))
		if n > length {
			return out, errors.New("pcap: a record is longer than its frame")
		}
		if 16+n > len(b) {
			break
		}
		at := time.Unix(int64(le.Uint32(b)), int64(le.Uint32(b[4:]))*1000)
		out = append(out, Captured{at, length, b[16 : 16+n]})
		b = b[16+n:]
	}
	return out, nil
}

// stripVnetHeaders takes the virtio-net headers off a capture, in place. QEMU's
// filter-dump writes them in front of the frames of a TAP device: 10 bytes
// until the guest's driver has agreed on virtio 1, then 12.
func stripVnetHeaders(path string) error {
	b, err := os.ReadFile(path)
	if err != nil || len(b) < 24 {
		return err
	}
	le := binary.LittleEndian
	out := b[:24]
	for in := b[24:]; len(in) >= 16; {
		kept, length := int(le.Uint32(in[8:])), int(le.Uint32(in[12:]))
		if kept > len(in)-16 {
			break
		}
		n := vnetLength(in[16 : 16+kept])
		rec := in[:16+kept]
		in = in[16+kept:]
		le.PutUint32(rec[8:], uint32(kept-n))
		le.PutUint32(rec[12:], uint32(length-n))
		out = append(out, rec[:16]...) // shorter than what was read: never overtakes it
		out = append(out, rec[16+n:]...)
	}
	return os.WriteFile(path, out, 0o666)
}

// vnetLength tells by the ethertype behind it how long the header of a captured
// frame is.
func vnetLength(p []byte) int {
	for _, n := range []int{12, 10} {
		if len(p) >= n+14 {
			switch binary.BigEndian.Uint16(p[n+12:]) {
			case EtherIPv4, EtherARP, 0x86dd, 0x8100:
				return n
			}
		}
	}
	return min(12, len(p))
}
