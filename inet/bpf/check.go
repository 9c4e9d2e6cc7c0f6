package bpf

import "syscall"

// op is a decoded operation: dense, so that the interpreter's switch is a jump
// table.
type op uint8

const (
	opBad op = iota
	opLdImm
	opLdxImm
	opLdMem
	opLdxMem
	opLdLen
	opLdxLen
	opLdAbsW
	opLdAbsH
	opLdAbsB
	opLdIndW
	opLdIndH
	opLdIndB
	opLdxMsh
	opLdAD
	opSt
	opStx
	opAddK
	opSubK
	opMulK
	opDivK
	opModK
	opAndK
	opOrK
	opXorK
	opLshK
	opRshK
	opAddX
	opSubX
	opMulX
	opDivX
	opModX
	opAndX
	opOrX
	opXorX
	opLshX
	opRshX
	opNeg
	opTax
	opTxa
	opJa
	opJeqK
	opJgtK
	opJgeK
	opJsetK
	opJeqX
	opJgtX
	opJgeX
	opJsetX
	opRetK
	opRetA
)

// codes are the instruction codes there are (Linux: chk_code_allowed); all
// others are opBad. read-only
var codes = [256]op{
	classLD | modeIMM:          opLdImm,
	classLD | modeMEM:          opLdMem,
	classLD | modeLEN:          opLdLen,
	classLD | sizeW | modeABS:  opLdAbsW,
	classLD | sizeH | modeABS:  opLdAbsH,
	classLD | sizeB | modeABS:  opLdAbsB,
	classLD | sizeW | modeIND:  opLdIndW,
	classLD | sizeH | modeIND:  opLdIndH,
	classLD | sizeB | modeIND:  opLdIndB,
	classLDX | modeIMM:         opLdxImm,
	classLDX | modeMEM:         opLdxMem,
	classLDX | modeLEN:         opLdxLen,
	classLDX | sizeB | modeMSH: opLdxMsh,
	classST:                    opSt,
	classSTX:                   opStx,
	classALU | aluADD | srcK:   opAddK,
	classALU | aluSUB | srcK:   opSubK,
	classALU | aluMUL | srcK:   opMulK,
	classALU | aluDIV | srcK:   opDivK,
	classALU | aluMOD | srcK:   opModK,
	classALU | aluAND | srcK:   opAndK,
	classALU | aluOR | srcK:    opOrK,
	classALU | aluXOR | srcK:   opXorK,
	classALU | aluLSH | srcK:   opLshK,
	classALU | aluRSH | srcK:   opRshK,
	classALU | aluADD | srcX:   opAddX,
	classALU | aluSUB | srcX:   opSubX,
	classALU | aluMUL | srcX:   opMulX,
	classALU | aluDIV | srcX:   opDivX,
	classALU | aluMOD | srcX:   opModX,
	classALU | aluAND | srcX:   opAndX,
	classALU | aluOR | srcX:    opOrX,
	classALU | aluXOR | srcX:   opXorX,
	classALU | aluLSH | srcX:   opLshX,
	classALU | aluRSH | srcX:   opRshX,
	classALU | aluNEG:          opNeg,
	classMSC:                   opTax,
	classMSC | mscTXA:          opTxa,
	classJMP | jmpJA:           opJa,
	classJMP | jmpJEQ | srcK:   opJeqK,
	classJMP | jmpJGT | srcK:   opJgtK,
	classJMP | jmpJGE | srcK:   opJgeK,
	classJMP | jmpJSET | srcK:  opJsetK,
	classJMP | jmpJEQ | srcX:   opJeqX,
	classJMP | jmpJGT | srcX:   opJgtX,
	classJMP | jmpJGE | srcX:   opJgeX,
	classJMP | jmpJSET | srcX:  opJsetX,
	classRET:                   opRetK,
	classRET | retA:            opRetA,
}

// step is a checked instruction.
type step struct {
	op     op
	jt, jf uint8
	k      uint32
}

// decode checks one instruction by itself; left is how many follow it (Linux:
// the loop of bpf_check_classic).
func decode(in Insn, left int) (step, bool) {
	if in.Code > 0xff {
		return step{}, false
	}
	s := step{codes[in.Code], in.JT, in.JF, in.K}
	switch s.op {
	case opBad:
		return s, false
	case opDivK, opModK:
		return s, s.k != 0
	case opLshK, opRshK:
		return s, s.k < 32
	case opLdMem, opLdxMem, opSt, opStx:
		return s, s.k < memWords
	case opJa:
		return s, uint64(s.k) < uint64(left)
	case opJeqK, opJgtK, opJgeK, opJsetK, opJeqX, opJgtX, opJgeX, opJsetX:
		return s, int(s.jt) < left && int(s.jf) < left
	case opLdAbsW, opLdAbsH, opLdAbsB:
		if s.k < offAD {
			return s, true
		}
		// The width means nothing here; Linux takes any.
		s.op, s.k = opLdAD, s.k-offAD
		switch s.k {
		case adProtocol, adPktType, adIfindex, adMark, adQueue, adHatype, adRxhash,
			adCPU, adAluXorX, adVlanTag, adVlanThere, adRandom, adVlanTPID:
			return s, true
		}
		return s, false
	}
	return s, true
}

// memChecked reports whether no way through the program reads a word of scratch
// memory that was not written before (Linux: check_load_and_stores). One pass
// is enough since all jumps go forward: what is known at an instruction is what
// every instruction that leads to it knows.
func memChecked(prog []step) bool {
	const all = 1<<memWords - 1
	known := make([]uint16, len(prog))
	for i := range known {
		known[i] = all // nothing leads here yet
	}
	now := uint16(0) // by falling through
	for i, s := range prog {
		now &= known[i]
		switch s.op {
		case opSt, opStx:
			now |= 1 << s.k
		case opLdMem, opLdxMem:
			if now&(1<<s.k) == 0 {
				return false
			}
		case opJa:
			known[i+1+int(s.k)] &= now
			now = all
		case opJeqK, opJgtK, opJgeK, opJsetK, opJeqX, opJgtX, opJgeX, opJsetX:
			known[i+1+int(s.jt)] &= now
			known[i+1+int(s.jf)] &= now
			now = all
		}
	}
	return true
}

// New checks a program and makes it ready to run. EINVAL for what
// bpf_check_classic refuses.
func New(insns []Insn) (*Program, error) {
	if len(insns) == 0 || len(insns) > MaxInsns {
		return nil, syscall.EINVAL
	}
	p := &Program{insns: append([]Insn(nil), insns...), steps: make([]step, len(insns))}
	for i, in := range insns {
		s, ok := decode(in, len(insns)-i-1)
		if !ok {
			return nil, syscall.EINVAL
		}
		p.steps[i] = s
	}
	if last := p.steps[len(insns)-1].op; last != opRetK && last != opRetA {
		return nil, syscall.EINVAL
	}
	if !memChecked(p.steps) {
		return nil, syscall.EINVAL
	}
	return p, nil
}
