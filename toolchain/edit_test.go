package toolchain

import (
	"strings"
	"testing"
	"testing/fstest"
)

const sampleEdits = `# why
== runtime/a.go
-- old
one
-- new
uno
-- end

-- old
	two
-- new
-- end
== runtime/copy.go <- runtime/plan9.go
-- old
\-- dashes
-- new
\== equals
-- end
`

func mustParse(t *testing.T, text string) []edit {
	t.Helper()
	edits, err := parseEdits("x.edit", text)
	if err != nil {
		t.Fatal(err)
	}
	return edits
}

func TestParseEdits_sample_readsBlocksInOrder(t *testing.T) {
	edits := mustParse(t, sampleEdits)
	if len(edits) != 2 || len(edits[0].swaps) != 2 || len(edits[1].swaps) != 1 {
		t.Fatalf("parsed %+v", edits)
	}
	if e := edits[0]; e.file != "runtime/a.go" || e.from != e.file || e.origin != "x.edit:2" {
		t.Errorf("first edit %+v", e)
	}
	if e := edits[1]; e.file != "runtime/copy.go" || e.from != "runtime/plan9.go" {
		t.Errorf("second edit %+v", e)
	}
	if s := edits[1].swaps[0]; s.old != "-- dashes\n" || s.new != "== equals\n" {
		t.Errorf("escaped lines came out as %+v", s)
	}
	got, err := edits[0].apply("zero\none\n\ttwo\nthree\n", "go1.2.3")
	if err != nil || got != "zero\nuno\nthree\n" {
		t.Errorf("applied: %q, %v", got, err)
	}
}

func TestApply_anchorNotExactlyOnce_namesFileAnchorAndGo(t *testing.T) {
	e := mustParse(t, "== runtime/proc.go\n-- old\nfunc main() {\n\tx\n-- new\n-- end\n")[0]
	for times, text := range map[string]string{
		"0 times": "func main() {\n\ty\n",
		"2 times": "func main() {\n\tx\nfunc main() {\n\tx\n",
	} {
		_, err := e.apply(text, "go1.99.1")
		if err == nil {
			t.Fatalf("an anchor that matches %s was accepted", times)
		}
		for _, want := range []string{"runtime/proc.go", `"func main() {"`, "go1.99.1", times, "x.edit:1"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q lacks %q", times, err, want)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("the error is more than one line: %q", err)
		}
	}
}

func TestParseEdits_malformed_isRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"-- old\na\n-- new\n-- end\n":                "x.edit:1: ",
		"== a.go\nstray\n":                           "x.edit:2: ",
		"== ../a.go\n":                               "x.edit:1: ",
		"== /etc/passwd\n":                           "x.edit:1: ",
		"== a.go\n-- old\na\n-- new\nb\n":            "has no \"-- end\"",
		"== a.go\n-- old\na\n":                       "has no \"-- end\"",
		"== a.go\n-- old\n-- new\nb\n-- end\n":       "anchor is empty",
		"== a.go\n-- old\na\n-- end\n":               "inside a block",
		"== a.go\n-- old\na\n== b.go\n":              "inside a block",
		"== a.go\n-- old\na\n-- new\nb\n-- new\nc\n": "inside a block",
	} {
		if _, err := parseEdits("x.edit", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v, want an error with %q", text, err, want)
		}
	}
}

func TestLoadEdits_nestedFolders_comeInNameOrder(t *testing.T) {
	edits, err := loadEdits(fstest.MapFS{
		"edits/b.edit":     {Data: []byte("== b.go\n")},
		"edits/a/z.edit":   {Data: []byte("== z.go\n")},
		"edits/notes.txt":  {Data: []byte("not an edit")},
		"edits/a.edit":     {Data: []byte("== a.go\n")},
		"edits/a/.gitkeep": {},
	})
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range edits {
		files = append(files, e.file)
	}
	if got := strings.Join(files, " "); got != "a.go z.go b.go" {
		t.Errorf("order %q", got)
	}
}

func FuzzParseEdits(f *testing.F) {
	f.Add(sampleEdits)
	f.Add("== a <- b\n-- old\n\\-- x\n-- new\n-- end")
	f.Fuzz(func(t *testing.T, text string) {
		edits, err := parseEdits("f.edit", text)
		if err != nil {
			return
		}
		for _, e := range edits {
			for _, s := range e.swaps {
				if s.old == "" {
					t.Fatalf("an empty anchor in %q", text)
				}
			}
			e.apply(text, "go") // must not panic
		}
	})
}
