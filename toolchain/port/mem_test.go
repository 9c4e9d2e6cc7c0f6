// Package port has no Go code of its own: _src is laid over a Go source tree. This test takes the allocator of memory ranges out of the runtime's
// port and runs it against a plain model.
package port

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemoryRanges_randomUse_likeOneFlagPerPage(t *testing.T) {
	src, err := os.ReadFile("_src/runtime/mem_barewire.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(src), "//go:systemstack\nfunc bwMemInsert(")
	code, _, end := strings.Cut(code, "func bwMemReserve(")
	if !ok || !end {
		t.Fatal("mem_barewire.go has changed: bwMemInsert to bwMemReserve not found")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module ranges\n\ngo 1.26\n",
		"ranges.go": `package ranges

const physPageSize = uintptr(4096)

func alignUp(n, a uintptr) uintptr { return (n + a - 1) &^ (a - 1) }

type memRange struct{ lo, hi uintptr }

var bwMem struct {
	n    int
	free [256]memRange
}

func bwMemInsert(` + strings.ReplaceAll(code, "//go:systemstack\n", ""),
		"ranges_test.go": model,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

const model = `package ranges

import (
	"math/rand/v2"
	"testing"
)

const P = 4096

type block struct{ at, pages uintptr }

func Test(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		bwMem.n = 0
		free := map[uintptr]bool{} // by page number
		give := func(lo, hi uintptr) {
			bwMemInsert(lo*P, hi*P)
			for i := lo; i < hi; i++ {
				free[i] = true
			}
		}
		give(10, 200)
		give(300, 400)
		var blocks []block
		for range 2000 {
			if r.IntN(2) == 0 {
				n := uintptr(r.IntN(8) + 1)
				align := uintptr(P) << r.IntN(4)
				want := uintptr(0)
				if r.IntN(5) == 0 {
					want = uintptr(r.IntN(420)) * P
				}
				p := bwMemAlloc(want, n*P, align)
				fits := want != 0
				for i := want / P; i < want/P+n; i++ {
					fits = fits && free[i]
				}
				if p == 0 {
					if fits {
						t.Fatalf("seed %d: %d pages at page %d refused", seed, n, want/P)
					}
					continue
				}
				if want != 0 && p != want || want == 0 && p%align != 0 {
					t.Fatalf("seed %d: got %#x, want %#x aligned to %#x", seed, p, want, align)
				}
				for i := p / P; i < p/P+n; i++ {
					if !free[i] {
						t.Fatalf("seed %d: page %d given out twice", seed, i)
					}
					delete(free, i)
				}
				blocks = append(blocks, block{p / P, n})
			} else if len(blocks) > 0 {
				k := r.IntN(len(blocks))
				b := blocks[k]
				blocks[k] = blocks[len(blocks)-1]
				blocks = blocks[:len(blocks)-1]
				give(b.at, b.at+b.pages)
			}
			count := 0
			for i, f := range bwMem.free[:bwMem.n] {
				if f.lo >= f.hi || i > 0 && f.lo <= bwMem.free[i-1].hi {
					t.Fatalf("seed %d: %v", seed, bwMem.free[:bwMem.n])
				}
				count += int((f.hi - f.lo) / P)
			}
			if count != len(free) {
				t.Fatalf("seed %d: %d pages free, want %d", seed, count, len(free))
			}
		}
	}
}
`
