package rtnetlink_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// TestDefaultRoutes_gatewaysDie_AsLinux: of several default routes alike the one
// whose gateway answers is taken, as Linux takes it, whatever is known of the
// gateways and in whatever order it became known.
func TestDefaultRoutes_gatewaysDie_AsLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	both := []*end{x, y}
	do := func(s step, missing bool) {
		t.Helper()
		for _, e := range both {
			if errno, words, _ := e.do(s.req(e)); errno != 0 && !(missing && errno == syscall.ENOENT) {
				t.Fatalf("%s: %s: %v %s", e.name, s.name, errno, words)
			}
		}
	}
	x.links()
	y.links()
	for _, s := range append([]step{setLink("up", "lo", 1, 1)}, setUp...) {
		do(s, false)
		x.links()
		y.links()
	}
	do(addAddr("", "10.0.0.1", 24, "d0"), false)
	do(addAddr("", "10.0.1.1", 24, "d1"), false)
	gws := []struct{ addr, dev string }{{"10.0.0.2", "d0"}, {"10.0.1.2", "d1"}, {"10.0.0.3", "d0"}}
	for _, g := range gws {
		do(route("via "+g.addr, syscall.RTM_NEWROUTE, create|appendTo, rt{table: 254, proto: 3, typ: 1}, "", attr(syscall.RTA_GATEWAY, addr(g.addr))), false)
	}
	do(route("worse", syscall.RTM_NEWROUTE, create|appendTo, rt{table: 254, proto: 3, typ: 1}, "",
		attr(syscall.RTA_GATEWAY, addr("10.0.1.9")), attr(syscall.RTA_PRIORITY, u32(9))), false)
	mac := attr(2, []byte{2, 0, 0, 0, 0, 9})
	r := rand.New(rand.NewPCG(7, 7))
	past := ""
	for i := range 150 {
		g := gws[r.IntN(len(gws))]
		switch st := []uint16{0, 0x20, 0x04, 0x02, 0x80}[r.IntN(5)]; st { // gone, FAILED, STALE, REACHABLE, PERMANENT
		case 0:
			do(neighbour("del", syscall.RTM_DELNEIGH, 0, g.dev, 0, 0, attr(1, addr(g.addr))), true)
			past += fmt.Sprintf("\n%s gone", g.addr)
		default:
			do(neighbour("set", syscall.RTM_NEWNEIGH, create|replace, g.dev, st, 0, attr(1, addr(g.addr)), mac), false)
			past += fmt.Sprintf("\n%s %#x", g.addr, st)
		}
		for range 1 + r.IntN(3) {
			q := fromQuestion("8.8.8.8")
			a, b := answer(x, q, false), answer(y, q, false)
			past += "\n " + b
			if a != b {
				t.Fatalf("step %d:%s\n here %s", i, past, a)
			}
		}
	}
}
