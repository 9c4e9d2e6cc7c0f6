package toolchain

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// writeTree writes files (path to text) under a new folder.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		at := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// fakeLayout is a layout over a small stock tree.
func fakeLayout(t *testing.T) *layout {
	stock := writeTree(t, map[string]string{
		"VERSION": "go1.2.3\n", "bin/go": "", "pkg/include/textflag.h": "",
		"src/go.mod":                         "module std\n",
		"src/vendor/modules.txt":             "# golang.org/x/net v1\n",
		"src/vendor/golang.org/x/net/net.go": "package net\n",
		"src/bytes/bytes.go":                 "package bytes\n",
		"src/runtime/os_linux.go":            "package runtime // linux\n",
		"src/runtime/proc.go":                "package runtime\n\nfunc main() {}\n",
		"src/runtime/debug/dbg.go":           "package debug\n",
	})
	modules := writeTree(t, map[string]string{
		"tamago/amd64/cpu.go": "package amd64\n", "tamago/goos/goos.go": "package goos\n", "tamago/goos/goos_amd64.s": "// amd64\n",
		"tamago/goos/goos_arm.s": "// arm\n", "x86asm/decode.go": "package x86asm\n",
		"kernel/skb/skb.go": "package skb\n", "kernel/skb/.skb.go.swp": "rubbish",
	})
	return &layout{
		stock: &Go{Root: stock, Version: "go1.2.3"},
		port: fstest.MapFS{
			"remove.txt":                 {Data: []byte("# gone\nruntime/os_linux.go # with a reason\n")},
			"edits/p.edit":               {Data: []byte("== runtime/proc.go\n-- old\nfunc main() {}\n-- new\nfunc boot() {}\n-- end\n")},
			"_src/runtime/os_bare.go":    {Data: []byte("package runtime // bare\n")},
			"_src/runtime/goos/goos.go":  {Data: []byte("package goos // ours\n")},
			"_src/internal/new/fresh.go": {Data: []byte("package fresh\n")},
		},
		links: map[string]string{"vendor/" + tamagoModule: filepath.Join(modules, "tamago"),
			"vendor/golang.org/x/arch/x86/x86asm": filepath.Join(modules, "x86asm")},
		dirs:  map[string]string{"barewire/skb": filepath.Join(modules, "kernel", "skb")},
		goos:  filepath.Join(modules, "tamago", "goos"),
		label: []string{stock, "go1.2.3", "v1.0.0", "v2.0.0"},

		vendor: []vendored{{tamagoModule, []string{""}}, {"golang.org/x/arch", []string{"x86/x86asm"}}},
	}
}

