package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"barewire/toolchain/vm"
)

const (
	profilePort = 16060 // in the guest that profile -run boots
	bootWait    = 60 * time.Second
	answerWait  = 20 * time.Second // beside the time that is profiled
)

// kinds are what -type may name, with the path of each; those marked text are printed. read-only
var kinds = []struct {
	name, path string
	text       bool
}{
	{"cpu", "profile", false},
	{"heap", "heap", false},
	{"allocs", "allocs", false},
	{"goroutine", "goroutine", false},
	{"mutex", "mutex", false},
	{"block", "block", false},
	{"trace", "trace", false},
	{"metrics", "metrics", true},
	{"counters", "counters", true},
}

// profileFlags are those of "barewire profile".
type profileFlags struct {
	guestFlags
	boot    bool
	kind    string
	seconds int
	out     string
	top     int
}

const profileUsage = `profile [-type T] [-seconds N] HOST:PORT
       barewire profile -run [flags of run] PKG|IMAGE.elf [-- app args]

The first form asks a running image that was built with -profile and booted with
barewire.pprof=PORT. The second boots a program in QEMU and profiles it from
the start: it leaves cpu.pprof and heap.pprof and prints what they and the
kernel's counters say. "go tool pprof IMAGE.elf FILE" shows more; for source lines
and disassembly build with -dwarf.`

// profile is "barewire profile".
func profile(args []string, io streams) error {
	var p profileFlags
	fl := newFlags("profile", profileUsage, io)
	p.add(fl)
	rest, err := parse(fl, args)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(kinds, func(k struct {
		name, path string
		text       bool
	}) bool {
		return k.name == p.kind
	})
	switch {
	case fl.NArg() != 1:
		return usageError("profile wants an address or, with -run, a package: barewire profile " + profileUsage)
	case !known:
		return usageError(fmt.Sprintf("-type %s: there is no such profile", p.kind))
	case p.seconds < 1 || p.seconds > 600:
		return usageError("-seconds: want 1 to 600")
	case p.boot:
		return p.run(fl.Arg(0), rest, io)
	}
	return p.ask(context.Background(), fl.Arg(0), p.kind, p.out, io)
}

func (p *profileFlags) add(fl *flag.FlagSet) {
	p.guestFlags.add(fl)
	fl.BoolVar(&p.boot, "run", false, "boot a program in QEMU and profile it")
	fl.StringVar(&p.kind, "type", "cpu", "`what` to fetch: cpu, heap, allocs, goroutine, mutex, block, trace; metrics and counters are text")
	fl.IntVar(&p.seconds, "seconds", 10, "`how long` to watch, in seconds")
	fl.StringVar(&p.out, "o", "", "write the profile to `file` (default: its type and .pprof); with -run a folder")
	fl.IntVar(&p.top, "top", 15, "print that many `lines` of the profile, 0 for none")
}

// ask fetches one profile from an image at address, leaves it in file out and prints what it says.
func (p *profileFlags) ask(ctx context.Context, address, kind, out string, io streams) error {
	for _, k := range kinds {
		if k.name != kind {
			continue
		}
		seconds := p.seconds
		switch kind {
		case "heap", "allocs", "goroutine", "counters":
			seconds = 0 // they are of a moment
		}
		data, err := fetch(ctx, address, k.path, seconds)
		if err != nil {
			return err
		}
		if k.text {
			_, err := io.out.Write(data)
			return err
		}
		if out == "" {
			out = kind + ".pprof"
			if kind == "trace" {
				out = "trace.out"
			}
		}
		return p.leave(out, data, kind, io)
	}
	panic("kind checked before")
}

// leave writes a profile to a file and prints its top.
func (p *profileFlags) leave(out string, data []byte, kind string, io streams) error {
	if err := os.WriteFile(out, data, 0o666); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "%s: %d bytes\n", out, len(data))
	if p.top <= 0 || kind == "trace" {
		return nil
	}
	cmd := exec.Command("go", "tool", "pprof", "-top", "-nodecount="+strconv.Itoa(p.top), out)
	text, err := cmd.Output()
	if err != nil {
		fmt.Fprintf(io.err, "barewire: go tool pprof does not show it: %v\n", err)
		return nil
	}
	_, err = io.out.Write(text)
	return err
}

