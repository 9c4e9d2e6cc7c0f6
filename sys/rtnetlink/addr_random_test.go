package rtnetlink_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestAddrs_randomChanges_AsLinux adds, changes and deletes addresses of one
// subnet and of several, in every scope, with and without promote_secondaries,
// and compares errors, the order of the addresses and all routes after every
// step.
func TestAddrs_randomChanges_AsLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	both := []*end{x, y}
	for _, e := range both {
		e.links()
		for _, s := range append([]step{setLink("up", "lo", 1, 1)}, setUp...) {
			e.do(s.req(e))
			e.links()
		}
	}
	inOrder := func(e *end) (l []string) {
		_, _, msgs := e.do(request(syscall.RTM_GETADDR, syscall.NLM_F_DUMP, []byte{syscall.AF_INET, 0, 0, 0, 0, 0, 0, 0}))
		for i := range msgs {
			l = append(l, e.text(&msgs[i]))
		}
		return l
	}
	r := rand.New(rand.NewPCG(3, 5))
	past := []string{}
	for i := range 400 {
		if i%50 == 0 {
			for _, e := range both {
				if err := e.sysctl("conf.d0.promote_secondaries", fmt.Sprint(i/50&1)); err != nil {
					t.Fatal(err)
				}
			}
			past = append(past, fmt.Sprint("promote_secondaries ", i/50&1))
		}
		a := fmt.Sprintf("10.0.%d.%d", r.IntN(2), 1+r.IntN(4))
		bits := []byte{24, 24, 24, 16, 32}[r.IntN(5)]
		var s step
		switch r.IntN(5) {
		case 0, 1:
			s = ifaddr(fmt.Sprint("add ", a, "/", bits), syscall.RTM_NEWADDR, create|excl, "d0", bits, []byte{0, 0, 0, 253}[r.IntN(4)],
				attr(2, addr(a)), attr(1, addr(a)))
		case 2:
			// A broadcast address that is not the subnet's is where the two part:
			// what becomes of its route when another address is promoted.
			bits = 24
			s = ifaddr(fmt.Sprint("add with broadcast ", a, "/", bits), syscall.RTM_NEWADDR, create|excl, "d0", bits, 0,
				attr(2, addr(a)), attr(1, addr(a)), attr(4, addr(a[:len(a)-1]+"255")))
		case 3:
			s = ifaddr(fmt.Sprint("replace ", a, "/", bits), syscall.RTM_NEWADDR, create|syscall.NLM_F_REPLACE, "d0", bits, 0,
				attr(2, addr(a)), attr(1, addr(a)), attr(9, u32(uint32(r.IntN(3)))), attr(6, append(u32(1000), append(u32(2000), make([]byte, 8)...)...)))
		default:
			s = ifaddr(fmt.Sprint("del ", a, "/", bits), syscall.RTM_DELADDR, 0, "d0", bits, 0, attr(2, addr(a)), attr(1, addr(a)))
		}
		if i%40 == 30 || i%40 == 36 {
			s = setLink([]string{"down", "up"}[i%40/36], "d0", uint32(i%40/36), 1)
		}
		ex, _, _ := x.do(s.req(x))
		ey, wy, _ := y.do(s.req(y))
		past = append(past, fmt.Sprint(s.name, ": ", ey, " ", wy))
		if len(past) > 14 {
			past = past[1:]
		}
		ax, ay := inOrder(x), inOrder(y)
		rx, ry := x.list(syscall.RTM_GETROUTE, syscall.AF_INET), y.list(syscall.RTM_GETROUTE, syscall.AF_INET)
		if ex != ey || !slices.Equal(ax, ay) || !slices.Equal(rx, ry) {
			t.Fatalf("step %d:\n%s\nhere %v\n%s\nLinux\n%s\nroutes only here\n%s\nonly in Linux\n%s", i, strings.Join(past, "\n"), ex,
				strings.Join(ax, "\n"), strings.Join(ay, "\n"), without(rx, ry), without(ry, rx))
		}
	}
}

// without is what is in a and not in b.
func without(a, b []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) }), "\n")
}
