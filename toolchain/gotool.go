package toolchain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Go is a stock Go distribution.
type Go struct {
	Root    string // its GOROOT
	Version string // such as "go1.26.8"
}

// Command is the path of the go command.
func (g *Go) Command() string { return filepath.Join(g.Root, "bin", "go") }

// FindGo returns the stock Go of the pinned version (such as "1.26.8"): the local one if it is that version, else the one
// that the go command brings through GOTOOLCHAIN.
func FindGo(pin string) (*Go, error) {
	local, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("no go command in PATH: install Go %s or newer from https://go.dev/dl", pin)
	}
	g, lerr := askGo(local, "local")
	if lerr == nil && g.Version == "go"+pin {
		return g, nil
	}
	found := "which does not run"
	if lerr == nil {
		found = "which is " + g.Version
	}
	g, err = askGo(local, "go"+pin)
	if err != nil {
		return nil, fmt.Errorf("images are made with Go %s, and the local go command (%s, %s) could not bring it through GOTOOLCHAIN: %v",
			pin, local, found, err)
	}
	if g.Version != "go"+pin {
		return nil, fmt.Errorf("images are made with Go %s, but GOTOOLCHAIN=go%s of %s brought %s", pin, pin, local, g.Version)
	}
	return g, nil
}

// askGo asks a go command for its GOROOT and version with the given GOTOOLCHAIN.
func askGo(command, toolchain string) (*Go, error) {
	cmd := exec.Command(command, "env", "GOROOT", "GOVERSION")
	// Outside of any module, so that no go.mod asks for another version again, and without the caller's GOROOT, which may
	// belong to another Go.
	cmd.Dir = os.TempDir()
	cmd.Env = append(envWithout(os.Environ(), "GOROOT", "GOWORK", "GOFLAGS"), "GOTOOLCHAIN="+toolchain, "GOWORK=off", "GOFLAGS=")
	out, err := runQuiet(cmd)
	if err != nil {
		return nil, err
	}
	f := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(f) != 2 {
		return nil, fmt.Errorf("unexpected answer of go env: %q", out)
	}
	return &Go{Root: f[0], Version: f[1]}, nil
}

// moduleDir returns the folder in the module cache of a module this module requires, fetching it if need be.
func (g *Go) moduleDir(s *Source, path string) (string, error) {
	version := s.Requires[path]
	if version == "" {
		return "", fmt.Errorf("%s does not require %s, which every image needs", filepath.Join(s.Root, "go.mod"), path)
	}
	cmd := exec.Command(g.Command(), "mod", "download", "-json", path+"@"+version)
	cmd.Dir = s.Root
	cmd.Env = append(envWithout(os.Environ(), "GOROOT", "GOWORK", "GOFLAGS"), "GOTOOLCHAIN=local", "GOWORK=off", "GOFLAGS=")
	out, err := runQuiet(cmd)
	var answer struct{ Dir, Error string }
	if jerr := json.Unmarshal(out, &answer); jerr == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		return "", fmt.Errorf("fetching %s %s: %w", path, version, err)
	}
	return answer.Dir, nil
}

// modCache returns the folder of the module cache.
func (g *Go) modCache() (string, error) {
	cmd := exec.Command(g.Command(), "env", "GOMODCACHE")
	cmd.Env = append(envWithout(os.Environ(), "GOROOT"), "GOTOOLCHAIN=local")
	cmd.Dir = os.TempDir()
	out, err := runQuiet(cmd)
	return strings.TrimSpace(string(out)), err
}

// runQuiet runs cmd and returns what it wrote to standard output; an error carries what it wrote to standard error.
func runQuiet(cmd *exec.Cmd) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if msg := strings.TrimSpace(errs.String()); msg != "" {
			err = errors.New(msg)
		}
		return out.Bytes(), err
	}
	return out.Bytes(), nil
}

// envWithout returns env less the named variables.
func envWithout(env []string, names ...string) []string {
	var kept []string
next:
	for _, kv := range env {
		for _, name := range names {
			if strings.HasPrefix(kv, name+"=") {
				continue next
			}
		}
		kept = append(kept, kv)
	}
	return kept
}
