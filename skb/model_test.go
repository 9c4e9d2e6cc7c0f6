package skb_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"barewire/skb"
)

// FuzzBuffOps runs a program of packet operations, its input, on up to eight
// packets that share pages by cloning, and compares each with a plain byte
// slice after every step.
func FuzzBuffOps(f *testing.F) {
	f.Add([]byte{0, 0, 100, 8, 0, 2, 3, 0, 50, 9, 0, 0, 6, 0, 60, 5, 0, 30, 11, 0, 0})
	f.Add([]byte{0, 0, 200, 8, 0, 255, 8, 0, 200, 9, 0, 1, 10, 0, 2, 6, 0, 250, 5, 1, 77, 13, 0, 0, 12, 1, 0})
	f.Add([]byte{0, 0, 10, 0, 1, 20, 8, 1, 90, 14, 0, 1, 9, 0, 2, 9, 0, 3, 5, 0, 40, 7, 2, 55, 6, 3, 90, 13, 3, 0})
	f.Add([]byte{0, 0, 250, 15, 0, 20, 3, 0, 14, 16, 0, 6, 9, 0, 1, 4, 0, 14, 11, 0, 200, 17, 0, 0, 10, 1, 3})
	f.Fuzz(func(t *testing.T, prog []byte) {
		if len(prog) > 3*400 {
			return
		}
		newWorld(t).run(prog)
	})
}

// TestBuffOps_random runs programs too long for the fuzzer to find.
func TestBuffOps_random(t *testing.T) {
	programs := uint64(1500)
	if testing.Short() {
		programs = 100
	}
	for seed := range programs {
		r := rand.New(rand.NewPCG(seed, 0))
		prog := make([]byte, 3*200)
		for i := range prog {
			prog[i] = byte(r.Uint32())
		}
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			newWorld(t).run(prog)
		}()
	}
}

func (w *world) run(prog []byte) {
	for len(prog) >= 3 {
		w.step(prog[0], int(prog[1]), int(prog[2]))
		w.verify(prog[0])
		prog = prog[3:]
	}
	w.end()
}

// world is the packets of one program and what they must hold.
type world struct {
	t     *testing.T
	cache *skb.Cache
	slots [8]slot
	seed  byte
}

type slot struct {
	b    *skb.Buff
	want []byte
	mac  []byte // bytes at the link header, nil if unset
}

func newWorld(t *testing.T) *world {
	pool, err := skb.NewPagePool(skb.PageConfig{PageSize: 512, MaxPages: 48})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, cache: skb.NewCache(pool)}
}

// bytes returns n fresh bytes.
func (w *world) bytes(n int) []byte {
	w.seed += 31
	return pattern(w.seed, n)
}

// drop ends the packet in s.
func (w *world) drop(s *slot) {
	s.b.Free(skb.QueuePurge)
	*s = slot{}
}

// put stores a new packet, ending the one that was in its place.
func (w *world) put(i int, n slot) {
	s := &w.slots[i%len(w.slots)]
	w.drop(s)
	*s = n
}

