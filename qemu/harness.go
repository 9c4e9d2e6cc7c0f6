package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ModuleRoot returns the folder of the module the working directory is in.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", os.ErrNotExist
		}
		dir = parent
	}
}

// Start launches a VM for a test and ends it with the test. The run's artifacts
// are kept in build/qemu/NAME of the module, which is emptied first; a test that
// starts several VMs sets cfg.Dir's last element apart by itself. A failed test
// prints where they are and how the console ends.
func Start(t testing.TB, cfg Config) *VM {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = ArtifactDir(t)
	}
	vm, err := Launch(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		vm.Kill()
		if t.Failed() {
			t.Logf("artifacts of the run: %s\nconsole of the guest ends:\n%s", cfg.Dir, vm.Console.Tail(60))
			if m := strings.TrimSpace(vm.Messages()); m != "" {
				t.Logf("qemu says: %s", m)
			}
		}
	})
	return vm
}

// ArtifactDir returns an empty folder build/qemu/NAME for the running test.
func ArtifactDir(t testing.TB) string {
	t.Helper()
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.NewReplacer("/", "_", " ", "_", ",", "_").Replace(t.Name())
	dir := filepath.Join(root, "build", "qemu", name)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}
