package sysctl

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestTable_setAndGetByName(t *testing.T) {
	var tab Table
	var fwd atomic.Int32
	var stale atomic.Int64
	stale.Store(int64(time.Minute))
	tab.Register(
		Int("net.ipv4.ip_forward", &fwd, 0, 1),
		Duration("net.ipv4.neigh.eth0.gc_stale_time", &stale, time.Second),
		Const("net.ipv4.conf.eth0.mc_forwarding", func() string { return "0" }))
	for _, c := range []struct {
		name, value string
		err         error
		after       string
	}{
		{"net.ipv4.ip_forward", "1\n", nil, "1"},
		{"net.ipv4.ip_forward", "2", syscall.EINVAL, "1"},
		{"net.ipv4.ip_forward", "", syscall.EINVAL, "1"},
		{"net.ipv4.ip_forward", "0x0", nil, "0"},
		{"net.ipv4.neigh.eth0.gc_stale_time", " 30 ", nil, "30"},
		{"net.ipv4.neigh.eth0.gc_stale_time", "-1", syscall.EINVAL, "30"},
		{"net.ipv4.conf.eth0.mc_forwarding", "1", syscall.EACCES, "0"},
		{"net.ipv4.nothing", "1", syscall.ENOENT, ""},
	} {
		if err := tab.Set(c.name, c.value); err != c.err {
			t.Errorf("Set(%s, %q) = %v, want %v", c.name, c.value, err, c.err)
		}
		if v, _ := tab.Get(c.name); v != c.after {
			t.Errorf("after Set(%s, %q) it is %q, want %q", c.name, c.value, v, c.after)
		}
	}
	if stale.Load() != int64(30*time.Second) {
		t.Errorf("stored %d ns, want 30 s", stale.Load())
	}
}

func TestTable_unregisterTakesAPart(t *testing.T) {
	var tab Table
	one := func() string { return "1" }
	tab.Register(Const("net.ipv4.conf.eth0.forwarding", one), Const("net.ipv4.conf.eth01.forwarding", one))
	tab.Unregister("net.ipv4.conf.eth0")
	if got := tab.Names(); !slices.Equal(got, []string{"net.ipv4.conf.eth01.forwarding"}) {
		t.Errorf("left: %v", got)
	}
}

// What is entered by a function is made at the first look, once, whoever looks, and
// in the order in which it was entered.
func TestTable_registerFunc_waitsForTheFirstLook(t *testing.T) {
	value := func(v string) func() string { return func() string { return v } }
	for name, look := range map[string]func(tab *Table){
		"Lookup":     func(tab *Table) { tab.Lookup("a") },
		"Get":        func(tab *Table) { tab.Get("a") },
		"Set":        func(tab *Table) { tab.Set("a", "1") },
		"Names":      func(tab *Table) { tab.Names() },
		"Below":      func(tab *Table) { tab.Below("b") },
		"Unregister": func(tab *Table) { tab.Unregister("b") },
	} {
		var tab Table
		var made atomic.Int32
		tab.Register(Const("a", value("old")))
		tab.RegisterFunc(func() []Entry {
			made.Add(1)
			return []Entry{Const("a", value("new")), Const("b.c", value("1"))}
		})
		if made.Load() != 0 {
			t.Errorf("%s: made before anybody looked", name)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { look(&tab) })
		}
		wg.Wait()
		if v, err := tab.Get("a"); v != "new" || err != nil || made.Load() != 1 {
			t.Errorf("%s: %q, %v, made %d times", name, v, err, made.Load())
		}
		if _, ok := tab.Lookup("b.c"); ok == (name == "Unregister") {
			t.Errorf("%s: b.c is there: %v", name, ok)
		}
	}
}

func TestTable_below_isAPartOfTheName(t *testing.T) {
	var tab Table
	tab.Register(Const("net.ipv4.conf.eth0.forwarding", func() string { return "1" }))
	for prefix, want := range map[string]bool{
		"net": true, "net.ipv4.conf": true, "net.ipv4.conf.eth0": true, "ne": false, "net.ipv4.conf.eth": false, "net.ipv4.conf.eth0.forwarding": false, "": false,
	} {
		if got := tab.Below(prefix); got != want {
			t.Errorf("Below(%q) = %v", prefix, got)
		}
	}
}

func TestInts_wantExactlyN(t *testing.T) {
	if l, err := Ints("32768\t60999", 2); err != nil || l[0] != 32768 || l[1] != 60999 {
		t.Errorf("got %v %v", l, err)
	}
	for _, s := range []string{"", "1", "1 2 3", "1 x"} {
		if _, err := Ints(s, 2); err != syscall.EINVAL {
			t.Errorf("Ints(%q): %v", s, err)
		}
	}
}
