package guest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"barewire/qemu"
)

// The Linux guest boots, and its agent serves.
func TestLinuxGuest_boots(t *testing.T) {
	if _, err := exec.LookPath("apt-cache"); err != nil {
		t.Skip("no apt-cache: the kernel comes from Debian's archive")
	}
	dir := filepath.Join("..", "..", "..", "build", "bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	agent := filepath.Join(t.TempDir(), "agent")
	build := exec.Command("go", "build", "-o", agent, "../agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	g, err := NewLinuxGuest(dir, agent, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	vm, err := qemu.Launch(ctx, qemu.Config{
		Machine: qemu.Q35, Kernel: g.Kernel, Initrd: g.Initrd, Append: "console=ttyS0 quiet ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off",
		NICs: []qemu.NIC{{Backend: qemu.User{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Kill()
	if _, err := vm.Console.WaitFor("^agent: ready", 50*time.Second); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %v", time.Since(vm.Started).Round(10*time.Millisecond))
}
