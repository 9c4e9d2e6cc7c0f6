package archtest

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// The house itself.
func TestHouse_KeepsItsTable(t *testing.T) {
	found, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
	for name, r := range Rooms {
		if strings.Contains(name, "/") && r.Why == "" {
			t.Errorf("the exception for %s has no reason", name)
		}
	}
}

// Each file breaks, or keeps, one rule; the checker must see exactly the breaks.
func TestCheck_Fixture(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"skb/a.go", `import "barewire/napi"`, "skb imports barewire/napi"},
		{"skb/a.go", `import "net"`, "the kernel runs below it"},
		{"skb/a.go", `import "net/netip"`, ""},
		{"napi/a.go", `import "barewire/skb"`, ""},
		{"napi/gro/a.go", `import "barewire/inet/ip"`, "napi imports barewire/inet/ip"},
		{"virtio/net/a.go", `import "barewire/napi"; import "barewire/virtio"`, ""},
		{"virtio/net/a.go", `import "barewire/board/microvm"`, "virtio imports"},
		{"inet/a.go", `import "os/exec"`, "the kernel runs below it"},
		{"inet/a.go", `import "golang.org/x/sys/unix"`, "this dependency"},
		{"inet/a.go", `import "barewire/netfilter"; import "barewire/skb"`, ""},
		{"netfilter/a.go", `import "barewire/inet"`, "netfilter imports"},
		{"board/microvm/a.go", `import "github.com/usbarmory/tamago/amd64"; import "os"`, ""},
		{"board/microvm/a.go", `import "barewire/skb"`, "board imports barewire/skb"},
		{"board/hosted/a.go", `import "barewire/skb"; import "barewire/napi"; import "os"`, ""},
		{"board/hosted/a.go", `import "barewire/inet"`, "board/hosted imports"},
		{"sys/start/a.go", `import "barewire/board/microvm"; import "barewire/inet"`, ""},
		{"sys/a.go", `import "barewire/qemu"`, "sys imports"},
		{"sys/a.go", `import "barewire/apps/echo"`, "sys imports"},
		{"apps/echo/a.go", `import _ "barewire/sys/start"`, ""},
		{"apps/echo/a.go", `import "barewire/sys"`, "only a blank import"},
		{"apps/echo/a.go", `import "barewire/inet"`, "apps imports"},
		{"apps/sh/a.go", `import "github.com/u-root/u-root/pkg/ls"; import "net/http"`, ""},
		{"toolchain/a.go", `import "golang.org/x/mod/modfile"`, "this dependency"},
		{"qemu/a.go", `import "barewire/inet"; import "golang.org/x/sys/unix"`, ""},
		{"skb/a_test.go", `import "barewire/qemu"; import "os"`, ""},
		{"skb/skbtest/a.go", `import "os"; import "testing"`, ""},
		{"skb/skbtest/a.go", `import "barewire/qemu"`, "skb imports"},
		{"skb/_old/a.go", `import "barewire/qemu"`, ""},
		{"extra/a.go", ``, "in no room"},
		{"skb/a.go", `import "barewire/extra"`, "in no room"},
		{"skb/a.go", `import "C"`, "cgo"},

		{"skb/v.go", "var pool []int", "variable pool"},
		{"skb/v.go", "var _ error = nil", ""},
		{"skb/v.go", `import "errors"; var ErrA, ErrB = errors.New("a"), errors.New("b")`, ""},
		{"skb/v.go", `import "errors"; var ErrA, n = errors.New("a"), 3`, "variable n"},
		{"skb/v.go", `import "syscall"; var errAgain = syscall.EAGAIN`, ""},
		{"skb/v.go", "// table of things, read-only.\nvar table = [...]int{1, 2}", ""},
		{"skb/v.go", "var (\n\tgood = 1 // read-only\n\tbad = 2\n)", "variable bad"},
		{"skb/v.go", "var table = []int{ // read-only\n\t1,\n}", ""},
		{"sys/v.go", "//go:linkname hook runtime.hook\nvar hook func()", ""},
		{"inet/v.go", "func f() { var local int; _ = local }", ""},
		{"apps/echo/v.go", "var flags int", ""},
		{"sys/v.go", "//go:build tamago\n\npackage x\n\nvar count int", "variable count"},
	} {
		src := c.src
		if !strings.Contains(src, "package ") {
			src = "package x\n\n" + src
		}
		found, err := Check(fstest.MapFS{c.name: {Data: []byte(src)}})
		if err != nil {
			t.Errorf("%s %q: %v", c.name, c.src, err)
			continue
		}
		got := strings.Join(found, "\n")
		switch {
		case c.want == "" && got != "":
			t.Errorf("%s %q: refused: %s", c.name, c.src, got)
		case c.want != "" && (len(found) != 1 || !strings.Contains(got, c.want)):
			t.Errorf("%s %q: got %q, want one breach about %q", c.name, c.src, got, c.want)
		}
	}
}
