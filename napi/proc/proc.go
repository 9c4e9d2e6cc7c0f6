// Package proc is the table of the files of /proc/net of one network namespace
// (Linux: proc_create_net). Each room registers the text of its own state; the
// file system above shows them.
package proc

import (
	"maps"
	"slices"
	"sync"
)

// A Show appends the whole text of a file to b and returns it (Linux:
// seq_operations.show). It is called when the file is opened, in process
// context.
type Show func(b []byte) []byte

// Table is the files of a namespace. The zero value is empty. All methods are
// safe for concurrent use.
type Table struct {
	mu sync.RWMutex
	m  map[string]File
}

// Register enters a file by its path below /proc/net: "udp", "stat/arp_cache".
// A path that is there already is replaced.
func (t *Table) Register(path string, show Show) {
	t.RegisterFile(path, File{Show: show})
}

// Lookup returns the text of the file at a path.
func (t *Table) Lookup(path string) (Show, bool) {
	f, ok := t.File(path)
	return f.Show, ok && f.Show != nil
}

// Paths returns all paths, sorted.
func (t *Table) Paths() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.m))
}
