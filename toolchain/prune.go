package toolchain

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// useFile lies in every derived GOROOT: who uses the tree holds a shared lock on it; its time is that of the last use.
const useFile = ".barewire-in-use"

// How long an unused derived GOROOT is kept, and a temporary folder of a build that did not end. Who works on the kernel
// makes a new tree (about 16 MiB) with every change: beyond the last keepCount, they go after keepSurplus.
const (
	keepUnused  = 3 * 24 * time.Hour
	keepCount   = 8
	keepSurplus = 10 * time.Minute
	keepTemp    = time.Hour
)

// openDerived opens the derived GOROOT at root and marks it as in use.
func openDerived(root, key string) (*Derived, error) {
	name := filepath.Join(root, useFile)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	// A pruner that held the lock before us may have removed the tree meanwhile.
	if _, err := os.Stat(name); err != nil {
		f.Close()
		return nil, err
	}
	now := time.Now()
	os.Chtimes(name, now, now) // the time only delays pruning: failing is harmless
	return &Derived{Root: root, Key: key, use: f}, nil
}

// prune removes derived GOROOTs that nobody used for a while, except keep. It never fails: what cannot be removed now is
// tried again by the next build.
func prune(cache, keep string, now time.Time) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	type tree struct {
		root string
		idle time.Duration
	}
	var trees []tree
	for _, e := range entries {
		at := filepath.Join(cache, e.Name())
		switch {
		case at == keep:
		case strings.HasPrefix(e.Name(), "tmp-"):
			if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > keepTemp {
				os.RemoveAll(at)
			}
		case strings.HasPrefix(e.Name(), "goroot-"):
			if info, err := os.Stat(filepath.Join(at, useFile)); err == nil {
				trees = append(trees, tree{at, now.Sub(info.ModTime())})
			}
		}
	}
	slices.SortFunc(trees, func(a, b tree) int { return cmp.Compare(a.idle, b.idle) })
	for i, t := range trees {
		limit := keepUnused
		if i >= keepCount-1 { // keep is one of the count
			limit = keepSurplus
		}
		if t.idle > limit {
			removeUnused(t.root)
		}
	}
}

// removeUnused removes the derived GOROOT at root unless somebody uses it.
func removeUnused(root string) {
	f, err := os.OpenFile(filepath.Join(root, useFile), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return
	}
	// Out of the way under another name first, so that no half-removed tree is ever found under a key.
	gone := filepath.Join(filepath.Dir(root), "tmp-gone-"+filepath.Base(root))
	if os.Rename(root, gone) == nil {
		os.RemoveAll(gone)
	}
}
