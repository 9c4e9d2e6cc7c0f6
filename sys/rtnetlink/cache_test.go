package rtnetlink_test

import (
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"barewire/inet/fib"
	inethdr "barewire/skb/header"

	"github.com/vishvananda/netlink/nl"
)

// TestRouteCache_exceptionsListed: "ip route get" and "ip route list cache" show
// what was learnt of a path, and a strict list of routes does not.
func TestRouteCache_exceptionsListed(t *testing.T) {
	e, n := ours(t)
	e.links()
	for _, s := range append([]step{setLink("up", "lo", 1, 1)}, setUp...) {
		e.do(s.req(e))
		e.links()
	}
	for _, s := range []step{
		addAddr("", "10.0.0.1", 24, "d0"),
		route("", syscall.RTM_NEWROUTE, create|excl, rt{table: 254, proto: 3, typ: 1}, "", attr(syscall.RTA_GATEWAY, addr("10.0.0.2"))),
	} {
		if errno, words, _ := e.do(s.req(e)); errno != 0 {
			t.Fatalf("%s: %v %s", s.name, errno, words)
		}
	}
	learn := func(dst inethdr.Addr, mtu int) {
		r, errno := n.IP().RouteOutput(&fib.Flow{Dst: dst})
		if errno != 0 {
			t.Fatal(errno)
		}
		r.UpdatePMTU(dst, mtu)
	}
	learn(0x08080808, 1000)
	learn(0x09090909, 0)
	list := func(flags uint32) (l []string) {
		_, _, msgs := e.do(request(syscall.RTM_GETROUTE, syscall.NLM_F_DUMP, rt{flags: flags}.bytes()))
		for i := range msgs {
			if s := e.text(&msgs[i]); strings.Contains(s, "1=08080808") || strings.Contains(s, "1=09090909") {
				l = append(l, s)
			}
		}
		return l
	}
	// 1000 bytes; 552 and locked.
	const one, two = "1=08080808 4=d0 5=0a000002 8=08000200e8030000", "1=09090909 4=d0 5=0a000002 8=08000100040000000800020028020000"
	want := func(when string, l []string, n int) {
		t.Helper()
		all := strings.Join(l, "\n")
		if len(l) != n || n == 2 && (!strings.Contains(all, one) || !strings.Contains(all, two) || !strings.Contains(all, "24 02200000fe00000100020000 ")) {
			t.Errorf("%s:\n%s", when, all)
		}
	}
	want("everything", list(0), 2)
	on := new(int32)
	*on = 1
	if _, errno := e.syscall(syscall.SYS_SETSOCKOPT, e.fd, 270, 12, uintptr(unsafe.Pointer(on)), 4, 0); errno != 0 {
		t.Fatal(errno)
	}
	want("routes, strictly", list(0), 0)
	want("the cache, strictly", list(0x200), 2)
	_, _, msgs := e.do(request(syscall.RTM_GETROUTE, 0, rt{bits: 32}.bytes(), []*nl.RtAttr{attr(1, addr("8.8.8.8"))}...))
	if len(msgs) != 1 || !strings.Contains(e.text(&msgs[0]), "8=08000200e8030000") {
		t.Errorf("one: %d answers", len(msgs))
	}
	if err := e.sysctl("route.flush", "1"); err != nil {
		t.Fatal(err)
	}
	want("flushed", list(0x200), 0)
}
