// Package sysctl is the table of settings of one network namespace, by the
// names sysctl(8) uses (Linux: kernel/sysctl.c, fs/proc/proc_sysctl.c).
//
// Each room registers the settings it owns, as values it reads on its own way;
// the command line, /proc/sys and tests reach them by name. A name has dots
// between its parts; a dot inside a part, as in the device eth0.100, is written
// as a slash, as sysctl(8) does.
package sysctl

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Entry is one setting (Linux: struct ctl_table).
type Entry struct {
	// Name is the full name: "net.ipv4.ip_forward".
	Name string
	// Get returns the value as its file shows it, without the final newline.
	Get func() string
	// Set takes a new value as written to the file. It gets the text without
	// surrounding white space and returns a syscall.Errno, EINVAL for what it
	// does not understand. Nil means that the setting is read-only.
	Set func(value string) error
}

// Writable reports whether the setting can be changed.
func (e *Entry) Writable() bool { return e.Set != nil }

// Table is the settings of a namespace. The zero value is empty. All methods
// are safe for concurrent use; Get and Set functions are called without a lock.
type Table struct {
	mu      sync.RWMutex
	m       map[string]Entry
	pending []func() []Entry // what has been promised since m was looked at
	changed func(name string)
}

// OnChange has fn called with the name of each setting after [Table.Set] gave
// it another value, in the context of who did, without a lock. One function at a
// time: another takes its place, nil turns it off.
func (t *Table) OnChange(fn func(name string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed = fn
}

// Register enters settings. A name that is there already is replaced, so that a
// device may come back.
func (t *Table) Register(entries ...Entry) {
	t.RegisterFunc(func() []Entry { return entries })
}

// RegisterFunc enters what entries returns. It is called when somebody first looks
// at the table, perhaps never: most machines start without a look, and to make hundreds
// of settings takes a part of a start that is seen. It must not use the table.
func (t *Table) RegisterFunc(entries func() []Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = append(t.pending, entries)
}

// settle enters what is pending; mu is held.
func (t *Table) settle() {
	if t.m == nil {
		t.m = make(map[string]Entry)
	}
	for _, entries := range t.pending {
		for _, e := range entries() {
			t.m[e.Name] = e
		}
	}
	t.pending = nil
}

// read locks the table for a look at m.
func (t *Table) read() {
	t.mu.RLock()
	for len(t.pending) > 0 {
		t.mu.RUnlock()
		t.mu.Lock()
		t.settle()
		t.mu.Unlock()
		t.mu.RLock()
	}
}

// Unregister removes every setting whose name is prefix, or begins with prefix
// and a dot.
func (t *Table) Unregister(prefix string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	for name := range t.m {
		if name == prefix || strings.HasPrefix(name, prefix+".") {
			delete(t.m, name)
		}
	}
}

// Lookup returns a setting by its full name.
func (t *Table) Lookup(name string) (Entry, bool) {
	t.read()
	defer t.mu.RUnlock()
	e, ok := t.m[name]
	return e, ok
}

// Get returns the value of a setting; ENOENT if there is none.
func (t *Table) Get(name string) (string, error) {
	e, ok := t.Lookup(name)
	if !ok {
		return "", syscall.ENOENT
	}
	return e.Get(), nil
}

// Set changes a setting: ENOENT if there is none, EACCES if it is read-only,
// EINVAL if it does not take the value.
func (t *Table) Set(name, value string) error {
	e, ok := t.Lookup(name)
	switch {
	case !ok:
		return syscall.ENOENT
	case e.Set == nil:
		return syscall.EACCES
	}
	old := e.Get()
	if err := e.Set(strings.TrimSpace(value)); err != nil || e.Get() == old {
		return err
	}
	t.mu.RLock()
	changed := t.changed
	t.mu.RUnlock()
	if changed != nil {
		changed(name)
	}
	return nil
}

// Below reports whether there is a setting whose name begins with prefix and a dot.
func (t *Table) Below(prefix string) bool {
	t.read()
	defer t.mu.RUnlock()
	prefix += "."
	for name := range t.m {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Names returns all names, sorted.
func (t *Table) Names() []string {
	t.read()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.m))
}
