package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A VM is a running (or ended) QEMU process.
type VM struct {
	Console *Console
	// Started is the moment just before QEMU was started, the zero of every
	// boot time.
	Started time.Time

	cfg    Config
	cmd    *exec.Cmd
	stderr *lockedBuffer
	nics   []string // netdev ids, in the order of Config.NICs

	qmpReady chan struct{}
	qmp      *QMP
	qmpErr   error

	done    chan struct{}
	waitErr error
	state   *os.ProcessState
	files   []io.Closer
	once    sync.Once
}

// Launch starts QEMU as cfg says. It returns as soon as the process runs; the
// guest boots meanwhile. The process ends with ctx, with [VM.Kill], or by
// itself. Files of the backends are handed over: they are closed here whether
// or not Launch succeeds.
func Launch(ctx context.Context, cfg Config) (*VM, error) {
	cfg, err := cfg.complete()
	if err != nil {
		cfg.closeBackends()
		return nil, err
	}
	defer cfg.closeBackends()
	vm := &VM{
		cfg: cfg, stderr: new(lockedBuffer),
		qmpReady: make(chan struct{}), done: make(chan struct{}),
	}
	var b argBuilder
	conEnd, err := b.socketPair("console")
	if err != nil {
		return nil, err
	}
	qmpEnd, err := b.socketPair("qmp")
	if err != nil {
		conEnd.Close()
		b.close()
		return nil, err
	}
	args, err := b.build(cfg)
	vm.nics = b.nics
	defer b.close()
	if err != nil {
		conEnd.Close()
		qmpEnd.Close()
		return nil, err
	}

	var tee io.Writer
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o777); err != nil {
			return nil, err
		}
		f, err := os.Create(filepath.Join(cfg.Dir, "console.txt"))
		if err != nil {
			return nil, err
		}
		tee = f
		vm.files = append(vm.files, f)
	}

	vm.cmd = exec.Command(cfg.Binary, args...)
	vm.cmd.ExtraFiles = b.files
	vm.cmd.Stdout = vm.stderr
	vm.cmd.Stderr = vm.stderr
	vm.cmd.WaitDelay = time.Second
	vm.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started := make(chan error)
	go vm.run(started)
	if err := <-started; err != nil {
		conEnd.Close()
		qmpEnd.Close()
		vm.closeFiles()
		return nil, fmt.Errorf("qemu: %w", err)
	}
	vm.Console = newConsole(conEnd, conEnd, tee)
	vm.files = append(vm.files, conEnd)
	go func() {
		vm.qmp, vm.qmpErr = newQMP(qmpEnd)
		close(vm.qmpReady)
	}()
	go func() {
		select {
		case <-ctx.Done():
			vm.Kill()
		case <-vm.done:
		}
	}()
	return vm, nil
}

// run starts the process and waits for it, all on one locked thread: Pdeathsig
// is sent when the *thread* that forked ends, and a goroutine that is not
// locked could leave its thread to one that ends it.
func (vm *VM) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	vm.Started = time.Now()
	err := vm.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	vm.waitErr = vm.cmd.Wait()
	vm.state = vm.cmd.ProcessState
	close(vm.done)
}

// Kill ends QEMU, and whatever it started, at once and waits until it is gone.
// It may be called more than once and after the guest has ended.
func (vm *VM) Kill() {
	vm.once.Do(func() {
		if vm.Running() {
			syscall.Kill(-vm.cmd.Process.Pid, syscall.SIGKILL)
		}
		<-vm.done
		<-vm.qmpReady
		vm.Console.waitClosed(time.Second)
		if vm.qmp != nil {
			vm.qmp.conn.Close()
		}
		vm.writeLog()
		vm.closeFiles()
	})
}

func (vm *VM) closeFiles() {
	for _, f := range vm.files {
		f.Close()
	}
	vm.files = nil
}

