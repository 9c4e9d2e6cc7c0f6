package bpf

import (
	"encoding/binary"
	"math/rand/v2"

	"barewire/napi"
	"barewire/skb"
)

// Program is a checked filter. It does not change and may run on any number of
// packets at once.
type Program struct {
	insns []Insn
	steps []step
}

// Insns returns the instructions it was made of, which must not be changed.
func (p *Program) Insns() []Insn { return p.insns }

// Run filters a packet and returns how many bytes of it to keep, from Data on;
// 0 drops it (Linux: bpf_prog_run). b is not changed. Any context.
func (p *Program) Run(b *skb.Buff) uint32 {
	var a, x uint32
	var mem [memWords]uint32
	data := b.Data()
	// The checker made every jump land inside, so that the range check of
	// the slice is the only one, and it never fails.
	for pc := 0; pc < len(p.steps); pc++ {
		s := &p.steps[pc]
		ok := true
		switch s.op {
		case opLdImm:
			a = s.k
		case opLdxImm:
			x = s.k
		case opLdMem:
			a = mem[s.k&(memWords-1)]
		case opLdxMem:
			x = mem[s.k&(memWords-1)]
		case opLdLen:
			a = uint32(b.Len())
		case opLdxLen:
			x = uint32(b.Len())
		case opLdAbsW:
			if k := uint64(s.k); k+4 <= uint64(len(data)) {
				a = binary.BigEndian.Uint32(data[k:])
			} else {
				a, ok = load(b, s.k, 4)
			}
		case opLdAbsH:
			if k := uint64(s.k); k+2 <= uint64(len(data)) {
				a = uint32(binary.BigEndian.Uint16(data[k:]))
			} else {
				a, ok = load(b, s.k, 2)
			}
		case opLdAbsB:
			if k := uint64(s.k); k < uint64(len(data)) {
				a = uint32(data[k])
			} else {
				a, ok = load(b, s.k, 1)
			}
		case opLdIndW:
			if k := uint64(s.k + x); k+4 <= uint64(len(data)) {
				a = binary.BigEndian.Uint32(data[k:])
			} else {
				a, ok = load(b, s.k+x, 4)
			}
		case opLdIndH:
			if k := uint64(s.k + x); k+2 <= uint64(len(data)) {
				a = uint32(binary.BigEndian.Uint16(data[k:]))
			} else {
				a, ok = load(b, s.k+x, 2)
			}
		case opLdIndB:
			if k := uint64(s.k + x); k < uint64(len(data)) {
				a = uint32(data[k])
			} else {
				a, ok = load(b, s.k+x, 1)
			}
		case opLdxMsh:
			var v uint32
			if v, ok = load(b, s.k, 1); ok {
				x = v & 0xf << 2
			}
		case opLdAD:
			if s.k == adAluXorX {
				a ^= x
			} else {
				a, ok = ancillary(b, s.k)
			}
		case opSt:
			mem[s.k&(memWords-1)] = a
		case opStx:
			mem[s.k&(memWords-1)] = x
		case opAddK:
			a += s.k
		case opSubK:
			a -= s.k
		case opMulK:
			a *= s.k
		case opDivK:
			a /= s.k
		case opModK:
			a %= s.k
		case opAndK:
			a &= s.k
		case opOrK:
			a |= s.k
		case opXorK:
			a ^= s.k
		case opLshK:
			a <<= s.k & 31
		case opRshK:
			a >>= s.k & 31
		case opAddX:
			a += x
		case opSubX:
			a -= x
		case opMulX:
			a *= x
		case opDivX:
			if x == 0 {
				return 0
			}
			a /= x
		case opModX:
			if x == 0 {
				return 0
			}
			a %= x
		case opAndX:
			a &= x
		case opOrX:
			a |= x
		case opXorX:
			a ^= x
		case opLshX:
			a <<= x & 31 // only the low five bits count, as in Linux
		case opRshX:
			a >>= x & 31
		case opNeg:
			a = -a
		case opTax:
			x = a
		case opTxa:
			a = x
		case opJa:
			pc += int(s.k)
		case opJeqK:
			pc += s.branch(a == s.k)
		case opJgtK:
			pc += s.branch(a > s.k)
		case opJgeK:
			pc += s.branch(a >= s.k)
		case opJsetK:
			pc += s.branch(a&s.k != 0)
		case opJeqX:
			pc += s.branch(a == x)
		case opJgtX:
			pc += s.branch(a > x)
		case opJgeX:
			pc += s.branch(a >= x)
		case opJsetX:
			pc += s.branch(a&x != 0)
		case opRetK:
			return s.k
		case opRetA:
			return a
		}
		if !ok {
			return 0
		}
	}
	return 0
}

func (s *step) branch(cond bool) int {
	if cond {
		return int(s.jt)
	}
	return int(s.jf)
}

// load reads size bytes at a place that is not simply in the linear part: in a
// fragment, or counted from a header (Linux: bpf_skb_load_helper and
// bpf_internal_load_pointer_neg_helper).
func load(b *skb.Buff, k uint32, size int) (uint32, bool) {
	var v [4]byte
	switch {
	case int32(k) >= 0:
		if b.CopyBits(int(k), v[4-size:]) < size {
			return 0, false
		}
	case k >= offNet:
		return loadHeader(b.NetworkHeader(), k-offNet, size)
	case k >= offLL:
		if !b.MacHeaderWasSet() {
			return 0, false
		}
		return loadHeader(b.MacHeader(), k-offLL, size)
	default:
		return 0, false
	}
	return binary.BigEndian.Uint32(v[:]), true
}

func loadHeader(p []byte, k uint32, size int) (uint32, bool) {
	if uint64(k)+uint64(size) > uint64(len(p)) {
		return 0, false
	}
	v := uint32(0)
	for _, c := range p[k : int(k)+size] {
		v = v<<8 | uint32(c)
	}
	return v, true
}

// ancillary reads what is known about a packet beside its bytes. False, which
// drops the packet, for what only a packet with a device has.
func ancillary(b *skb.Buff, what uint32) (uint32, bool) {
	switch what {
	case adProtocol:
		return uint32(b.Protocol), true
	case adPktType:
		return uint32(b.PktType), true
	case adIfindex:
		if b.Dev == nil {
			return 0, false
		}
		return uint32(b.Dev.Ifindex()), true
	case adHatype:
		d, ok := b.Dev.(*napi.NetDevice)
		if !ok {
			return 0, false
		}
		return uint32(d.Type), true
	case adMark:
		return b.Mark, true
	case adQueue:
		return uint32(b.QueueMapping), true
	case adRxhash:
		return b.Hash, true
	case adVlanTag:
		return uint32(b.VlanTCI), true
	case adVlanThere:
		if b.VlanProto != 0 {
			return 1, true
		}
		return 0, true
	case adVlanTPID:
		return uint32(b.VlanProto), true
	case adRandom:
		// For sampling only; nothing secret hangs on it.
		return rand.Uint32(), true
	}
	return 0, true // adCPU: one SoftNet, processor 0
}
