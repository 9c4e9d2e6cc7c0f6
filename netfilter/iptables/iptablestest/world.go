package iptablestest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"barewire/netfilter"
	"barewire/netfilter/ipset"
	"barewire/netfilter/iptables"
	"barewire/netfilter/xtables"
	"barewire/netfilter/xtables/xt"
	"barewire/skb"
	"barewire/skb/header"
)

// Result is what a command left.
type Result struct {
	Stdout, Stderr string
	Status         int
}

// Runner runs commands.
type Runner interface {
	Run(c Command) (Result, error)
}

// World is an instance in memory that has tables and sets and no packets.
type World struct {
	Hooks    netfilter.Hooks
	Tables   *xtables.Tables
	Iptables *iptables.Iptables
	Sets     *ipset.Sets
	Dir      string // relative file names begin here
}

// NewWorld returns an instance with empty tables.
func NewWorld() *World {
	w := &World{}
	start := time.Now()
	seed := uint32(1)
	now := func() int64 { return int64(time.Since(start)) }
	random := func() uint32 {
		seed = seed*1664525 + 1013904223
		return seed
	}
	w.Sets = ipset.New(now, random, ipset.Services{Port: xt.ServicePort, Proto: xtables.ProtoNumber, Name: xtables.ProtoName})
	env := &xtables.Env{
		Extra: xtables.Extra{
			Sets: w.Sets,
			// No packet comes by to ask these.
			ReversePath: func(*skb.Buff, netfilter.State, bool, bool, bool) bool { return true },
			BPF: func([]xtables.BPFInsn) (func(*skb.Buff) uint32, error) {
				return func(*skb.Buff) uint32 { return 0 }, nil
			},
			UseDefrag: func() func() { return func() {} },
			HasSocket: func(*skb.Buff) (exists, held bool) { return true, true },
			SocketOf:  func(*skb.Buff, netfilter.State) (xtables.Socket, bool) { return xtables.Socket{}, false },
			TProxy:    func(*skb.Buff, netfilter.State, header.Addr, uint16) bool { return false },
		},
		Now:    now,
		Wall:   func() int64 { return time.Now().UnixNano() },
		Random: random,
	}
	around(env, &w.Hooks)
	w.Tables = xtables.New(&w.Hooks, env)
	w.Iptables = iptables.New(iptables.Config{Tables: w.Tables, Find: Find, Open: func(name string) (io.ReadCloser, error) {
		return os.Open(name)
	}})
	return w
}

// Find looks an extension up.
func Find(name string, target bool) *xtables.Def {
	if target {
		return xt.FindTarget(name)
	}
	return xt.FindMatch(name)
}

// Run implements Runner.
func (w *World) Run(c Command) (Result, error) {
	argv, stdin, err := c.Input(w.Dir)
	if err != nil {
		return Result{}, err
	}
	var out, warn bytes.Buffer
	run := w.Iptables.Run
	if len(argv) > 0 && path.Base(argv[0]) == "ipset" {
		run = w.Sets.Run
	}
	status := run(argv, strings.NewReader(stdin), &out, &warn)
	return Result{out.String(), warn.String(), status}, nil
}

// Input returns the arguments and the standard input of a command. Where a
// command is a path, like /sbin/iptables, its last part is what counts.
func (c *Command) Input(dir string) (argv []string, stdin string, err error) {
	if len(c.Argv) == 0 {
		return nil, "", errors.New("no command")
	}
	stdin, err = c.stdin(dir)
	return append([]string{path.Base(c.Argv[0])}, c.Argv[1:]...), stdin, err
}

// stdin returns the standard input of a command.
func (c *Command) stdin(dir string) (string, error) {
	if c.File == "" {
		return c.Stdin, nil
	}
	name := c.File
	if !path.IsAbs(name) {
		name = path.Join(dir, name)
	}
	b, err := os.ReadFile(name)
	return string(b), err
}
