package iptablestest

import (
	"bytes"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"barewire/netfilter"
	"barewire/netfilter/iptables"
	"barewire/netfilter/xtables"
	"barewire/netfilter/xtables/xt"
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
	Dir      string // relative file names begin here
}

// NewWorld returns an instance with empty tables.
func NewWorld() *World {
	w := &World{}
	start := time.Now()
	seed := uint32(1)
	w.Tables = xtables.New(&w.Hooks, &xtables.Env{
		Now:  func() int64 { return int64(time.Since(start)) },
		Wall: func() int64 { return time.Now().UnixNano() },
		Random: func() uint32 {
			seed = seed*1664525 + 1013904223
			return seed
		},
	})
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
	stdin, err := c.stdin(w.Dir)
	if err != nil {
		return Result{}, err
	}
	var out, warn bytes.Buffer
	status := w.Iptables.Run(c.Argv, strings.NewReader(stdin), &out, &warn)
	return Result{out.String(), warn.String(), status}, nil
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
