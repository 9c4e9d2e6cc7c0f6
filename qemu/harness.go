package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barewire/board/hosted"
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

// StartTap is for tests whose own stack stands at the other end of a TAP device:
// it makes a namespace with tap0, 192.0.2.1/24, that knows 192.0.2.2 at peer,
// and opens the device, with vnet headers. It skips the test where there are no
// namespaces, and ends with it.
func StartTap(t testing.TB, hint string, peer MAC) (*Namespace, *os.File) {
	t.Helper()
	if err := CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := NewNamespace(hint)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ns.Close() })
	for _, args := range [][]string{
		{"tuntap", "add", "dev", "tap0", "mode", "tap", "vnet_hdr"},
		{"addr", "add", "192.0.2.1/24", "dev", "tap0"},
		{"link", "set", "tap0", "up"},
		{"neigh", "add", "192.0.2.2", "lladdr", peer.String(), "dev", "tap0"},
	} {
		if err := ns.IP(args...); err != nil {
			t.Fatal(err)
		}
	}
	var f *os.File
	if err := ns.Do(func() (err error) { f, err = hosted.OpenTap("tap0", true); return err }); err != nil {
		t.Fatal(err)
	}
	// Until its link watch has seen the carrier, the kernel drops what it sends.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		out, err := ns.Run(10*time.Second, "ip", "link", "show", "tap0")
		if err != nil || time.Now().After(end) {
			t.Fatalf("tap0 does not come up: %v\n%s", err, out)
		}
		if strings.Contains(out, "state UP") {
			return ns, f
		}
	}
}
