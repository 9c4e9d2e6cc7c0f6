package toolchain

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nativeBuilder returns a builder whose port changes nothing in the runtime and whose kernel is one line, so that its
// images are programs for the Linux of the test and show by running that the kernel was linked in.
func nativeBuilder(t *testing.T) (*Builder, *bytes.Buffer) {
	t.Helper()
	s, g := realGo(t)
	mod := readAll(t, filepath.Join(s.Root, "go.mod"))
	root := writeTree(t, map[string]string{
		"go.mod":                   mod,
		"sys/start/hosted.go":      "//go:build !tamago\n\npackage start\n\nimport \"not/in/an/image\"\n",
		"sys/start/start.go":       "//go:build tamago\n\npackage start\n\nimport \"barewire/skb\"\n\nfunc init() { println(skb.Name, \"linked in\") }\n",
		"skb/skb.go":               "package skb\n\nconst Name = \"kernel\"\n",
		"skb/skb_test.go":          "package skb\n\nimport \"testing\"\n\nfunc TestName(t *testing.T) { println(\"in the test\") }\n",
		"toolchain/port/link.conf": "text 0x10010000\nround 0x1000\nentry _rt0_amd64_linux\n",
	})
	fake, err := OpenSource(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BAREWIRE_SRC", fake.Root)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if os.Getenv("GOCACHE") == "" { // stays where it is: only the derived tree is fresh
		out, err := exec.Command(g.Command(), "env", "GOCACHE").Output()
		if err == nil && strings.HasPrefix(string(out), os.Getenv("XDG_CACHE_HOME")) {
			home, _ := os.UserHomeDir()
			t.Setenv("GOCACHE", filepath.Join(home, ".cache", "go-build"))
		}
	}
	b, err := NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	var messages bytes.Buffer
	b.Verbose = &messages
	b.Dir = s.Root // the module graph is the real one
	return b, &messages
}

// runs runs a native image and returns what it printed.
func runs(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := PVHEntry(name); err != nil {
		t.Error(err)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return string(out)
}

func TestBuild_packageInTheModuleCache_linksTheKernelIn(t *testing.T) {
	b, messages := nativeBuilder(t)
	mod, sum := readAll(t, filepath.Join(b.Dir, "go.mod")), readAll(t, filepath.Join(b.Dir, "go.sum"))
	for _, name := range []string{"netcat", "ping", "wget"} {
		out := filepath.Join(t.TempDir(), name+".elf")
		if err := b.Build("github.com/u-root/u-root/cmds/core/"+name, out); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, messages)
		}
		if got := runs(t, out, "-h"); !strings.HasPrefix(got, "kernel linked in\n") || !strings.Contains(strings.ToLower(got), "usage") {
			t.Errorf("%s printed %q", name, got)
		}
	}
	if readAll(t, filepath.Join(b.Dir, "go.mod")) != mod || readAll(t, filepath.Join(b.Dir, "go.sum")) != sum {
		t.Error("the program's go.mod or go.sum changed")
	}
	if _, err := os.Lstat(filepath.Join(b.Dir, ".barewire")); err == nil {
		t.Error("the build left .barewire in the program's folder")
	}
}

func TestBuild_packageInALocalModule_isReproducible(t *testing.T) {
	b, messages := nativeBuilder(t)
	program := map[string]string{
		"go.mod":      "module example.com/hello\n\ngo 1.26\n",
		"cmd/main.go": "package main\n\nimport (\n\t\"fmt\"\n\t\"net\"\n)\n\nfunc main() { fmt.Println(net.IPv4zero) }\n",
	}
	var images [2]string
	for i := range images {
		b.Dir = writeTree(t, program) // another folder each time
		out := filepath.Join(t.TempDir(), "image.elf")
		if err := b.Build("./cmd", out); err != nil {
			t.Fatalf("%v\n%s", err, messages)
		}
		if got := runs(t, out); got != "kernel linked in\n0.0.0.0\n" {
			t.Errorf("printed %q", got)
		}
		images[i] = readAll(t, out)
	}
	if images[0] != images[1] {
		t.Error("the same program built in two folders gave two images")
	}
	if strings.Contains(images[0], b.Dir) || strings.Contains(images[0], b.Derived.Root) {
		t.Error("the image holds a path of this machine")
	}
}

func TestBuild_notAnImage_isRefusedInOneSentence(t *testing.T) {
	b, _ := nativeBuilder(t)
	b.Dir = writeTree(t, map[string]string{
		"go.mod":         "module example.com/odd\n\ngo 1.26\n",
		"lib/lib.go":     "package lib\n",
		"two/a/a.go":     "package main\n\nfunc main() {}\n",
		"two/b/b.go":     "package main\n\nfunc main() {}\n",
		"empty/x.txt":    "",
		"lost/main.go":   "package main\n\nimport _ \"example.com/nowhere\"\n\nfunc main() {}\n",
		"cmain/main.go":  "package main\n\n// int one() { return 1; }\nimport \"C\"\n\nfunc main() { println(C.one()) }\n",
		"cmixed/main.go": "package main\n\nfunc main() { println(one()) }\n",
		"cmixed/c.go":    "package main\n\nimport \"C\"\n\nfunc one() int { return 1 }\n",
		"clib/clib.go":   "package clib\n\nimport \"C\"\n",
		"cuser/main.go":  "package main\n\nimport _ \"example.com/odd/clib\"\n\nfunc main() {}\n",
	})
	for pkg, wants := range map[string][]string{
		"./lib":                 {"example.com/odd/lib", "not a main package"},
		"./two/...":             {"more than one program"},
		"./empty":               {"./empty"},
		"./nosuch":              {"./nosuch"},
		"./lost":                {"example.com/nowhere"},
		"./cmain":               {"needs cgo", "main.go", "no C library"},
		"./cmixed":              {"needs cgo", "c.go"},
		"./cuser":               {"example.com/odd/clib needs cgo", "clib.go"},
		"example.com/elsewhere": {"example.com/elsewhere"},
	} {
		out := filepath.Join(t.TempDir(), "x.elf")
		err := b.Build(pkg, out)
		if err == nil {
			t.Errorf("%s became an image", pkg)
			continue
		}
		for _, want := range wants {
			if msg := err.Error(); !strings.Contains(msg, want) || strings.Contains(msg, "\n") {
				t.Errorf("%s: error %q, want one line with %q", pkg, msg, want)
			}
		}
		if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 0 {
			t.Errorf("%s: the failed build left %v", pkg, left)
		}
	}
	b.Dir = writeTree(t, map[string]string{"go.mod": "module m\n\ngo 1.99\n", "main.go": "package main\n\nfunc main() {}\n"})
	if err := b.Build(".", filepath.Join(t.TempDir(), "x.elf")); err == nil || !strings.Contains(err.Error(), "needs Go 1.99") ||
		!strings.Contains(err.Error(), b.Source.GoVersion) {
		t.Errorf("a program for a newer Go gave %v", err)
	}
}

