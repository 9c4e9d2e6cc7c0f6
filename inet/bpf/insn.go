package bpf

import (
	"encoding/binary"
	"syscall"
)

// MaxInsns is the most instructions a program may have (Linux: BPF_MAXINSNS).
const MaxInsns = 4096

// memWords is the number of words of scratch memory (Linux: BPF_MEMWORDS).
const memWords = 16

// insnSize is the length of struct sock_filter in bytes.
const insnSize = 8

// Insn is one instruction as programs write it (Linux: struct sock_filter).
type Insn struct {
	Code   uint16
	JT, JF uint8  // instructions to skip if the test is true or false
	K      uint32 // constant, offset or index, by Code
}

// Parts of an instruction code (Linux: include/uapi/linux/bpf_common.h).
const (
	classLD, classLDX, classST, classSTX   = 0, 1, 2, 3
	classALU, classJMP, classRET, classMSC = 4, 5, 6, 7

	sizeW, sizeH, sizeB = 0x00, 0x08, 0x10

	modeIMM, modeABS, modeIND, modeMEM, modeLEN, modeMSH = 0x00, 0x20, 0x40, 0x60, 0x80, 0xa0

	aluADD, aluSUB, aluMUL, aluDIV, aluOR, aluAND = 0x00, 0x10, 0x20, 0x30, 0x40, 0x50
	aluLSH, aluRSH, aluNEG, aluMOD, aluXOR        = 0x60, 0x70, 0x80, 0x90, 0xa0

	jmpJA, jmpJEQ, jmpJGT, jmpJGE, jmpJSET = 0x00, 0x10, 0x20, 0x30, 0x40

	srcK, srcX = 0x00, 0x08
	retA       = 0x10
	mscTXA     = 0x80
)

// Offsets of loads that do not count from Data (Linux: SKF_*_OFF,
// include/uapi/linux/filter.h), as the unsigned K they appear as.
const (
	offAD  = 0xfffff000 // -0x1000: facts about the packet
	offNet = 0xfff00000 // -0x100000: from the network header
	offLL  = 0xffe00000 // -0x200000: from the link header
)

// Ancillary loads, offsets from offAD (Linux: SKF_AD_*).
const (
	adProtocol  = 0
	adPktType   = 4
	adIfindex   = 8
	adMark      = 20
	adQueue     = 24
	adHatype    = 28
	adRxhash    = 32
	adCPU       = 36
	adAluXorX   = 40
	adVlanTag   = 44
	adVlanThere = 48
	adRandom    = 56
	adVlanTPID  = 60
)

// Parse reads instructions as SO_ATTACH_FILTER passes them, struct sock_filter
// one after another in machine order. EINVAL when their number is zero, broken
// or more than MaxInsns.
func Parse(p []byte) ([]Insn, error) {
	if len(p) == 0 || len(p)%insnSize != 0 || len(p)/insnSize > MaxInsns {
		return nil, syscall.EINVAL
	}
	insns := make([]Insn, len(p)/insnSize)
	for i := range insns {
		q := p[i*insnSize:]
		insns[i] = Insn{
			Code: binary.LittleEndian.Uint16(q),
			JT:   q[2], JF: q[3],
			K: binary.LittleEndian.Uint32(q[4:]),
		}
	}
	return insns, nil
}

// Append writes instructions in the layout Parse reads, for SO_GET_FILTER.
func Append(b []byte, insns []Insn) []byte {
	for _, in := range insns {
		b = binary.LittleEndian.AppendUint16(b, in.Code)
		b = append(b, in.JT, in.JF)
		b = binary.LittleEndian.AppendUint32(b, in.K)
	}
	return b
}
