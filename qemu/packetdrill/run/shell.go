package run

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"barewire/qemu/packetdrill/pdl"
)

// shell runs the commands of a script against the stack in this process: what
// they say of settings, routes and devices is done there, files below /proc/sys
// are its settings, and nothing of it reaches the machine. A command that is not
// known makes the script an unsupported one.
type shell struct {
	b     *barewire
	dir   string
	depth int
}

func (s *shell) run(line string) error {
	prog, err := syntax.NewParser().Parse(strings.NewReader(line), "command")
	if err != nil {
		return err
	}
	var out output
	r, err := interp.New(
		interp.Dir(s.dir),
		interp.Env(expand.ListEnviron("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PPID=1")),
		interp.StdIO(nil, &out, &out),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
		interp.OpenHandler(s.open),
	)
	if err != nil {
		return err
	}
	err = r.Run(context.Background(), prog)
	var u *pdl.Unsupported
	if errors.As(err, &u) {
		return u
	}
	if err != nil {
		return fmt.Errorf("command %q: %w: %s", strings.TrimSpace(line), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// output is what all commands of a line say; those of a pipe run at once.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Bytes()
}

// commands are those a script may use. read-only.
var commands = map[string]func(s *shell, hc interp.HandlerContext, args []string) error{
	"sysctl":         (*shell).sysctl,
	"set_sysctls.py": (*shell).setSysctls,
	"ip":             (*shell).ip,
	"tc":             (*shell).tc,
	"ethtool":        func(*shell, interp.HandlerContext, []string) error { return nil }, // offloads: the TUN device has none
	"sleep":          (*shell).sleep,
	"dd":             (*shell).dd,
	"truncate":       (*shell).truncate,
	"cat":            (*shell).cat,
	"grep":           (*shell).grep,
	"nstat":          (*shell).nstat,
	"modprobe":       func(*shell, interp.HandlerContext, []string) error { return nil },
	"rm":             func(*shell, interp.HandlerContext, []string) error { return nil }, // what set_sysctls.py would leave
	"ifconfig":       (*shell).ifconfig,
}

func (s *shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	name := filepath.Base(args[0])
	if f, ok := commands[name]; ok {
		err := f(s, hc, args[1:])
		var u *pdl.Unsupported
		if err == nil || errors.As(err, &u) {
			return err
		}
		fmt.Fprintf(hc.Stderr, "%s: %v\n", strings.Join(args, " "), err)
		return interp.ExitStatus(1)
	}
	if strings.HasSuffix(name, ".sh") {
		return s.script(hc, args)
	}
	return &pdl.Unsupported{What: "command " + name}
}

// script runs a file of shell commands.
func (s *shell) script(hc interp.HandlerContext, args []string) error {
	path := args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(hc.Dir, path)
	}
	if s.depth > 8 {
		return errors.New("scripts call each other")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		if strings.HasPrefix(path, "/tmp/sysctl_restore_") {
			return nil // the settings end with the instance
		}
		return &pdl.Unsupported{What: "command " + args[0]}
	}
	in := &shell{b: s.b, dir: s.dir, depth: s.depth + 1}
	return in.run(string(text))
}

// file is an open file of the shell that the process does not have.
type file struct {
	io.Reader
	write func(text string) error
	buf   bytes.Buffer
}

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (f *file) Write(p []byte) (int, error) { return f.buf.Write(p) }

func (f *file) Close() error {
	if f.write == nil {
		return nil
	}
	return f.write(f.buf.String())
}

func (s *shell) open(_ context.Context, path string, flag int, _ os.FileMode) (io.ReadWriteCloser, error) {
	writing := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case path == "/dev/null":
		return &file{Reader: strings.NewReader("")}, nil
	case path == "/dev/zero" && !writing:
		return &file{Reader: io.LimitReader(zeros{}, maxFile)}, nil
	case strings.HasPrefix(path, "/proc/sys/") && writing:
		return &file{Reader: strings.NewReader(""), write: func(text string) error { return s.b.setSysctl(path, text) }}, nil
	case strings.HasPrefix(path, "/proc/sys/"):
		v, err := s.b.in.Sysctl(strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", "."))
		return &file{Reader: strings.NewReader(v + "\n")}, err
	}
	if name, ok := strings.CutPrefix(path, "/proc/net/"); ok && !writing {
		if show, ok := s.b.in.Net().Proc().Lookup(name); ok {
			return &file{Reader: bytes.NewReader(show(nil))}, nil
		}
	}
	if writing {
		return s.b.outputFile(path), nil
	}
	return nil, &pdl.Unsupported{What: "file " + path}
}

func (s *shell) sleep(_ interp.HandlerContext, args []string) error {
	if len(args) != 1 {
		return errors.New("one argument")
	}
	v, err := strconv.ParseFloat(args[0], 64)
	if err == nil {
		s.b.sleep(time.Duration(v * float64(time.Second)))
	}
	return err
}

func (s *shell) cat(hc interp.HandlerContext, args []string) error {
	for _, a := range args {
		f, err := s.open(context.Background(), a, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		if _, err := io.Copy(hc.Stdout, f); err != nil {
			return err
		}
	}
	return nil
}

// grep is grep [-qvE] PATTERN [FILE]...: the lines that match, and an error if
// there are none.
func (s *shell) grep(hc interp.HandlerContext, args []string) error {
	quiet, not := false, false
	for len(args) > 0 && len(args[0]) > 1 && strings.Trim(args[0], "-qvE") == "" {
		quiet, not = quiet || strings.Contains(args[0], "q"), not || strings.Contains(args[0], "v")
		args = args[1:]
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return &pdl.Unsupported{What: "grep " + strings.Join(args, " ")}
	}
	re, err := regexp.Compile(args[0])
	if err != nil {
		return &pdl.Unsupported{What: "pattern " + args[0]}
	}
	found := false
	match := func(r io.Reader) {
		for in := bufio.NewScanner(r); in.Scan(); {
			if re.MatchString(in.Text()) != not {
				found = true
				if !quiet {
					fmt.Fprintln(hc.Stdout, in.Text())
				}
			}
		}
	}
	for _, a := range args[1:] {
		f, err := s.open(context.Background(), a, os.O_RDONLY, 0)
		if err != nil {
			fmt.Fprintln(hc.Stderr, err) // there may be others
			continue
		}
		match(f)
		f.Close()
	}
	if len(args) == 1 {
		match(hc.Stdin)
	}
	if !found {
		return errors.New("nothing matches")
	}
	return nil
}

// sysctl is sysctl [-q] [-w] [-n] name[=value]...
func (s *shell) sysctl(hc interp.HandlerContext, args []string) error {
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			continue
		}
		name, value, set := strings.Cut(a, "=")
		if set {
			if err := s.set(name, value); err != nil {
				return err
			}
			continue
		}
		v, err := s.b.in.Sysctl(strings.ReplaceAll(name, "/", "."))
		if err != nil {
			return err
		}
		if !slices.Contains(args, "-n") {
			fmt.Fprintf(hc.Stdout, "%s = ", name)
		}
		fmt.Fprintln(hc.Stdout, v)
	}
	return nil
}

