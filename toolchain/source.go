package toolchain

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// modulePath is the path of the module that holds the kernel, as its go.mod has it.
const modulePath = "barewire"

// rooms are the folders of the kernel that are laid into the derived GOROOT as standard packages
// barewire/<room>. apps and qemu stay outside: they are programs and harness, not kernel.
var rooms = []string{"board", "inet", "napi", "netfilter", "skb", "sys", "virtio"}

// A Source is a checkout of this module: the kernel's rooms, the port and the versions they were written for.
type Source struct {
	Root      string            // folder that holds go.mod
	GoVersion string            // the pin, such as "1.26.8": the go directive of go.mod
	Requires  map[string]string // module path to version, from go.mod
}

// FindSource finds the kernel's source: BAREWIRE_SRC if set, else the checkout this command was compiled from,
// else the checkout around the current folder.
func FindSource() (*Source, error) {
	if dir := os.Getenv("BAREWIRE_SRC"); dir != "" {
		s, err := OpenSource(dir)
		if err != nil {
			return nil, fmt.Errorf("BAREWIRE_SRC: %w", err)
		}
		return s, nil
	}
	var starts []string
	// With -trimpath the compiled-in name is not a path of this machine; the next start serves then.
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	for _, dir := range starts {
		for {
			if s, err := OpenSource(dir); err == nil {
				return s, nil
			}
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return nil, errors.New("the barewire source tree was not found: run inside a checkout or set BAREWIRE_SRC to one")
}

// OpenSource reads the checkout at dir, which must hold this module's go.mod.
func OpenSource(dir string) (*Source, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	s := &Source{Root: dir, Requires: map[string]string{}}
	module := ""
	// go.mod's grammar is richer than this, but this one is ours: a line-by-line reading is enough and needs
	// no go command, which may not be installed yet when doctor asks.
	block := ""
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == ")":
			block = ""
		case len(f) == 2 && f[1] == "(":
			block = f[0]
		default:
			if block != "" {
				f = append([]string{block}, f...)
			}
			switch {
			case f[0] == "module" && len(f) == 2:
				module = f[1]
			case f[0] == "go" && len(f) == 2:
				s.GoVersion = f[1]
			case f[0] == "require" && len(f) >= 3:
				s.Requires[f[1]] = f[2]
			}
		}
	}
	if module != modulePath {
		return nil, fmt.Errorf("%s is the go.mod of module %q, not of %s", filepath.Join(dir, "go.mod"), module, modulePath)
	}
	if s.GoVersion == "" {
		return nil, fmt.Errorf("%s has no go directive, which pins the Go version", filepath.Join(dir, "go.mod"))
	}
	return s, nil
}
