package pack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write stub.bin")

// The stub is assembled as a program for 386; its bytes are those of stub.bin.
func TestStub_asItsSource(t *testing.T) {
	name := filepath.Join(t.TempDir(), "stub")
	cmd := exec.Command("go", "build", "-o", name, ".")
	cmd.Dir = "testdata/stub"
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=386", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	e, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	symbols, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name != "main.stub" {
			continue
		}
		text := e.Section(".text")
		code := make([]byte, s.Size)
		if _, err := text.ReadAt(code, int64(s.Value-text.Addr)); err != nil {
			t.Fatal(err)
		}
		if len(code) > stubParams {
			t.Fatalf("the stub has %d bytes", len(code))
		}
		if *update {
			if err := os.WriteFile("stub.bin", code, 0o666); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(code, stub) {
			t.Error("stub.bin is not what stub_386.s says: go generate ./toolchain/pack")
		}
		return
	}
	t.Fatal("no symbol main.stub")
}

// text returns n bytes with repetitions of all kinds.
func text(r *rand.Rand, n int) []byte {
	var b []byte
	for len(b) < n {
		switch r.IntN(4) {
		case 0:
			b = append(b, make([]byte, r.IntN(3000))...)
		case 1:
			for range r.IntN(600) {
				b = append(b, byte(r.Uint32()))
			}
		default:
			if at := r.IntN(len(b) + 1); at < len(b) {
				b = append(b, b[at:min(len(b), at+r.IntN(400))]...)
			}
		}
	}
	return b[:n]
}

func TestCompress_anything_unpacks(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		roundTrip(t, text(r, r.IntN(1<<r.IntN(19))))
	}
}

// roundTrip packs and unpacks src, also in place, as the stub does.
func roundTrip(t *testing.T, src []byte) {
	t.Helper()
	packed := compress(src)
	out, gap, err := unpack(packed, len(src))
	if err != nil || !bytes.Equal(out, src) {
		t.Fatalf("%d bytes: %v", len(src), err)
	}
	mem := make([]byte, gap+len(packed)+len(src))
	copy(mem[gap:], packed)
	out, _, err = unpackTo(mem[:0:len(mem)], mem[gap:gap+len(packed)], len(src))
	if err != nil || !bytes.Equal(out, src) {
		t.Fatalf("%d bytes with a gap of %d, in place: %v", len(src), gap, err)
	}
}

func TestCompress_repetitions_small(t *testing.T) {
	src := bytes.Repeat([]byte("0123456789abcdefghij"), 50000)
	if n := len(compress(src)); n > len(src)/1000 {
		t.Errorf("%d bytes of %d", n, len(src))
	}
}

// What is damaged is an error, and never more than was asked for.
func TestUnpack_damaged_isRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	src := text(r, 5000)
	packed := compress(src)
	for n := range packed[:len(packed)-1] {
		if out, _, err := unpack(packed[:n], len(src)); err == nil && !bytes.Equal(out, src) && n < len(packed)-4 {
			t.Errorf("%d bytes of %d: unpacked", n, len(packed))
		}
	}
	for range 2000 {
		bad := bytes.Clone(packed)
		bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		if out, _, err := unpack(bad, len(src)); err == nil && len(out) != len(src) {
			t.Fatalf("%d bytes for %d", len(out), len(src))
		}
	}
}

func TestCodeLengths_anyCounts_complete(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 500 {
		count := make([]int, lengths+r.IntN(symbols-lengths))
		for range r.IntN(2 * len(count)) {
			count[r.IntN(len(count))] = 1 << r.IntN(24) // far from what 12 bits are enough for
		}
		var table table
		if size := codeLengths(count); !table.fill(size) {
			t.Fatalf("counts %v: lengths %v", count, size)
		}
	}
}

func TestSpans_eachValue_inItsSlot(t *testing.T) {
	for _, alphabet := range []struct {
		slots  int
		direct uint32
		last   uint32
	}{{slots - repeats, directDistances, window - 1}, {lengths, directLengths, blockSize - 1}} {
		first, extra := spans(alphabet.slots, alphabet.direct)
		for s := range first {
			for _, v := range []uint32{first[s], first[s] + 1<<extra[s] - 1} {
				if got, e := spanOf(v, alphabet.direct); got != s || e != extra[s] {
					t.Fatalf("%d is in slot %d with %d bits, want %d with %d", v, got, e, s, extra[s])
				}
			}
		}
		if s, _ := spanOf(alphabet.last, alphabet.direct); s != alphabet.slots-1 {
			t.Errorf("the last value is in slot %d of %d", s, alphabet.slots)
		}
	}
}

func TestBranches_anyCode_backAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		src := make([]byte, 5+r.IntN(400))
		for i := range src {
			switch r.IntN(4) {
			case 0:
				src[i] = []byte{0xe8, 0x05, 0x3d, 0, 0xff}[r.IntN(5)]
			case 1:
				src[i] = byte(r.IntN(3)) - 1
			default:
				src[i] = byte(r.Uint32())
			}
		}
		code := region{r.IntN(4), len(src) - r.IntN(2)}
		got := bytes.Clone(src)
		branches(got, code, true)
		branches(got, code, false)
		if !bytes.Equal(got, src) {
			t.Fatalf("% x\nbecame % x", src, got)
		}
	}
}

// Calls of one function from different places are the same bytes.
func TestBranches_calls_absolute(t *testing.T) {
	code := make([]byte, 100)
	for _, at := range []int{10, 40, 80} {
		code[at] = 0xe8
		binary.LittleEndian.PutUint32(code[at+1:], uint32(20-(at+5)))
	}
	branches(code, region{0, len(code)}, true)
	for _, at := range []int{10, 40, 80} {
		if v := binary.LittleEndian.Uint32(code[at+1:]); v != 20 {
			t.Errorf("the call at %d goes to %d, want 20", at, v)
		}
	}
}

