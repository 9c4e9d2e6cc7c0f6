package tcp

import (
	"math/rand/v2"
	"testing"

	"barewire/skb/header"
)

// TestBindBucket_owners_countedByClass compares a bucket with a plain list of
// its owners.
func TestBindBucket_owners_countedByClass(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := &bindBucket{}
		var owners []*binding
		for range 200 {
			if len(owners) > 0 && r.IntN(2) == 0 {
				i := r.IntN(len(owners))
				owners[i].disown()
				owners = append(owners[:i], owners[i+1:]...)
			} else {
				o := &binding{}
				b.own(o, bindClass{header.Addr(r.IntN(3)), int32(r.IntN(2)), uint8(r.IntN(8))})
				owners = append(owners, o)
			}
			want := make(map[bindClass]int)
			for _, o := range owners {
				want[o.bindClass]++
			}
			got := make(map[bindClass]int)
			if b.count > 0 {
				got[b.class] += b.count
			}
			for c, n := range b.more {
				got[c] += n
			}
			if b.owners != len(owners) || len(got) != len(want) {
				t.Fatalf("seed %d: %d owners of %d classes, want %d of %d", seed, b.owners, len(got), len(owners), len(want))
			}
			for c, n := range want {
				if got[c] != n {
					t.Fatalf("seed %d: class %v has %d owners, want %d", seed, c, got[c], n)
				}
			}
		}
	}
}
