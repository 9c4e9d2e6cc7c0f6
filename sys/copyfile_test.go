package sys

import (
	"syscall"
	"testing"
)

// Without a position to read at a pipe is no argument, as in
// splice_direct_to_actor; with one it is no place to seek in.
func TestSendfile_fromPipe_errorsOfLinux(t *testing.T) {
	tk := newTestKernel(t)
	in, _ := newPipe(tk)
	_, out := newPipe(tk)
	var off int64
	if _, e := tk.call(syscall.SYS_SENDFILE, out, in, 0, 10); e != syscall.EINVAL {
		t.Errorf("at no position: %v, want EINVAL", e)
	}
	if _, e := tk.call(syscall.SYS_SENDFILE, out, in, ptr(&off), 10); e != syscall.ESPIPE {
		t.Errorf("at a position: %v, want ESPIPE", e)
	}
}
