package netfilter

import "sync"

// Users has hooks registered as long as somebody needs them. The zero value is
// ready.
type Users struct {
	mu     sync.Mutex
	n      int
	closed bool
	remove []func()
}

// Use counts one more user until done is called. For the first of them register
// is called, which returns what takes its hooks away again after the last.
func (u *Users) Use(register func() (remove []func())) (done func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n++; u.n == 1 && !u.closed {
		u.remove = register()
	}
	return sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.n--; u.n == 0 {
			for _, fn := range u.remove {
				fn()
			}
			u.remove = nil
		}
	})
}

// Do calls fn, which is told whether there are users, unless the hooks are gone for
// good. Nobody comes or goes meanwhile.
func (u *Users) Do(fn func(inUse bool)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		fn(u.n > 0)
	}
}

// Close takes the hooks away for good, whoever uses them.
func (u *Users) Close() {
	u.mu.Lock()
	u.closed = true
	l := u.remove
	u.remove = nil
	u.mu.Unlock()
	for _, fn := range l {
		fn()
	}
}
