package proc

// File is a file of /proc/net that can do more than be read.
type File struct {
	// Show is its text, nil for a file that is talked to.
	Show Show
	// Write takes what one write brought; its error should be a syscall.Errno.
	// nil for a file that cannot be written.
	Write func(p []byte) error
	// Open begins a conversation, which the descriptor then is: what is written
	// and read goes there.
	Open func() Conversation
	// Mode is the permission bits, 0 for what the rest implies.
	Mode uint32
}

// Conversation is what an open file that is talked to does. Its methods are not
// called at the same time. Errors should be syscall.Errno; 0 and no error from
// Read is the end.
type Conversation interface {
	Write(p []byte) (int, error)
	Read(p []byte) (int, error)
}

// RegisterFile enters a file by its path below /proc/net. A path that is there
// already is replaced.
func (t *Table) RegisterFile(path string, f File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[string]File)
	}
	t.m[path] = f
}

// Remove takes a file out; who has it open keeps it.
func (t *Table) Remove(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, path)
}

// File returns the file at a path.
func (t *Table) File(path string) (File, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	f, ok := t.m[path]
	return f, ok
}