// set changes a setting. Those of the Linux host that no stack in a process has
// are passed over, unknown ones of TCP make the script unsupported.
func (s *shell) set(name, value string) error {
	err := s.b.setSysctl(name, strings.Trim(value, `"'`))
	if err == syscall.ENOENT {
		return &pdl.Unsupported{What: "sysctl " + name}
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", name, value, err)
	}
	return nil
}

// setSysctls is set_sysctls.py /proc/sys/...=value...
func (s *shell) setSysctls(_ interp.HandlerContext, args []string) error {
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%q is no setting", a)
		}
		if err := s.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *shell) tc(_ interp.HandlerContext, args []string) error {
	// A queueing discipline that lets packets pass at once is what there is.
	if i := slices.Index(args, "limit"); i >= 0 && i+1 < len(args) && args[i+1] == "0" {
		return &pdl.Unsupported{What: "tc " + strings.Join(args, " ")}
	}
	for _, ok := range []string{"pfifo", "pfifo_fast", "noqueue", "fq"} {
		if slices.Contains(args, ok) && !slices.Contains(args, "filter") {
			return nil
		}
	}
	if slices.Contains(args, "del") || slices.Contains(args, "delete") {
		return nil
	}
	return &pdl.Unsupported{What: "tc " + strings.Join(args, " ")}
}

