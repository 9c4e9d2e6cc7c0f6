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

	"barewire/toolchain/vm"
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
	m := &VM{
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
	m.nics = b.nics
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
		m.files = append(m.files, f)
	}

	m.cmd = exec.Command(cfg.Binary, args...)
	m.cmd.ExtraFiles = b.files
	m.cmd.Stdout = m.stderr
	m.cmd.Stderr = m.stderr
	m.cmd.WaitDelay = time.Second
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started := make(chan error)
	go m.run(started)
	if err := <-started; err != nil {
		conEnd.Close()
		qmpEnd.Close()
		m.closeFiles()
		return nil, fmt.Errorf("qemu: %w", err)
	}
	m.Console = newConsole(conEnd, conEnd, tee)
	m.files = append(m.files, conEnd)
	go func() {
		m.qmp, m.qmpErr = newQMP(qmpEnd)
		close(m.qmpReady)
	}()
	go func() {
		select {
		case <-ctx.Done():
			m.Kill()
		case <-m.done:
		}
	}()
	return m, nil
}

// run starts the process and waits for it, all on one locked thread: Pdeathsig
// is sent when the *thread* that forked ends, and a goroutine that is not
// locked could leave its thread to one that ends it.
func (m *VM) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m.Started = time.Now()
	err := m.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	m.waitErr = m.cmd.Wait()
	m.state = m.cmd.ProcessState
	close(m.done)
}

// Kill ends QEMU, and whatever it started, at once and waits until it is gone.
// It may be called more than once and after the guest has ended.
func (m *VM) Kill() {
	m.once.Do(func() {
		if m.Running() {
			syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
		}
		<-m.done
		<-m.qmpReady
		m.Console.waitClosed(time.Second)
		if m.qmp != nil {
			m.qmp.conn.Close()
		}
		m.writeLog()
		m.closeFiles()
		for i, nic := range m.cfg.NICs {
			if _, tap := nic.Backend.(tapEnd); tap && m.cfg.Dir != "" && !nic.NoPcap {
				stripVnetHeaders(m.pcap(i))
			}
		}
	})
}

func (m *VM) closeFiles() {
	for _, f := range m.files {
		f.Close()
	}
	m.files = nil
}

// writeLog keeps the command line, QEMU's messages and its status for the
// artifacts of the run.
func (m *VM) writeLog() {
	if m.cfg.Dir == "" {
		return
	}
	text := fmt.Sprintf("%s\n\n%s\n%v\n", vm.ShellLine(m.cmd.Args), m.stderr.String(), m.state)
	os.WriteFile(filepath.Join(m.cfg.Dir, "qemu.txt"), []byte(text), 0o666)
}

// ErrKilled means that QEMU was ended by a signal, not by its guest.
var ErrKilled = errors.New("qemu: ended by a signal")

// Wait waits until the guest has ended and returns its exit code. It fails when
// timeout passes first, when QEMU itself failed, or when it was killed.
func (m *VM) Wait(timeout time.Duration) (code int, err error) {
	select {
	case <-m.done:
	case <-time.After(timeout):
		return -1, fmt.Errorf("qemu: the guest still runs after %v; its console ends:\n%s", timeout, m.Console.Tail(30))
	}
	<-m.qmpReady
	m.Console.waitClosed(time.Second)
	return m.exitCode()
}

func (m *VM) exitCode() (int, error) {
	if ws, ok := m.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -1, fmt.Errorf("%w: %v", ErrKilled, ws.Signal())
	}
	status := m.state.ExitCode()
	// QEMU's own failures leave with 1, as a guest's exit code 0 does; but then
	// the machine never ran: no QMP greeting came and nothing was printed.
	if status != 0 && m.qmp == nil && m.Console.Output() == "" {
		return -1, fmt.Errorf("qemu: status %d: %s", status, strings.TrimSpace(m.stderr.String()))
	}
	code, ok := vm.GuestStatus(status)
	if !ok {
		return -1, fmt.Errorf("qemu: status %d is not one the guest can cause: %s", status, strings.TrimSpace(m.Messages()))
	}
	return code, nil
}

// Running tells whether the process is still there.
func (m *VM) Running() bool {
	select {
	case <-m.done:
		return false
	default:
		return true
	}
}

// Messages returns what QEMU itself (not the guest) printed.
func (m *VM) Messages() string { return m.stderr.String() }

// QMP returns the control connection, waiting for its greeting.
func (m *VM) QMP() (*QMP, error) {
	<-m.qmpReady
	if m.qmpErr != nil {
		return nil, fmt.Errorf("%w: %s", m.qmpErr, strings.TrimSpace(m.stderr.String()))
	}
	return m.qmp, nil
}

// Netdev returns the QEMU id of the i-th card's netdev (for QMP's set_link).
func (m *VM) Netdev(i int) string { return m.nics[i] }

// pcap returns the path of the i-th card's capture.
func (m *VM) pcap(i int) string { return filepath.Join(m.cfg.Dir, m.nics[i]+".pcap") }

// PID returns QEMU's process id.
func (m *VM) PID() int { return m.cmd.Process.Pid }

// CPUTime returns the processor time the QEMU process has used so far, all its
// threads together, in the kernel's nanosecond accounting.
func (m *VM) CPUTime() (time.Duration, error) {
	// A process's CPU clock id, as clock_getcpuclockid(3) makes it: the
	// complement of the pid above three bits that say "scheduler time".
	clock := int32(^m.PID())<<3 | 2
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("qemu: cpu time of %d: %w", m.PID(), err)
	}
	return time.Duration(ts.Nano()), nil
}

// CPUShare watches the process for d and returns the processor time it used in
// that while as a share of one host core: 1 is one core fully busy.
func (m *VM) CPUShare(d time.Duration) (float64, error) {
	before, err := m.CPUTime()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	time.Sleep(d)
	after, err := m.CPUTime()
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
