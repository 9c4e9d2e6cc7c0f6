package iptablestest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Legacy runs commands of the machine's own programs in a network namespace of
// their own.
type Legacy struct {
	Dir  string
	name string
}

// NewLegacy makes a namespace. The error says what this machine lacks.
func NewLegacy() (*Legacy, error) {
	for _, p := range []string{"ip", "iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore"} {
		if _, err := exec.LookPath(p); err != nil {
			return nil, err
		}
	}
	if os.Getuid() != 0 {
		return nil, errors.New("not root")
	}
	l := &Legacy{name: fmt.Sprintf("barewire-xt-%d", os.Getpid())}
	if b, err := exec.Command("ip", "netns", "add", l.name).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip netns add: %s", b)
	}
	r, err := l.Run(Command{Argv: []string{"iptables", "-S"}})
	if err == nil && r.Status != 0 {
		err = errors.New(r.Stderr)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// LegacyIn runs commands in a named namespace, which is the caller's.
func LegacyIn(namespace string) *Legacy { return &Legacy{name: namespace} }

// Close removes the namespace.
func (l *Legacy) Close() { exec.Command("ip", "netns", "del", l.name).Run() }

// Run implements Runner: iptables stands for iptables-legacy, and so on.
func (l *Legacy) Run(c Command) (Result, error) {
	argv, stdin, err := c.Input(l.Dir)
	if err != nil {
		return Result{}, err
	}
	argv = append([]string{"netns", "exec", l.name}, argv...)
	if argv[3] == "iptables" || strings.HasPrefix(argv[3], "iptables-") && !strings.Contains(argv[3], "legacy") {
		argv[3] = "iptables-legacy" + strings.TrimPrefix(argv[3], "iptables")
	}
	cmd := exec.Command("ip", argv...)
	var out, warn bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &warn
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, err
	}
	return Result{out.String(), warn.String(), cmd.ProcessState.ExitCode()}, nil
}