func (s *shell) ifconfig(_ interp.HandlerContext, args []string) error {
	if len(args) == 3 && args[0] == "tun0" && args[1] == "mtu" {
		return s.mtu(args[2])
	}
	return &pdl.Unsupported{What: "ifconfig " + strings.Join(args, " ")}
}

func (s *shell) mtu(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	return s.b.tun.Dev().SetMTU(n)
}

// ip knows what scripts do with links, routes and metrics.
func (s *shell) ip(_ interp.HandlerContext, args []string) error {
	all := "ip " + strings.Join(args, " ")
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		args = args[1:]
	}
	if len(args) == 0 {
		return nil
	}
	switch {
	case args[0] == "tcp_metrics":
		if slices.Contains(args, "flush") || slices.Contains(args, "delete") {
			s.b.in.Inet().FlushTCPMetrics()
			return nil
		}
	case strings.HasPrefix("link", args[0]):
		if i := slices.Index(args, "mtu"); i > 0 && i+1 < len(args) && slices.Contains(args, "tun0") {
			return s.mtu(args[i+1])
		}
		if args[len(args)-1] == "up" {
			return nil // they are
		}
	case strings.HasPrefix("route", args[0]) && len(args) > 2:
		return s.route(args[1], args[2:], all)
	}
	return &pdl.Unsupported{What: all}
}

// metrics of a route by name (Linux: RTAX_*).
var metrics = map[string]int{ // read-only
	"mtu": 2, "window": 3, "rtt": 4, "rttvar": 5, "ssthresh": 6, "cwnd": 7, "advmss": 8, "reordering": 9, "hoplimit": 10, "initcwnd": 11,
	"features": 12, "rto_min": 13, "initrwnd": 14, "quickack": 15, "congctl": 16, "fastopen_no_cookie": 17,
}

// route adds, changes or deletes a route as far as its words are known.
func (s *shell) route(op string, args []string, all string) error {
	unknown := &pdl.Unsupported{What: all}
	rt := tunRoute{}
	if args[0] == "default" {
		rt.dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	} else if p, err := netip.ParsePrefix(args[0]); err == nil {
		rt.dst = p
	} else if a, err := netip.ParseAddr(args[0]); err == nil {
		rt.dst = netip.PrefixFrom(a, 32)
	} else {
		return unknown
	}
	for i := 1; i < len(args); i++ {
		word := args[i]
		m, metric := metrics[word]
		if !metric && !slices.Contains([]string{"dev", "via", "src", "scope", "proto"}, word) || i+1 >= len(args) {
			return unknown
		}
		i++
		if metric {
			if args[i] == "lock" && i+1 < len(args) {
				rt.lock |= 1 << m
				i++
			}
			v, err := metricValue(word, args[i])
			if err != nil {
				return unknown
			}
			rt.metrics[m] = v
			if word == "rto_min" {
				rt.lock |= 1 << m // of no use otherwise
			}
			continue
		}
		if word == "via" {
			a, err := netip.ParseAddr(args[i])
			if err != nil {
				return err
			}
			rt.via = a
		}
	}
	return s.b.setRoute(op, &rt)
}

func metricValue(name, text string) (uint32, error) {
	if name == "features" {
		if text == "ecn" {
			return 1, nil
		}
		return 0, errors.New(text)
	}
	scale := uint32(1)
	if ms, ok := strings.CutSuffix(text, "ms"); ok {
		text = ms
	} else if s, ok := strings.CutSuffix(text, "s"); ok {
		text, scale = s, 1000
	}
	switch name {
	case "rtt":
		scale *= 8
	case "rttvar":
		scale *= 4
	}
	v, err := strconv.ParseUint(text, 10, 32)
	return uint32(v) * scale, err
}
