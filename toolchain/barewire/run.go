package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"barewire/toolchain"
	"barewire/toolchain/vm"
)

// vmFlags are the flags of every command that boots an image.
type vmFlags struct {
	vm.Config
	show bool
}

func (f *vmFlags) add(fl *flag.FlagSet, memory int) {
	fl.StringVar(&f.Machine, "machine", vm.Microvm, "QEMU `machine`: microvm or q35")
	fl.StringVar(&f.Accel, "accel", "", "`accelerator`: kvm or tcg (default: kvm where it truly works)")
	fl.IntVar(&f.MemoryMiB, "m", memory, "RAM in `MiB`")
	fl.IntVar(&f.CPUs, "smp", 1, "`number` of virtual CPUs")
	fl.StringVar(&f.Append, "append", "", "kernel `parameters`, such as \"sysctl.net.ipv4.ip_forward=1\"; KEY=value becomes environment")
	fl.StringVar(&f.Initrd, "initrd", "", "`file` for the image's initial file system")
	fl.BoolVar(&f.GDB, "gdb", false, "wait for gdb on port 1234")
	fl.BoolVar(&f.show, "x", false, "print QEMU's command line")
}

// The addresses of QEMU's user networking, for an image without the DHCP client.
const userIP = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3"

// guestFlags are the flags of a command that boots a program: the image, the machine, and the networks it is on.
type guestFlags struct {
	vmFlags
	build              buildFlags
	ports, nets, extra []string
}

func (g *guestFlags) add(fl *flag.FlagSet) {
	g.build.add(fl)
	g.vmFlags.add(fl, vm.DefaultMemoryMiB)
	fl.Func("net", "QEMU network `backend` of eth0: user (the default), none, tap,ifname=tap0,script=no,downscript=no, ...; again for eth1 and so on",
		func(v string) error { g.nets = append(g.nets, v); return nil })
	fl.Func("p", "forward `host:guest[/udp|/tcp]` from 127.0.0.1 to the guest; both protocols if none is named; may be repeated",
		func(v string) error { g.ports = append(g.ports, v); return nil })
	fl.Func("qemu", "one more `argument` for QEMU; may be repeated", func(v string) error { g.extra = append(g.extra, v); return nil })
}

// machine makes the machine's cards and command line of the flags and the program's arguments.
func (g *guestFlags) machine(args []string) error {
	if len(g.nets) == 0 {
		g.nets = []string{"user"}
	}
	user := g.user()
	for i, backend := range g.nets {
		if kind, _, _ := strings.Cut(backend, ","); kind == "none" {
			continue
		}
		if i == 0 && user {
			forwards, err := hostForwards(g.ports)
			if err != nil {
				return err
			}
			backend += forwards
		}
		g.NICs = append(g.NICs, vm.NIC{Backend: backend})
	}
	if len(g.ports) > 0 && !user {
		return usageError("-p forwards ports through QEMU's user networking: it needs -net user")
	}
	if user && !hasParameter(g.Append, "ip") {
		// The program waits for its address: a client needs it at once.
		ip := "ip=dhcp"
		if slices.Contains(strings.Split(g.build.tags, ","), "nodhcp") {
			ip = userIP
		}
		g.Append = join(g.Append, ip)
	}
	g.Extra = g.extra
	var err error
	g.Append, err = commandLine(g.Append, args)
	return err
}

// user tells whether eth0 is on QEMU's own network.
func (g *guestFlags) user() bool {
	if len(g.nets) == 0 {
		return true
	}
	kind, _, _ := strings.Cut(g.nets[0], ",")
	return kind == "user"
}

// image makes the image of pkg, in a folder that done removes, or takes the one that pkg names.
func (g *guestFlags) image(pkg string, messages io.Writer) (done func(), err error) {
	if filepath.Ext(pkg) == ".elf" {
		_, err := toolchain.PVHEntry(pkg)
		g.Kernel = pkg
		return func() {}, err
	}
	dir, err := os.MkdirTemp("", "barewire-run-")
	if err != nil {
		return nil, err
	}
	done = func() { os.RemoveAll(dir) }
	g.Kernel = filepath.Join(dir, "image.elf")
	b, err := g.build.builder(messages)
	if err == nil {
		err = b.Build(pkg, g.Kernel)
		b.Close()
	}
	if err != nil {
		done()
	}
	return done, err
}

// run is "barewire run".
func run(args []string, io streams) error {
	var g guestFlags
	fl := newFlags("run", "run [flags] PKG|IMAGE.elf [-- app args]", io)
	g.add(fl)
	debug := fl.Bool("debug", false, "boot with the kernel parameter \"debug\" and print QEMU's command line")
	rest, err := parse(fl, args)
	if err != nil {
		return err
	}
	if fl.NArg() != 1 {
		return usageError("run wants one package: barewire run [flags] PKG [-- app args]")
	}
	g.show = g.show || *debug
	if *debug {
		g.Append = join(g.Append, "debug")
	}
	if err := g.machine(rest); err != nil {
		return err
	}
	if _, err := vm.FindQEMU(); err != nil {
		return err // before a build that would be for nothing
	}
	done, err := g.image(fl.Arg(0), io.err)
	if err != nil {
		return err
	}
	defer done()
	return g.boot(io, 0)
}

