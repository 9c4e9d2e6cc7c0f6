package toolchain

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// OpenSource reads go.mod itself; the go command must read the same out of it.
func TestOpenSource_goMod_agreesWithTheGoCommand(t *testing.T) {
	s, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "mod", "edit", "-json", filepath.Join(s.Root, "go.mod")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Go      string
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	if s.GoVersion != want.Go {
		t.Errorf("Go %q, the go command says %q", s.GoVersion, want.Go)
	}
	if strings.Count(s.GoVersion, ".") != 2 {
		t.Errorf("the go directive %q does not pin one release", s.GoVersion)
	}
	if len(want.Require) != len(s.Requires) {
		t.Errorf("%d requirements, the go command says %d", len(s.Requires), len(want.Require))
	}
	for _, r := range want.Require {
		if s.Requires[r.Path] != r.Version {
			t.Errorf("%s %q, the go command says %q", r.Path, s.Requires[r.Path], r.Version)
		}
	}
	for _, path := range []string{tamagoModule, "golang.org/x/arch"} {
		if s.Requires[path] == "" {
			t.Errorf("%s is not required", path)
		}
	}
}

func TestOpenSource_notOurs_isRefused(t *testing.T) {
	for text, want := range map[string]string{
		"module other\n\ngo 1.26.8\n": `"other"`,
		"module barewire\n":           "go directive",
	} {
		if _, err := OpenSource(writeTree(t, map[string]string{"go.mod": text})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v", text, err)
		}
	}
	t.Setenv("BAREWIRE_SRC", t.TempDir())
	if _, err := FindSource(); err == nil || !strings.Contains(err.Error(), "BAREWIRE_SRC") {
		t.Errorf("an empty BAREWIRE_SRC gave %v", err)
	}
}

// fakeGo puts a go command in PATH that answers "go env GOROOT GOVERSION" by its GOTOOLCHAIN.
func fakeGo(t *testing.T, answers map[string]string) {
	t.Helper()
	script := "#!/bin/sh\ncase \"$GOTOOLCHAIN\" in\n"
	for toolchain, answer := range answers {
		script += toolchain + ") " + answer + ";;\n"
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script+"esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestFindGo_otherLocalGo_bringsThePinnedOne(t *testing.T) {
	fakeGo(t, map[string]string{
		"local":    "echo /old; echo go1.20.1",
		"go1.26.8": "echo /cache/go1.26.8; echo go1.26.8",
	})
	g, err := FindGo("1.26.8")
	if err != nil || g.Root != "/cache/go1.26.8" || g.Version != "go1.26.8" {
		t.Errorf("got %+v, %v", g, err)
	}
}

func TestFindGo_localIsThePinnedOne_asksNoFurther(t *testing.T) {
	fakeGo(t, map[string]string{"local": "echo /here; echo go1.26.8"})
	if g, err := FindGo("1.26.8"); err != nil || g.Root != "/here" {
		t.Errorf("got %+v, %v", g, err)
	}
}

func TestFindGo_unsupported_isOneSentence(t *testing.T) {
	check := func(what string, wants ...string) {
		t.Helper()
		_, err := FindGo("1.26.8")
		if err == nil {
			t.Fatalf("%s was accepted", what)
		}
		for _, want := range append(wants, "1.26.8") {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %q, want one line with %q", what, err, want)
			}
		}
	}
	fakeGo(t, map[string]string{"local": "echo /old; echo go1.20.1", "go1.26.8": "echo no network >&2; exit 1"})
	check("a Go that cannot bring the pinned one", "go1.20.1", "GOTOOLCHAIN", "no network")
	fakeGo(t, map[string]string{"*": "echo /old; echo go1.20.1"}) // from before GOTOOLCHAIN
	check("a Go that ignores GOTOOLCHAIN", "go1.20.1")
	t.Setenv("PATH", t.TempDir())
	check("no go command", "install Go")
}
