// Package skbtest checks in tests that packet memory and goroutines are given
// back.
package skbtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"barewire/skb"
)

// patience is how long what is under way at the end of a test may take.
const patience = 2 * time.Second

// Check has t fail when, after its other cleanups, packets or pages of cache
// are still in use or more goroutines run than at the time of the call. Call
// it right after making the cache, before what uses it registers cleanups.
// Goroutines are not told apart: not for parallel tests. A fuzz target, whose
// workers are goroutines too, is not checked.
func Check(t testing.TB, cache *skb.Cache) {
	t.Helper()
	if _, fuzz := t.(*testing.F); fuzz {
		return
	}
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		var what string
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			what = leaked(cache, before)
			if what == "" {
				return
			}
			if time.Now().After(end) {
				break
			}
		}
		t.Errorf("at the end of the test: %s", what)
	})
}

func leaked(cache *skb.Cache, goroutines int) string {
	if n := cache.InUse(); n != 0 {
		return fmt.Sprintf("%d packets not returned", n)
	}
	if n := cache.Pool().InUse(); n != 0 {
		return fmt.Sprintf("%d pages not returned", n)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		return fmt.Sprintf("%d goroutines left\n%s", n-goroutines, stacks())
	}
	return ""
}

// New makes a cache over a pool of its own and checks it at the end of t.
func New(t testing.TB, cfg skb.PageConfig) *skb.Cache {
	t.Helper()
	pool, err := skb.NewPagePool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := skb.NewCache(pool)
	Check(t, c)
	return c
}

// Main runs the tests of a package and fails it when goroutines that this
// module started are left at the end. For TestMain.
func Main(m *testing.M) {
	// On an image the kernel's own goroutines were there before.
	before := len(ours(stacks()))
	code := m.Run()
	if code == 0 {
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			left := ours(stacks())
			if len(left) <= before {
				break
			}
			if time.Now().After(end) {
				fmt.Fprintf(os.Stderr, "%d goroutines left after all tests:\n%s\n", len(left), strings.Join(left, "\n\n"))
				code = 1
				break
			}
		}
	}
	os.Exit(code)
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// ours picks the goroutines that code of this module started.
func ours(all string) []string {
	var l []string
	for _, g := range strings.Split(all, "\n\n") {
		if strings.Contains(g, "created by barewire/") {
			l = append(l, g)
		}
	}
	return l
}