// boot runs the machine until it ends, or for at most limit if that is not zero, and returns the guest's status as an
// exitStatus.
func (f *vmFlags) boot(io streams, limit time.Duration) error {
	cmd, err := f.Command()
	if err != nil {
		return err
	}
	if f.show {
		fmt.Fprintln(io.err, vm.ShellLine(cmd.Args))
	}
	if f.GDB {
		fmt.Fprintf(io.err, "barewire: waiting for gdb: gdb -ex 'target remote :1234' %s\n", f.Kernel)
	}
	said := &complaints{to: io.err}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = io.in, io.out, said
	// An interrupt from the terminal reaches QEMU too, which restores the terminal and ends; this process waits for it.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("QEMU does not start: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var late <-chan time.Time // never, without a limit
	if limit > 0 {
		late = time.After(limit)
	}
	select {
	case err = <-done:
	case <-late:
		cmd.Process.Kill()
		<-done
		return fmt.Errorf("the guest did not end in %v", limit)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	code := cmd.ProcessState.ExitCode()
	status, ok := vm.GuestStatus(code)
	switch {
	case code == 0 && said.stopped:
		return exitStatus(130) // as a shell reports an interrupt; QEMU itself ends with 0
	case code == 0 && len(f.Extra) == 0:
		// The machine has the exit device, so that an image that ends says so.
		return errors.New("the machine was reset without an exit status: the guest crashed too hard to report it (a triple fault)")
	case ok && status == 0 && said.failed:
		return errors.New("QEMU failed") // its own status 1 looks like the guest's 0; it has said why
	case ok && status == 0:
		return nil
	case ok:
		return exitStatus(status)
	}
	return fmt.Errorf("QEMU ended without the guest's status: %v", cmd.ProcessState)
}

// complaints passes QEMU's messages on and notes what they tell.
type complaints struct {
	to      io.Writer
	failed  bool // one was an error
	stopped bool // one told that a signal ends QEMU
}

func (c *complaints) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		// QEMU's messages start with its name; warnings and the note about a signal are no failure.
		if !bytes.HasPrefix(line, []byte("qemu-system-")) {
			continue
		}
		switch {
		case bytes.Contains(line, []byte("terminating on signal")):
			c.stopped = true
		case !bytes.Contains(line, []byte("warning:")):
			c.failed = true
		}
	}
	return c.to.Write(p)
}

// hostForwards turns -p values into options of QEMU's user backend.
func hostForwards(ports []string) (string, error) {
	var options strings.Builder
	for _, p := range ports {
		pair, protocol, named := strings.Cut(p, "/")
		host, guest, ok := strings.Cut(pair, ":")
		for _, n := range []string{host, guest} {
			if v, err := strconv.ParseUint(n, 10, 16); err != nil || v == 0 {
				ok = false
			}
		}
		if !ok || named && protocol != "tcp" && protocol != "udp" {
			return "", usageError(fmt.Sprintf("-p %s: want host:guest, as in 8080:80, with /udp or /tcp after it for one protocol only", p))
		}
		for _, proto := range []string{"tcp", "udp"} {
			if !named || proto == protocol {
				fmt.Fprintf(&options, ",hostfwd=%s:127.0.0.1:%s-:%s", proto, host, guest)
			}
		}
	}
	return options.String(), nil
}

// hasParameter tells whether the kernel command line sets parameter key.
func hasParameter(line, key string) bool {
	for _, word := range strings.Fields(line) {
		if word == "--" {
			return false
		}
		if strings.HasPrefix(word, key+"=") {
			return true
		}
	}
	return false
}

// commandLine joins kernel parameters and program arguments as Linux passes arguments to init: after " -- ", with double
// quotes around what holds spaces. Linux knows no escape, so an argument with both cannot be passed.
func commandLine(parameters string, args []string) (string, error) {
	if len(args) == 0 {
		return parameters, nil
	}
	words := []string{parameters, "--"}
	for _, a := range args {
		if strings.ContainsAny(a, "\"\n\r\x00") {
			return "", fmt.Errorf("the argument %q cannot be passed on a kernel command line: it holds a double quote or a line end", a)
		}
		if a == "" || strings.ContainsAny(a, " \t") {
			a = `"` + a + `"`
		}
		words = append(words, a)
	}
	return strings.TrimSpace(strings.Join(words, " ")), nil
}

func join(a, b string) string { return strings.TrimSpace(a + " " + b) }
