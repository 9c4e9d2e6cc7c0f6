package iptables

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"barewire/netfilter/xtables"
)

// Config is the world of the commands.
type Config struct {
	Tables *xtables.Tables
	// Find returns the match or target of that name, nil if there is none.
	Find func(name string, target bool) *xtables.Def
	// Resolve looks up a host name; nil where there is no resolver.
	Resolve func(host string) ([]uint32, error)
	// Now is the time printed by iptables-save; nil for the system's.
	Now func() time.Time
	// Open opens the file argument of iptables-restore, and returns what to read;
	// nil where there are no files.
	Open func(name string) (io.ReadCloser, error)
}

// Iptables runs commands over the tables of one instance. Commands may be run
// at the same time.
type Iptables struct {
	cfg Config

	mu     sync.Mutex
	loaded map[string]bool // tables that a command asked for
}

// New returns the commands over cfg.Tables.
func New(cfg Config) *Iptables {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Iptables{cfg: cfg, loaded: map[string]bool{}}
}

// maxInput is the size of a restore file that is still read.
const maxInput = 256 << 20

// Run runs one command: argv[0], without its directory and without "-legacy",
// is iptables, iptables-save or iptables-restore. It returns the exit status.
func (x *Iptables) Run(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(argv) == 0 {
		return OtherProblem
	}
	// Nobody who is slow to read holds up the tables.
	var out, warn bytes.Buffer
	status := x.run(argv, stdin, &out, &warn)
	stdout.Write(out.Bytes())
	stderr.Write(warn.Bytes())
	return status
}

func (x *Iptables) run(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	switch path.Base(argv[0]) {
	case "iptables", "iptables-legacy":
		return x.runCommand(argv, stdout, stderr)
	case "iptables-restore", "iptables-legacy-restore":
		return x.runRestore(argv, stdin, stdout, stderr)
	case "iptables-save", "iptables-legacy-save":
		return x.runSave(argv, stdout, stderr)
	}
	fmt.Fprintf(stderr, "%s: command not found\n", argv[0])
	return 127
}

func (x *Iptables) resolve(host string) ([]uint32, error) {
	if x.cfg.Resolve == nil {
		return nil, errors.New("no resolver")
	}
	return x.cfg.Resolve(host)
}

// load notes that a table is asked for, as Linux loads its module then.
func (x *Iptables) load(table string) {
	x.mu.Lock()
	x.loaded[table] = true
	x.mu.Unlock()
}

// Names returns the tables there are to Linux's eye, asked for or in use, for
// /proc/net/ip_tables_names.
func (x *Iptables) Names() (l []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range xtables.TableNames() {
		if x.loaded[n] || x.cfg.Tables.InUse(n) {
			l = append(l, n)
		}
	}
	return l
}
