package skb

// MaxFrags is the most page fragments one Buff carries (Linux:
// MAX_SKB_FRAGS): with 4 KiB pages a 64 KiB packet at any alignment.
const MaxFrags = 17

// Frag is one piece of a packet in a page (Linux: skb_frag_t). It owns one
// page reference.
type Frag struct {
	Page *Page
	Off  uint32
	Size uint32
}

// Bytes returns the fragment's data.
func (f *Frag) Bytes() []byte { return f.Page.buf[f.Off : f.Off+f.Size] }

// DMA returns the device address of the fragment's first byte.
func (f *Frag) DMA() uint64 { return f.Page.dma + uint64(f.Off) }

// GSO types: how a super-packet is to be cut (Linux: SKB_GSO_*).
const (
	GSOTCPv4  uint16 = 1 << 0
	GSODodgy  uint16 = 1 << 1 // from an untrusted source: check before use
	GSOTCPECN uint16 = 1 << 2
	GSOUDPL4  uint16 = 1 << 3
	// All segments have the same IP identification (SKB_GSO_TCP_FIXEDID);
	// otherwise it counts up.
	GSOTCPFixedID uint16 = 1 << 4
	// All segments have CWR, which is part of a number then (RFC 9768;
	// SKB_GSO_TCP_ACCECN). No device knows that.
	GSOTCPAccECN uint16 = 1 << 5
)

// SharedInfo is what all Buffs that share one data area share (Linux:
// skb_shared_info).
type SharedInfo struct {
	dataref int32 // Buffs over this area; atomic once there is a second

	NrFrags uint8
	TxFlags uint8
	GSOSize uint16 // bytes of payload per segment
	GSOSegs uint16
	GSOType uint16
	Frags   [MaxFrags]Frag

	// FragList is a chain of further Buffs by their next pointers, as
	// reassembly leaves it. Only AddFragList adds to it.
	FragList *Buff
	fragLast *Buff
}

// reset prepares the info for a fresh data area with one user. The fragments
// were cleared when the last one let go.
func (si *SharedInfo) reset() {
	si.dataref = 1
	si.NrFrags, si.TxFlags = 0, 0
	si.GSOSize, si.GSOSegs, si.GSOType = 0, 0, 0
	si.FragList, si.fragLast = nil, nil
}

// copyGSO takes over what describes the packet rather than its memory.
func (si *SharedInfo) copyGSO(from *SharedInfo) {
	si.TxFlags = from.TxFlags
	si.GSOSize, si.GSOSegs, si.GSOType = from.GSOSize, from.GSOSegs, from.GSOType
}

func (si *SharedInfo) appendList(f *Buff) {
	if si.fragLast == nil {
		si.FragList = f
	} else {
		si.fragLast.next = f
	}
	si.fragLast = f
}

// fragBytes returns the bytes in page fragments.
func (si *SharedInfo) fragBytes() int {
	n := 0
	for i := range si.Frags[:si.NrFrags] {
		n += int(si.Frags[i].Size)
	}
	return n
}