// A package with a pure-Go variant beside its cgo one passes, as it does with CGO_ENABLED=0 everywhere.
func TestBuild_cgoWithPureVariant_builds(t *testing.T) {
	b, messages := nativeBuilder(t)
	b.Dir = writeTree(t, map[string]string{
		"go.mod":      "module example.com/both\n\ngo 1.26\n",
		"main.go":     "package main\n\nimport \"example.com/both/lib\"\n\nfunc main() { println(lib.How) }\n",
		"lib/c.go":    "//go:build cgo\n\npackage lib\n\nimport \"C\"\n\nconst How = \"cgo\"\n",
		"lib/pure.go": "//go:build !cgo\n\npackage lib\n\nconst How = \"pure\"\n",
	})
	out := filepath.Join(t.TempDir(), "x.elf")
	if err := b.Build(".", out); err != nil {
		t.Fatalf("%v\n%s", err, messages)
	}
	if got := runs(t, out); got != "kernel linked in\npure\n" {
		t.Errorf("printed %q", got)
	}
}

// The kernel is built with the tag tamago; the program and its modules never see it, nor any other that was not asked for.
func TestBuild_programWithTheKernelsTag_buildsAsOnLinux(t *testing.T) {
	b, messages := nativeBuilder(t)
	b.Dir = writeTree(t, map[string]string{
		"go.mod":       "module example.com/tagged\n\ngo 1.26\n",
		"main.go":      "package main\n\nimport \"example.com/tagged/lib\"\n\nfunc main() { println(here, lib.Here, extra) }\n",
		"bare.go":      "//go:build tamago || linkcpuinit || linkramsize\n\npackage main\n\nconst here = \"bare\"\n",
		"linux.go":     "//go:build !tamago && !linkcpuinit && !linkramsize\n\npackage main\n\nconst here = \"linux\"\n",
		"extra.go":     "//go:build more\n\npackage main\n\nconst extra = \"more\"\n",
		"plain.go":     "//go:build !more\n\npackage main\n\nconst extra = \"plain\"\n",
		"lib/bare.go":  "//go:build tamago\n\npackage lib\n\nconst Here = \"bare\"\n",
		"lib/linux.go": "//go:build !tamago\n\npackage lib\n\nconst Here = \"linux\"\n",
	})
	for tags, want := range map[string]string{"": "linux linux plain", "more": "linux linux more"} {
		b.Tags = tags
		out := filepath.Join(t.TempDir(), "x.elf")
		if err := b.Build(".", out); err != nil {
			t.Fatalf("%v\n%s", err, messages)
		}
		if got := runs(t, out); got != "kernel linked in\n"+want+"\n" {
			t.Errorf("with tags %q printed %q", tags, got)
		}
	}
}

func TestBuildTest_everyKindOfPackage_runsItsTestsWithTheKernel(t *testing.T) {
	b, messages := nativeBuilder(t)
	for _, c := range []struct{ pkg, run string }{
		{"container/list", "TestRemove"},                         // standard
		{"barewire/skb", "TestName"},                             // a room, by path
		{"golang.org/x/net/dns/dnsmessage", "TestDNSPackUnpack"}, // module cache
	} {
		out := filepath.Join(t.TempDir(), "x.elf")
		ok, err := b.BuildTest(c.pkg, out)
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v\n%s", c.pkg, ok, err, messages)
		}
		got := runs(t, out, "-test.v", "-test.run=^"+c.run+"$")
		if !strings.HasPrefix(got, "kernel linked in\n") || !strings.Contains(got, "--- PASS: "+c.run) {
			t.Errorf("%s printed %q", c.pkg, got)
		}
	}
	// A room by its folder is the same package.
	b.Dir = b.Source.Root
	if p, err := b.testPackage("./skb"); err != nil || p.ImportPath != "barewire/skb" || !p.Standard {
		t.Errorf("./skb is %+v, %v", p, err)
	}
	if ok, err := b.BuildTest("barewire/sys/start", filepath.Join(t.TempDir(), "x.elf")); ok || err != nil {
		t.Errorf("a package without tests gave %v, %v", ok, err)
	}
}

func TestReadLinkConfig_malformed_isRefused(t *testing.T) {
	for _, text := range []string{"", "text 1\nround 1\n", "text x\nround 1\nentry e\n", "color blue\n", "entry a b\n"} {
		root := writeTree(t, map[string]string{"link.conf": text})
		if c, err := readLinkConfig(os.DirFS(root)); err == nil {
			t.Errorf("%q gave %+v", text, c)
		}
	}
}