// writeLog keeps the command line, QEMU's messages and its status for the
// artifacts of the run.
func (vm *VM) writeLog() {
	if vm.cfg.Dir == "" {
		return
	}
	text := fmt.Sprintf("%s\n\n%s\n%v\n", quote(vm.cmd.Args), vm.stderr.String(), vm.state)
	os.WriteFile(filepath.Join(vm.cfg.Dir, "qemu.txt"), []byte(text), 0o666)
}

// ErrKilled means that QEMU was ended by a signal, not by its guest.
var ErrKilled = errors.New("qemu: ended by a signal")

// Wait waits until the guest has ended and returns its exit code. It fails when
// timeout passes first, when QEMU itself failed, or when it was killed.
func (vm *VM) Wait(timeout time.Duration) (code int, err error) {
	select {
	case <-vm.done:
	case <-time.After(timeout):
		return -1, fmt.Errorf("qemu: the guest still runs after %v; its console ends:\n%s", timeout, vm.Console.Tail(30))
	}
	<-vm.qmpReady
	vm.Console.waitClosed(time.Second)
	return vm.exitCode()
}

func (vm *VM) exitCode() (int, error) {
	if ws, ok := vm.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -1, fmt.Errorf("%w: %v", ErrKilled, ws.Signal())
	}
	status := vm.state.ExitCode()
	// QEMU's own failures leave with 1, as a guest's exit code 0 does; but then
	// the machine never ran: no QMP greeting came and nothing was printed.
	if status != 0 && vm.qmp == nil && vm.Console.Output() == "" {
		return -1, fmt.Errorf("qemu: status %d: %s", status, strings.TrimSpace(vm.stderr.String()))
	}
	return GuestExitCode(status)
}

// GuestExitCode maps QEMU's exit status to the guest's exit code by the rule of
// the isa-debug-exit device, status = (code<<1)|1. Status 0 is an ordinary
// power-off and means 0.
func GuestExitCode(status int) (int, error) {
	switch {
	case status == 0:
		return 0, nil
	case status > 0 && status&1 == 1:
		return status >> 1, nil
	}
	return -1, fmt.Errorf("qemu: status %d is not one the guest can cause", status)
}

// Running tells whether the process is still there.
func (vm *VM) Running() bool {
	select {
	case <-vm.done:
		return false
	default:
		return true
	}
}

// Messages returns what QEMU itself (not the guest) printed.
func (vm *VM) Messages() string { return vm.stderr.String() }

// QMP returns the control connection, waiting for its greeting.
func (vm *VM) QMP() (*QMP, error) {
	<-vm.qmpReady
	if vm.qmpErr != nil {
		return nil, fmt.Errorf("%w: %s", vm.qmpErr, strings.TrimSpace(vm.stderr.String()))
	}
	return vm.qmp, nil
}

// Netdev returns the QEMU id of the i-th card's netdev (for QMP's set_link).
func (vm *VM) Netdev(i int) string { return vm.nics[i] }

// PID returns QEMU's process id.
func (vm *VM) PID() int { return vm.cmd.Process.Pid }

// CPUTime returns the processor time the QEMU process has used so far, all its
// threads together, in the kernel's nanosecond accounting.
func (vm *VM) CPUTime() (time.Duration, error) {
	// A process's CPU clock id, as clock_getcpuclockid(3) makes it: the
	// complement of the pid above three bits that say "scheduler time".
	clock := int32(^vm.PID())<<3 | 2
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("qemu: cpu time of %d: %w", vm.PID(), err)
	}
	return time.Duration(ts.Nano()), nil
}

// CPUShare watches the process for d and returns the processor time it used in
// that while as a share of one host core: 1 is one core fully busy.
func (vm *VM) CPUShare(d time.Duration) (float64, error) {
	before, err := vm.CPUTime()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	time.Sleep(d)
	after, err := vm.CPUTime()
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(time.Since(start)), nil
}

// lockedBuffer is a bytes.Buffer that may be read while the process writes it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// quote writes a command line so that it can be pasted into a shell.
func quote(args []string) string {
	var out []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\"'$&|;<>()*?") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
