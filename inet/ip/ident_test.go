package ip

import (
	"testing"
	"testing/synctest"
	"time"

	"barewire/napi"
)

func TestIdent_flows_apartAndUnpredictable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := napi.New(napi.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var a, b identTable
		a.init(n)
		b.init(n)
		// Without a pause a flow counts up, so that nothing repeats soon.
		seen := map[uint16]bool{}
		a.next(1, 2, 17)
		for range 1000 {
			id := a.next(1, 2, 17)
			if seen[id] {
				t.Fatal("an identification came twice within a thousand")
			}
			seen[id] = true
		}
		// Two stacks, and two flows of one, have nothing to do with each other.
		same, flows := 0, 0
		for range 100 {
			x := a.next(1, 3, 17)
			if x == b.next(1, 3, 17) {
				same++
			}
			if y := a.next(5, 100+6, 1); y == x+1 {
				flows++
			}
		}
		if same > 5 || flows > 5 {
			t.Errorf("%d of 100 the same in two stacks, %d follow on another flow's", same, flows)
		}
		// After a pause it jumps.
		steps := map[uint16]bool{}
		for range 50 {
			x := a.next(1, 2, 17)
			time.Sleep(10 * time.Second)
			steps[a.next(1, 2, 17)-x] = true
		}
		if len(steps) < 25 {
			t.Errorf("only %d different steps in 50", len(steps))
		}
	})
}
