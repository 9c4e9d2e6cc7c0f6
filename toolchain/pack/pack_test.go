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
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		src := text(r, r.IntN(1<<r.IntN(18)))
		block := compress(src)
		got, gap, err := unpack(block, len(src))
		if err != nil || !bytes.Equal(got, src) {
			t.Fatalf("seed %d: %d bytes: %v", seed, len(src), err)
		}
		inPlace(t, block, src, gap)
	}
}

// inPlace does what the stub does: it copies 16 bytes at once, in the memory the block itself is in.
func inPlace(t *testing.T, block, want []byte, gap int) {
	t.Helper()
	mem := make([]byte, gap+len(block)+len(want)+64)
	copy(mem[gap:], block)
	si, end, di := gap, gap+len(block), 0
	number := func(n int) int {
		for more := n == 15; more; si++ {
			n += int(mem[si])
			more = mem[si] == 255
		}
		return n
	}
	for {
		token := int(mem[si])
		si++
		n := number(token >> 4)
		for k := 0; k == 0 || k < n; k += 16 {
			copy(mem[di+k:], append([]byte(nil), mem[si+k:si+k+16]...))
		}
		si, di = si+n, di+n
		if si >= end {
			break
		}
		dist := int(mem[si]) | int(mem[si+1])<<8
		si += 2
		n = number(token&15) + minMatch
		for k := 0; k < n; k += 16 {
			copy(mem[di+k:], append([]byte(nil), mem[di+k-dist:di+k-dist+16]...))
		}
		di += n
	}
	if !bytes.Equal(mem[:di], want) {
		t.Fatalf("%d bytes with a gap of %d: unpacked in place they are others", len(want), gap)
	}
}

func TestCompress_repetitions_small(t *testing.T) {
	src := bytes.Repeat([]byte("0123456789abcdefghij"), 5000)
	if n := len(compress(src)); n > len(src)/200 {
		t.Errorf("%d bytes of %d", n, len(src))
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(compress(text(rand.New(rand.NewPCG(1, 1)), 3000)), 3000)
	f.Add([]byte{0xff, 255, 255}, 10)
	f.Fuzz(func(t *testing.T, block []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		if out, _, err := unpack(block, size); err == nil && len(out) > size {
			t.Errorf("%d bytes, at most %d wanted", len(out), size)
		}
	})
}

// FuzzCompress packs anything and unpacks it in place.
func FuzzCompress(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"))
	f.Fuzz(func(t *testing.T, src []byte) {
		block := compress(src)
		out, gap, err := unpack(block, len(src))
		if err != nil || !bytes.Equal(out, src) {
			t.Fatal(err)
		}
		inPlace(t, block, src, gap)
	})
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