// snapshot is everything about the files under root that a write would change.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := fmt.Sprint(info.Mode(), info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		all[name] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readAll(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDerive_freshCache_laysOutThePort(t *testing.T) {
	l := fakeLayout(t)
	before := snapshot(t, l.stock.Root)
	d, err := l.derive(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	src := filepath.Join(d.Root, "src")
	for name, want := range map[string]string{
		"runtime/proc.go":                                    "package runtime\n\nfunc boot() {}\n",
		"runtime/os_bare.go":                                 "package runtime // bare\n",
		"runtime/debug/dbg.go":                               "package debug\n",
		"runtime/goos/goos.go":                               "package goos // ours\n",
		"runtime/goos/goos_amd64.s":                          "// amd64\n",
		"internal/new/fresh.go":                              "package fresh\n",
		"bytes/bytes.go":                                     "package bytes\n",
		"barewire/skb/skb.go":                                "package skb\n",
		"vendor/" + tamagoModule + "/amd64/cpu.go":           "package amd64\n",
		"vendor/golang.org/x/arch/x86/x86asm" + "/decode.go": "package x86asm\n",
		"../VERSION":                                         "go1.2.3\n",
	} {
		if got := readAll(t, filepath.Join(src, name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"runtime/os_linux.go", "runtime/goos/goos_arm.s", "barewire/skb/.skb.go.swp"} {
		if _, err := os.Lstat(filepath.Join(src, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if to, err := os.Readlink(filepath.Join(src, "bytes")); err != nil || to != filepath.Join(l.stock.Root, "src", "bytes") {
		t.Errorf("the untouched folder bytes is not a link to the stock one: %q, %v", to, err)
	}
	list := readAll(t, filepath.Join(src, "vendor", "modules.txt"))
	for _, want := range []string{"# golang.org/x/net v1", "# " + tamagoModule + " v1.0.0", tamagoModule + "/amd64", "golang.org/x/arch/x86/x86asm"} {
		if !strings.Contains(list, want+"\n") {
			t.Errorf("vendor/modules.txt lacks %q:\n%s", want, list)
		}
	}
	if after := snapshot(t, l.stock.Root); !maps.Equal(before, after) {
		t.Error("the stock tree changed")
	}
}

func TestDerive_anyInputChanges_keyChanges(t *testing.T) {
	base := fakeLayout(t)
	key := func(change func(*layout, fstest.MapFS)) string {
		l := *base
		port := maps.Clone(base.port.(fstest.MapFS))
		l.port, l.label, l.dirs = port, append([]string{}, base.label...), maps.Clone(base.dirs)
		change(&l, port)
		p, err := l.plan()
		if err != nil {
			t.Fatal(err)
		}
		return p.key
	}
	seen := map[string]string{key(func(*layout, fstest.MapFS) {}): "nothing"}
	if again := key(func(*layout, fstest.MapFS) {}); seen[again] == "" {
		t.Fatal("the same input gave another key")
	}
	for what, change := range map[string]func(*layout, fstest.MapFS){
		"a new file's text": func(_ *layout, p fstest.MapFS) {
			p["_src/runtime/os_bare.go"] = &fstest.MapFile{Data: []byte("package runtime // other\n")}
		},
		"an edit": func(_ *layout, p fstest.MapFS) {
			p["edits/p.edit"] = &fstest.MapFile{Data: []byte("== runtime/proc.go\n-- old\nfunc main() {}\n-- new\n-- end\n")}
		},
		"a removal": func(_ *layout, p fstest.MapFS) {
			p["remove.txt"] = &fstest.MapFile{Data: []byte("runtime/os_linux.go\nruntime/debug/dbg.go\n")}
		},
		"the Go version":     func(l *layout, _ fstest.MapFS) { l.label[1] = "go1.2.4" },
		"the tamago version": func(l *layout, _ fstest.MapFS) { l.label[2] = "v1.0.1" },
		"the kernel":         func(l *layout, _ fstest.MapFS) { l.dirs["barewire/napi"] = l.dirs["barewire/skb"] },
	} {
		k := key(change)
		if was := seen[k]; was != "" {
			t.Errorf("%s and %s give the same key", what, was)
		}
		seen[k] = what
	}
}

func TestDerive_portDoesNotFit_namesFileAndGo(t *testing.T) {
	for name, text := range map[string]string{
		"remove.txt":           "runtime/no_such.go\n",
		"edits/q.edit":         "== runtime/no_such.go\n-- old\na\n-- new\n-- end\n",
		"_src/runtime/proc.go": "package runtime\n",
		"edits/p.edit":         "== runtime/proc.go\n-- old\nno such line\n-- new\n-- end\n",
		"edits/z.edit":         "== runtime/os_linux.go\n-- old\npackage runtime // linux\n-- new\n-- end\n",
	} {
		l := fakeLayout(t)
		l.port.(fstest.MapFS)[name] = &fstest.MapFile{Data: []byte(text)}
		cache := t.TempDir()
		_, err := l.derive(cache)
		if err == nil {
			t.Errorf("%s with %q was accepted", name, text)
			continue
		}
		if msg := err.Error(); strings.Contains(msg, "\n") || !strings.Contains(msg, "src/runtime/") ||
			(name != "edits/z.edit" && !strings.Contains(msg, "go1.2.3")) {
			t.Errorf("%s: error %q does not name file and Go version in one line", name, msg)
		}
		if left, _ := os.ReadDir(cache); len(left) != 0 {
			t.Errorf("%s: the failure left %v in the cache", name, left)
		}
	}
}

func TestDerive_manyAtOnceIntoFreshCache_shareOneWholeTree(t *testing.T) {
	l := fakeLayout(t)
	for round := range 20 {
		cache := t.TempDir()
		var wg sync.WaitGroup
		roots := make([]string, 8)
		for i := range roots {
			wg.Go(func() {
				d, err := l.derive(cache)
				if err != nil {
					t.Error(err)
					return
				}
				defer d.Close()
				roots[i] = d.Root
				// Whole from the moment it can be seen.
				if _, err := os.Stat(filepath.Join(d.Root, "src", "barewire", "skb", "skb.go")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, r := range roots {
			if r != roots[0] {
				t.Fatalf("round %d: roots differ: %q", round, roots)
			}
		}
		if left, _ := os.ReadDir(cache); len(left) != 1 {
			t.Fatalf("round %d: %d entries in the cache, want the one tree", round, len(left))
		}
	}
}

func TestPrune_oldTrees_goUnlessInUse(t *testing.T) {
	cache := t.TempDir()
	make := func(name string, age time.Duration) string {
		root := filepath.Join(cache, name)
		if err := os.Mkdir(root, 0o777); err != nil {
			t.Fatal(err)
		}
		use := filepath.Join(root, useFile)
		if err := os.WriteFile(use, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		for _, name := range []string{use, root} {
			if err := os.Chtimes(name, when, when); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	old, young := make("goroot-old", keepUnused+time.Hour), make("goroot-young", keepUnused-time.Hour)
	keep, used := make("goroot-keep", keepUnused+time.Hour), make("goroot-used", keepUnused+time.Hour)
	tmpOld, tmpYoung := make("tmp-old", keepTemp+time.Minute), make("tmp-young", 0)
	foreign := make("something-else", 1000*keepUnused)
	f, err := os.Open(filepath.Join(used, useFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	prune(cache, keep, time.Now())
	for root, want := range map[string]bool{old: false, tmpOld: false, young: true, keep: true, used: true, tmpYoung: true, foreign: true} {
		if _, err := os.Stat(root); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(root), err == nil, want)
		}
	}
}

func TestPrune_manyTrees_keepsTheLastOnes(t *testing.T) {
	cache := t.TempDir()
	for i := range keepCount + 3 {
		root := filepath.Join(cache, fmt.Sprintf("goroot-%02d", i))
		if err := os.Mkdir(root, 0o777); err != nil {
			t.Fatal(err)
		}
		use := filepath.Join(root, useFile)
		if err := os.WriteFile(use, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-time.Duration(i) * keepSurplus) // 00 is the newest
		if err := os.Chtimes(use, when, when); err != nil {
			t.Fatal(err)
		}
	}
	prune(cache, filepath.Join(cache, "goroot-00"), time.Now())
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(left) != keepCount || filepath.Base(left[len(left)-1]) != fmt.Sprintf("goroot-%02d", keepCount-1) {
		t.Errorf("left are %q, %v; want the %d newest", left, err, keepCount)
	}
}

// The committed port fits the pinned Go, and laying it out leaves the real stock tree as it was.
func TestDerive_realPort_fitsThePinnedGo(t *testing.T) {
	s, g := realGo(t)
	watched := filepath.Join(g.Root, "src", "runtime")
	before := snapshot(t, watched)
	d, err := Derive(s, g, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if after := snapshot(t, watched); !maps.Equal(before, after) {
		t.Error("the stock runtime changed")
	}
	if _, err := os.Stat(filepath.Join(d.Root, "src", "runtime", "goos", "goos.go")); err != nil {
		t.Error(err)
	}
}

func realGo(t *testing.T) (*Source, *Go) {
	t.Helper()
	s, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	g, err := FindGo(s.GoVersion)
	if err != nil {
		t.Fatal(err)
	}
	return s, g
}
