package rtnetlink_test

import (
	"slices"
	"syscall"
	"testing"
)

// Which families list everything: u-root's ip and vishvananda/netlink ask for the routes of family 255.
func TestDump_familyWithoutLists_isAsLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	for _, e := range []*end{x, y} {
		for _, s := range append(slices.Clone(setUp), addAddr("", "10.0.0.1", 24, "d0")) {
			e.links()
			e.do(s.req(e))
		}
		e.links()
	}
	for _, typ := range []int{syscall.RTM_GETADDR, syscall.RTM_GETROUTE} {
		if len(x.list(typ, syscall.AF_INET)) == 0 {
			t.Fatalf("the list of %d is empty", typ)
		}
		for _, family := range []int{3, 28, 128, 129, 130, 200, 255} {
			all := slices.Equal(x.list(typ, family), x.list(typ, 0))
			if linux := slices.Equal(y.list(typ, family), y.list(typ, 0)); all != linux {
				t.Errorf("type %d, family %d: lists everything is %v here, %v in Linux", typ, family, all, linux)
			}
		}
	}
}
