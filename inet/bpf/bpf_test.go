package bpf

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"

	xbpf "golang.org/x/net/bpf"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

func newCache(t testing.TB) *skb.Cache {
	t.Helper()
	pool, err := skb.NewPagePool(skb.PageConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return skb.NewCache(pool)
}

// packet makes a packet of data whose bytes from linear on are in fragments of
// frag bytes.
func packet(t testing.TB, c *skb.Cache, data []byte, linear, frag int) *skb.Buff {
	t.Helper()
	linear = min(linear, len(data))
	b := c.Alloc(64 + linear)
	if b == nil {
		t.Fatal("pool is empty")
	}
	b.Reserve(64)
	b.PutData(data[:linear])
	for rest := data[linear:]; len(rest) > 0; {
		p := c.Pool().Alloc()
		n := copy(p.Bytes()[:min(frag, len(p.Bytes()))], rest)
		if !b.AddFrag(p, 0, n, len(p.Bytes())) {
			p.Put()
			break
		}
		rest = rest[n:]
	}
	return b
}

func fromX(raw []xbpf.RawInstruction) []Insn {
	l := make([]Insn, len(raw))
	for i, r := range raw {
		l[i] = Insn{r.Op, r.Jt, r.Jf, r.K}
	}
	return l
}

func assemble(t testing.TB, l ...xbpf.Instruction) []Insn {
	t.Helper()
	raw, err := xbpf.Assemble(l)
	if err != nil {
		t.Fatal(err)
	}
	return fromX(raw)
}

func mustNew(t testing.TB, l []Insn) *Program {
	t.Helper()
	p, err := New(l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNew_checkerTable(t *testing.T) {
	ret := Insn{Code: 0x06, K: 1}
	long := make([]Insn, MaxInsns+1)
	for i := range long {
		long[i] = ret
	}
	for _, c := range []struct {
		name string
		prog []Insn
		ok   bool
	}{
		{"empty", nil, false},
		{"return", []Insn{ret}, true},
		{"longest", long[:MaxInsns], true},
		{"too long", long, false},
		{"no return at the end", []Insn{ret, {Code: 0x00}}, false},
		{"return X is none", []Insn{{Code: 0x0e}}, false},
		{"unknown code", []Insn{{Code: 0xff}, ret}, false},
		{"code beyond a byte", []Insn{{Code: 0x106}, ret}, false},
		{"jump to the last", []Insn{{Code: 0x05, K: 0}, ret}, true},
		{"jump behind the end", []Insn{{Code: 0x05, K: 1}, ret}, false},
		{"jump back", []Insn{{Code: 0x05, K: 0xffffffff}, ret}, false},
		{"branch inside", []Insn{{Code: 0x15, JT: 1, JF: 0}, ret, ret}, true},
		{"true branch outside", []Insn{{Code: 0x15, JT: 2}, ret, ret}, false},
		{"false branch outside", []Insn{{Code: 0x15, JF: 2}, ret, ret}, false},
		{"division by zero", []Insn{{Code: 0x34}, ret}, false},
		{"modulo zero", []Insn{{Code: 0x94}, ret}, false},
		{"division by X", []Insn{{Code: 0x3c}, ret}, true},
		{"shift by 31", []Insn{{Code: 0x64, K: 31}, ret}, true},
		{"shift by 32", []Insn{{Code: 0x64, K: 32}, ret}, false},
		{"right shift by 32", []Insn{{Code: 0x74, K: 32}, ret}, false},
		{"store to 15", []Insn{{Code: 0x02, K: 15}, ret}, true},
		{"store to 16", []Insn{{Code: 0x02, K: 16}, ret}, false},
		{"load of what was stored", []Insn{{Code: 0x02, K: 3}, {Code: 0x60, K: 3}, ret}, true},
		{"load of what was not stored", []Insn{{Code: 0x02, K: 3}, {Code: 0x60, K: 4}, ret}, false},
		{"stored on one way only", []Insn{{Code: 0x15, JT: 1}, {Code: 0x02}, {Code: 0x60}, ret}, false},
		{"stored on both ways", []Insn{{Code: 0x15, JT: 2}, {Code: 0x02}, {Code: 0x05, K: 1}, {Code: 0x03}, {Code: 0x61}, ret}, true},
		{"behind a jump nothing leads to", []Insn{{Code: 0x05, K: 1}, {Code: 0x60, K: 9}, ret}, true},
		{"protocol", []Insn{{Code: 0x28, K: offAD + adProtocol}, ret}, true},
		{"unknown ancillary", []Insn{{Code: 0x28, K: offAD + 1}, ret}, false},
		{"netlink attribute", []Insn{{Code: 0x20, K: offAD + 12}, ret}, false},
		{"network header", []Insn{{Code: 0x20, K: offNet}, ret}, true},
	} {
		if p, err := New(c.prog); (err == nil) != c.ok || err != nil && err != syscall.EINVAL {
			t.Errorf("%s: %v, %v", c.name, p, err)
		}
	}
}

func TestParse_lengths(t *testing.T) {
	for n := range 20 {
		if _, err := Parse(make([]byte, n)); (err == nil) != (n == 8 || n == 16) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := Parse(make([]byte, (MaxInsns+1)*8)); err != syscall.EINVAL {
		t.Errorf("too many: %v", err)
	}
	raw := []byte{0x15, 0, 3, 4, 0x78, 0x56, 0x34, 0x12, 6, 0, 0, 0, 1, 0, 0, 0}
	l, err := Parse(raw)
	if err != nil || l[0] != (Insn{0x15, 3, 4, 0x12345678}) {
		t.Errorf("%v, %v", l, err)
	}
	if !bytes.Equal(Append(nil, l), raw) {
		t.Error("Append does not undo Parse")
	}
}

// generate makes a valid program that is mostly loads, arithmetic and jumps.
func generate(r *rand.Rand) []Insn {
	var ops []uint16
	for c, o := range codes {
		switch o {
		case opBad, opRetK, opRetA:
		case opLdxLen: // x/net/bpf takes it for "ld #len"
		case opLshX, opRshX: // ... and shifts out everything beyond 31
		default:
			ops = append(ops, uint16(c))
		}
	}
	n := 1 + r.IntN(40)
	var l []Insn
	for i := range memWords { // so that every load of scratch memory is fine
		l = append(l, Insn{Code: classST, K: uint32(i)})
	}
	for i := range n {
		in := Insn{Code: ops[r.IntN(len(ops))], K: uint32(r.IntN(80))}
		left := n - i // the return behind
		switch codes[in.Code] {
		case opLshK, opRshK:
			in.K %= 32
		case opDivK, opModK:
			in.K++
		case opLdMem, opLdxMem, opSt, opStx:
			in.K %= memWords
		case opLdIndW, opLdIndH, opLdIndB:
			in.K = 0 // x/net/bpf does not wrap X + K at 32 bits
		case opJa:
			in.K = uint32(r.IntN(min(left, 3)))
		case opJeqK, opJgtK, opJgeK, opJsetK, opJeqX, opJgtX, opJgeX, opJsetX:
			in.JT, in.JF = uint8(r.IntN(min(left, 5))), uint8(r.IntN(min(left, 5)))
		}
		if r.IntN(3) == 0 && codes[in.Code] <= opLdxImm {
			in.K = r.Uint32()
		}
		l = append(l, in)
	}
	return append(l, Insn{Code: classRET | retA})
}

func toX(l []Insn) []xbpf.Instruction {
	raw := make([]xbpf.RawInstruction, len(l))
	for i, in := range l {
		raw[i] = xbpf.RawInstruction{Op: in.Code, Jt: in.JT, Jf: in.JF, K: in.K}
	}
	out, _ := xbpf.Disassemble(raw)
	return out
}

func TestRun_randomPrograms_asReferenceMachine(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, 0))
	c := newCache(t)
	compared, kept := 0, 0
	for i := range 30000 {
		l := generate(r)
		p, err := New(l)
		if err != nil {
			continue
		}
		vm, err := xbpf.NewVM(toX(l))
		if err != nil {
			continue // it refuses some that Linux takes
		}
		data := make([]byte, r.IntN(90))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		want, err := vm.Run(data)
		if err != nil {
			continue // negation, which the machine does not know
		}
		b := packet(t, c, data, r.IntN(100), 1+r.IntN(30))
		if b.Len() != len(data) {
			b.Consume()
			continue
		}
		got := p.Run(b)
		b.Consume()
		if got != uint32(want) {
			t.Fatalf("seed %d, program %d: %#x, want %#x\n%v\n%x", seed, i, got, uint32(want), toX(l), data)
		}
		compared++
		if got != 0 {
			kept++
		}
	}
	if compared < 10000 || kept < compared/10 {
		t.Errorf("only %d programs compared, %d of them kept their packet", compared, kept)
	}
}

func TestRun_shiftByX_lowFiveBits(t *testing.T) {
	b := packet(t, newCache(t), nil, 0, 1)
	defer b.Consume()
	p := mustNew(t, []Insn{{Code: 0, K: 3}, {Code: 1, K: 33}, {Code: 0x6c}, {Code: 0x16}})
	if got := p.Run(b); got != 6 {
		t.Errorf("3 << 33 = %d, want 6", got)
	}
}

func TestRun_headersAndFacts(t *testing.T) {
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dev := napi.AllocNetdev("eth0", nil, 1)
	napi.EtherSetup(dev)
	b := packet(t, n.SKB(), []byte("0123456789abcdefABCDEF"), 18, 2)
	defer b.Consume()
	noHeader := mustNew(t, []Insn{{Code: 0x30, K: offLL}, {Code: 0x16}})
	if got := noHeader.Run(b); got != 0 {
		t.Errorf("link header that is not there gives %#x", got)
	}
	b.ResetMacHeader()
	b.Pull(14)
	b.ResetNetworkHeader()
	b.PktType, b.Protocol, b.Mark, b.Hash, b.QueueMapping = skb.PacketOutgoing, 0x86dd, 77, 0x1234, 3
	b.VlanTCI, b.VlanProto = 0x2005, 0x8100
	run := func(k uint32) uint32 {
		return mustNew(t, []Insn{{Code: 1, K: 0xff}, {Code: 0x20, K: k}, {Code: 0x16}}).Run(b)
	}
	if got := run(offAD + adIfindex); got != 0 {
		t.Errorf("ifindex without device: %d", got)
	}
	b.Dev = dev
	for _, c := range []struct{ k, want uint32 }{
		{0, 'e'<<24 | 'f'<<16 | 'A'<<8 | 'B'},
		{offLL, '0'<<24 | '1'<<16 | '2'<<8 | '3'},
		{offLL + 14, 'e'<<24 | 'f'<<16 | 'A'<<8 | 'B'},
		{offNet, 'e'<<24 | 'f'<<16 | 'A'<<8 | 'B'},
		{offNet + 4, 0}, // in a fragment, which headers do not reach
		{4, 'C'<<24 | 'D'<<16 | 'E'<<8 | 'F'},
		{5, 0},
		{offNet - 1, 0},
		{offNet + 0xfff0, 0},
		{0x80000000, 0},
		{offAD + adProtocol, 0x86dd},
		{offAD + adPktType, 4},
		{offAD + adMark, 77},
		{offAD + adQueue, 3},
		{offAD + adHatype, 1},
		{offAD + adRxhash, 0x1234},
		{offAD + adCPU, 0},
		{offAD + adAluXorX, 0xff},
		{offAD + adVlanTag, 0x2005},
		{offAD + adVlanThere, 1},
		{offAD + adVlanTPID, 0x8100},
	} {
		if got := run(c.k); got != c.want {
			t.Errorf("load at %#x gives %#x, want %#x", c.k, got, c.want)
		}
	}
}

// tcpdumpUDP is "udp port 53" as tcpdump -d shows it, IPv4 only.
func tcpdumpUDP(t testing.TB) *Program {
	return mustNew(t, assemble(t,
		xbpf.LoadAbsolute{Off: 12, Size: 2},
		xbpf.JumpIf{Cond: xbpf.JumpEqual, Val: 0x800, SkipFalse: 10},
		xbpf.LoadAbsolute{Off: 23, Size: 1},
		xbpf.JumpIf{Cond: xbpf.JumpEqual, Val: 17, SkipFalse: 8},
		xbpf.LoadAbsolute{Off: 20, Size: 2},
		xbpf.JumpIf{Cond: xbpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 6},
		xbpf.LoadMemShift{Off: 14},
		xbpf.LoadIndirect{Off: 14, Size: 2},
		xbpf.JumpIf{Cond: xbpf.JumpEqual, Val: 53, SkipTrue: 2},
		xbpf.LoadIndirect{Off: 16, Size: 2},
		xbpf.JumpIf{Cond: xbpf.JumpEqual, Val: 53, SkipFalse: 1},
		xbpf.RetConstant{Val: 262144},
		xbpf.RetConstant{Val: 0}))
}

func dnsFrame() []byte {
	f := make([]byte, 60)
	f[12], f[14], f[23], f[37] = 8, 0x45, 17, 53
	return f
}

func TestRun_allocatesNothing(t *testing.T) {
	p := tcpdumpUDP(t)
	c := newCache(t)
	for _, linear := range []int{60, 14} { // in one piece; from fragments
		b := packet(t, c, dnsFrame(), linear, 20)
		if got := p.Run(b); got != 262144 {
			t.Errorf("DNS packet: %d", got)
		}
		if n := testing.AllocsPerRun(100, func() { p.Run(b) }); n != 0 {
			t.Errorf("%g allocations with %d linear bytes", n, linear)
		}
		b.Consume()
	}
}

func BenchmarkRun_udpPort(b *testing.B) {
	p := tcpdumpUDP(b)
	k := packet(b, newCache(b), dnsFrame(), 60, 1)
	defer k.Consume()
	b.ReportAllocs()
	for b.Loop() {
		p.Run(k)
	}
}

// FuzzRun feeds programs and packets: what the checker takes must end without a
// fault, and where the reference machine knows the program, with its result.
func FuzzRun(f *testing.F) {
	f.Add(Append(nil, tcpdumpUDP(f).Insns()), dnsFrame(), uint8(60))
	f.Add(Append(nil, []Insn{{Code: 0x30, K: offNet}, {Code: 0x16}}), dnsFrame(), uint8(9))
	f.Add(Append(nil, []Insn{{Code: 0x02, K: 3}, {Code: 0x60, K: 3}, {Code: 0x06}}), []byte{}, uint8(0))
	c := newCache(f)
	f.Fuzz(func(t *testing.T, prog, data []byte, linear uint8) {
		if len(data) > 1000 {
			return
		}
		l, err := Parse(prog)
		if err != nil {
			return
		}
		p, err := New(l)
		if err != nil {
			return
		}
		b := packet(t, c, data, int(linear), 100)
		defer b.Consume()
		if b.Len() != len(data) {
			return
		}
		got := p.Run(b)
		for _, in := range l {
			switch o := codes[in.Code]; {
			case o == opLshX, o == opRshX, o == opLdxLen, in.K >= 1<<31, o >= opLdIndW && o <= opLdxMsh:
				return // the two differ, or may
			}
		}
		vm, err := xbpf.NewVM(toX(l))
		if err != nil {
			return
		}
		if want, err := vm.Run(data); err == nil && uint32(want) != got {
			t.Errorf("%#x, reference machine %#x: %v", got, uint32(want), toX(l))
		}
	})
}
