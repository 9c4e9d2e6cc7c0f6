package vm

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel end QEMU when this process is killed, so that none is left behind.
func dieWithParent(cmd *exec.Cmd) {
	// The signal is tied to the thread that starts the child. The main goroutine's is the main thread, which lives
	// as long as the process; for others the runtime keeps its threads.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