func (w *world) step(op byte, i, n int) {
	s := &w.slots[i%len(w.slots)]
	b := s.b
	if b == nil || op%20 == 0 {
		if nb := w.cache.Alloc(n*3 + 60); nb != nil {
			p := w.bytes(n * 3)
			nb.Reserve(60)
			nb.PutData(p)
			w.put(i, slot{b: nb, want: p})
		}
		return
	}
	switch op % 20 {
	case 1:
		w.drop(s)
	case 2: // append to the linear part
		if b.Cow(0) && !b.IsNonlinear() && b.Tailroom() >= n {
			p := w.bytes(n)
			b.PutData(p)
			s.want = append(s.want[:len(s.want):len(s.want)], p...)
		}
	case 3: // prepend
		if b.Cow(n) {
			p := w.bytes(n)
			copy(b.Push(n), p)
			s.want = append(p, s.want...)
			s.mac = nil
		}
	case 4:
		linear := b.Headlen()
		if got := b.Pull(n); (got != nil) != (n <= linear) {
			w.t.Fatalf("Pull(%d) of %d linear: %v", n, linear, got != nil)
		} else if got != nil {
			s.want = s.want[n:]
		}
	case 5:
		if b.Trim(n * 3) {
			s.want = s.want[:min(n*3, len(s.want))]
			s.mac = s.mac[:min(len(s.mac), b.Headlen()-min(0, b.MacOffset()))]
		}
	case 6:
		if b.MayPull(n*4) && b.Headlen() < n*4 {
			w.t.Fatalf("MayPull(%d) left %d linear", n*4, b.Headlen())
		} else if n*4 > len(s.want) && b.MayPull(n*4) {
			w.t.Fatalf("MayPull(%d) of %d bytes", n*4, len(s.want))
		}
	case 7:
		if got := b.PullAny(n * 3); got {
			s.want = s.want[n*3:]
			if n*3 > 0 && b.Headlen() == 0 {
				s.mac = nil // the linear part may be gone from under it
			}
		} else if n*3 <= len(s.want) && !b.Cloned() && b.Shinfo().FragList == nil {
			w.t.Fatal("PullAny refused")
		}
	case 8: // fragment
		if pg := w.cache.Pool().Alloc(); pg != nil {
			p := w.bytes(n)
			copy(pg.Bytes()[n:], p)
			if b.AddFrag(pg, n, n, 512) {
				s.want = append(s.want[:len(s.want):len(s.want)], p...)
			} else {
				pg.Put()
			}
		}
	case 9:
		w.put(n, slot{b: b.Clone(), want: s.want, mac: s.mac})
	case 10:
		if c := b.Copy(); c != nil {
			w.put(n, slot{b: c, want: s.want, mac: s.mac})
		}
	case 11:
		if b.Cow(n) && (b.Cloned() || b.Headroom() < n) {
			w.t.Fatal("Cow")
		}
	case 12:
		if s.b = b.Unshare(); s.b == nil {
			*s = slot{}
		} else if s.b.Cloned() {
			w.t.Fatal("Unshare")
		}
	case 13:
		if b.Linearize() && b.IsNonlinear() {
			w.t.Fatal("Linearize")
		}
	case 14: // put another packet behind
		o := &w.slots[n%len(w.slots)]
		if o != s && o.b != nil && b.AddFragList(o.b) {
			s.want = append(s.want[:len(s.want):len(s.want)], o.want...)
			*o = slot{}
		}
	case 15:
		b.ResetMacHeader()
		s.mac = bytes.Clone(s.want[:min(len(s.want), b.Headlen(), n)])
	case 16: // overwrite a byte
		if b.Cow(0) && n < b.Headlen() {
			b.Data()[n] ^= 0x55
			s.want = bytes.Clone(s.want)
			s.want[n] ^= 0x55
			s.mac = nil
		}
	case 17:
		if b.SetCsumPartial(n/2, n%16) {
			start, at := n/2, n/2+n%16
			if b.ChecksumHelp() {
				sum := ^naiveSum(s.want[start:])
				if sum == 0 {
					sum = 0xffff
				}
				s.want = bytes.Clone(s.want)
				got := uint16(b.Data()[at])<<8 | uint16(b.Data()[at+1])
				if !same(got, sum) {
					w.t.Fatalf("checksum %#x, want %#x", got, sum)
				}
				s.want[at], s.want[at+1] = byte(got>>8), byte(got)
				s.mac = nil
			} else {
				b.IPSummed = skb.ChecksumNone
			}
		}
	case 18:
		s.b = b.ShareCheck()
	case 19: // through a queue
		var l skb.List
		l.PushBack(b)
		if l.Bytes() != len(s.want) || l.PopFront() != b || l.Bytes() != 0 {
			w.t.Fatal("list")
		}
	}
}

func (w *world) verify(op byte) {
	for i := range w.slots {
		s := &w.slots[i]
		b := s.b
		if b == nil {
			continue
		}
		if b.Len() != len(s.want) || b.Headlen()+b.DataLen() != b.Len() {
			w.t.Fatalf("op %d: slot %d: len %d = %d + %d, want %d", op%20, i, b.Len(), b.Headlen(), b.DataLen(), len(s.want))
		}
		if !bytes.Equal(contents(b), s.want) {
			w.t.Fatalf("op %d: slot %d: wrong bytes", op%20, i)
		}
		if got := b.MacHeader(); s.mac != nil && !bytes.HasPrefix(got, s.mac) {
			w.t.Fatalf("op %d: slot %d: link header % x, want % x", op%20, i, got, s.mac)
		}
		if sum := b.Checksum(0, b.Len(), 0); !same(^skb.CsumFold(sum), naiveSum(s.want)) {
			w.t.Fatalf("op %d: slot %d: wrong sum", op%20, i)
		}
	}
}

func (w *world) end() {
	for i := range w.slots {
		w.drop(&w.slots[i])
	}
	if w.cache.InUse() != 0 || w.cache.Pool().InUse() != 0 {
		w.t.Fatalf("%d packets and %d pages left", w.cache.InUse(), w.cache.Pool().InUse())
	}
}