func TestSplit_tables_valuesFirst(t *testing.T) {
	tables := []byte{2, 10, 0x81, 1, 11, 0, 0, 12, 0}
	if n, end := split(tables); n != 6 || end != 9 || !bytes.Equal(tables, []byte{2, 0x81, 1, 0, 0, 0, 10, 11, 12}) {
		t.Errorf("%d values of %d: % x", n, end, tables)
	}
	for _, tail := range [][]byte{{0}, {1}, {1, 2}, {1, 2, 3}, {0x80}, {0, 0}} {
		tables := append([]byte{1, 2, 0}, tail...)
		if n, end := split(tables); n != 2 || end != 3 || !bytes.Equal(tables, append([]byte{1, 0, 2}, tail...)) {
			t.Errorf("before % x: %d values of %d: % x", tail, n, end, tables)
		}
	}
}

// A function's places are relative to those before, none stays none, and all come back.
func TestFunctions_places_relativeAndBack(t *testing.T) {
	var table []byte
	put := func(words ...uint32) {
		for _, w := range words {
			table = binary.LittleEndian.AppendUint32(table, w)
		}
	}
	put(0x40, 24, 0x60, 76, 0x90, 120)
	put(0x40, 7, 0, 0, 1, 20, 30, 2, 0, 0, 0, 35, 0)
	put(0x60, 9, 0, 0, 1, 35, 40, 0, 0, 0, 0)
	put(0x90, 8, 0, 0, 1, 40, 41, 0, 0, 0, 0)
	if !wholeFunctions(table, 3) || wholeFunctions(table, 4) || wholeFunctions(table[:len(table)-1], 3) {
		t.Fatal("the table's end is not seen")
	}
	got := bytes.Clone(table)
	functions(got, 3, true)
	for at, want := range map[int]int32{8: 0x20, 12: 52, 76: 0x20, 80: 2, 124: -1, // a pair, a record's
		24 + 16: 1, 24 + 20: 19, 24 + 24: 10, 24 + 44: 5, 24 + 48: 0, // the first one's tables
		76 + 16: -35, 76 + 20: -1, 76 + 24: 5} {
		if v := int32(binary.LittleEndian.Uint32(got[at:])); v != want {
			t.Errorf("at %d there is %d, want %d", at, v, want)
		}
	}
	functions(got, 3, false)
	if !bytes.Equal(got, table) {
		t.Errorf("% x\nbecame % x", table, got)
	}
}

func FuzzFunctions(f *testing.F) {
	f.Add(make([]byte, 200), uint16(1))
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		if !wholeFunctions(src, int(n)) {
			return
		}
		got := bytes.Clone(src)
		functions(got, int(n), true)
		functions(got, int(n), false)
		if !bytes.Equal(got, src) {
			t.Fatalf("% x\nbecame % x", src, got)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte{2, 10, 0x81, 1, 11, 0, 0, 12, 0, 0})
	f.Fuzz(func(t *testing.T, src []byte) {
		got := bytes.Clone(src)
		n, end := split(got)
		join(got[:end], n)
		if !bytes.Equal(got, src) {
			t.Fatalf("% x\nbecame % x", src, got)
		}
	})
}

func FuzzBranches(f *testing.F) {
	f.Add([]byte{0xe8, 1, 0, 0, 0, 0x05, 0xf0, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, src []byte) {
		got := bytes.Clone(src)
		branches(got, region{0, len(got)}, true)
		branches(got, region{0, len(got)}, false)
		if !bytes.Equal(got, src) {
			t.Fatalf("% x\nbecame % x", src, got)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(compress(text(rand.New(rand.NewPCG(1, 1)), 3000)), 3000)
	f.Add([]byte{0xff, 255, 255}, 10)
	f.Fuzz(func(t *testing.T, packed []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		if out, _, err := unpack(packed, size); err == nil && len(out) != size {
			t.Errorf("%d bytes, %d wanted", len(out), size)
		}
	})
}

// FuzzCompress packs anything and unpacks it in place.
func FuzzCompress(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"))
	f.Fuzz(func(t *testing.T, src []byte) { roundTrip(t, src) })
}

func TestImage_notAnImage_refused(t *testing.T) {
	small := func(entry, addr, filesz, memsz uint64) []byte {
		var b bytes.Buffer
		h := elf.Header64{Type: 2, Machine: uint16(elf.EM_X86_64), Version: 1, Entry: entry, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
		copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
		binary.Write(&b, binary.LittleEndian, h)
		binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: 1, Paddr: addr, Vaddr: addr, Filesz: filesz, Memsz: memsz})
		return append(b.Bytes(), make([]byte, 4096)...)
	}
	if _, err := Image(small(0x200010, 0x200000, 4096, 8192)); err != nil {
		t.Errorf("an image: %v", err)
	}
	for what, b := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "low": small(0x1000, 0x1000, 4096, 4096), "no entry": small(0, 0x200000, 4096, 4096),
		"beyond the file": small(0x200010, 0x200000, 8192, 8192), "wraps": small(0x200010, 0x200000, 4096, 1<<64-1),
		"above 4 GiB": small(1<<33, 1<<33, 4096, 4096), "more in the file": small(0x200010, 0x200000, 4096, 100),
	} {
		if _, err := Image(b); err == nil {
			t.Errorf("%s: packed", what)
		}
	}
}