// fetch asks an image for one path.
func fetch(ctx context.Context, address, path string, seconds int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+answerWait)
	defer cancel()
	u := url.URL{Scheme: "http", Host: address, Path: "/debug/pprof/" + path}
	if seconds > 0 {
		u.RawQuery = "seconds=" + strconv.Itoa(seconds)
	}
	q, err := http.NewRequestWithContext(ctx, "GET", u.String(), nil)
	if err != nil {
		return nil, usageError(err.Error())
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, fmt.Errorf("%s does not answer; is the image built with -profile and booted with barewire.pprof=PORT? %w", address, err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("%s stopped in the middle of the profile: %w", address, err)
	}
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, strings.TrimSpace(string(data)))
	}
	return data, nil
}

// run boots a program and profiles it, over the network if QEMU's own is there, else over the console.
func (p *profileFlags) run(pkg string, args []string, io streams) error {
	dir := p.out
	if dir == "" {
		dir = "."
	} else if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	address := ""
	how := fmt.Sprintf("console:%d", p.seconds)
	if p.user() {
		port, err := freePort()
		if err != nil {
			return err
		}
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		p.ports = append(p.ports, fmt.Sprintf("%d:%d/tcp", port, profilePort))
		how = strconv.Itoa(profilePort)
	}
	p.Append = join(p.Append, "barewire.pprof="+how)
	if err := p.machine(args); err != nil {
		return err
	}
	if _, err := vm.FindQEMU(); err != nil {
		return err
	}
	p.build.profile = true
	done, err := p.image(pkg, io.err)
	if err != nil {
		return err
	}
	defer done()
	cmd, err := p.Command()
	if err != nil {
		return err
	}
	if p.show {
		fmt.Fprintln(io.err, vm.ShellLine(cmd.Args))
	}
	caught := &catcher{to: io.err, enough: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = io.in, caught, io.err
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("QEMU does not start: %w", err)
	}
	ctx, ended := context.WithCancelCause(context.Background())
	waited := make(chan struct{})
	go func() {
		cmd.Wait() // its status says nothing about the profile
		ended(errors.New("the program ended before its profile was complete"))
		close(waited)
	}()
	defer func() { cmd.Process.Kill(); <-waited }()
	if address == "" {
		return p.fromConsole(ctx, caught, dir, io)
	}
	err = p.fromNetwork(ctx, address, dir, io)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// fromNetwork asks the guest at address for everything, when it is up.
func (p *profileFlags) fromNetwork(ctx context.Context, address, dir string, io streams) error {
	late := time.Now().Add(bootWait)
	for {
		// QEMU takes the connection before the guest does.
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := fetch(try, address, "", 0)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil || time.Now().After(late) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, kind := range []string{"cpu", "heap"} {
		if err := p.ask(ctx, address, kind, filepath.Join(dir, kind+".pprof"), io); err != nil {
			return err
		}
	}
	for _, kind := range []string{"metrics", "counters"} {
		data, err := fetch(ctx, address, kind, 0)
		if err != nil {
			return err
		}
		fmt.Fprintf(io.out, "\n%s", data)
	}
	return nil
}

// fromConsole waits for the profiles that the guest prints.
func (p *profileFlags) fromConsole(ctx context.Context, caught *catcher, dir string, io streams) error {
	select {
	case <-caught.enough:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(bootWait + time.Duration(p.seconds)*time.Second):
		return errors.New("no profile came over the console; is the image built with -profile?")
	}
	for _, kind := range []string{"cpu", "heap"} {
		data := caught.profiles()[kind]
		if data == nil {
			return fmt.Errorf("the %s profile that came over the console is damaged", kind)
		}
		if err := p.leave(filepath.Join(dir, kind+".pprof"), data, kind, io); err != nil {
			return err
		}
	}
	return nil
}

// freePort returns a TCP port that nobody uses now.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
