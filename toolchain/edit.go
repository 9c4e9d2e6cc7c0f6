package toolchain

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// An edit changes one stock file: every anchor must match exactly once.
type edit struct {
	origin string // the .edit file and line, for errors
	file   string // path under GOROOT/src that is written
	from   string // path under GOROOT/src it starts from; equal to file unless the edit makes a copy
	swaps  []swap
}

// A swap replaces one anchor. Both texts are whole lines, so each ends in a newline unless it is empty.
type swap struct {
	line     int // of the block in its .edit file
	old, new string
}

// parseEdits reads one .edit file; its format is in port/README.
func parseEdits(name, text string) ([]edit, error) {
	var (
		edits []edit
		state = "between"
		cur   swap
	)
	bad := func(n int, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s", name, n+1, fmt.Sprintf(format, args...))
	}
	lines := strings.SplitAfter(text, "\n")
	for n, line := range lines {
		word := strings.TrimRight(line, " \t\r\n")
		switch state {
		case "between":
			switch {
			case word == "" || strings.HasPrefix(word, "#"):
			case strings.HasPrefix(word, "== "):
				file, from, copied := strings.Cut(strings.TrimSpace(word[3:]), " <- ")
				if file = strings.TrimSpace(file); !copied {
					from = file
				}
				if from = strings.TrimSpace(from); !fs.ValidPath(file) || !fs.ValidPath(from) {
					return nil, bad(n, "%q is not a path under GOROOT/src", word[3:])
				}
				edits = append(edits, edit{origin: fmt.Sprintf("%s:%d", name, n+1), file: file, from: from})
			case word == "-- old":
				if len(edits) == 0 {
					return nil, bad(n, "\"-- old\" before any \"== file\"")
				}
				state, cur = "old", swap{line: n + 1}
			default:
				return nil, bad(n, "want \"== file\", \"-- old\" or a comment, not %q", word)
			}
		case "old", "new":
			switch {
			case word == "-- new" && state == "old":
				state = "new"
			case word == "-- end" && state == "new":
				if cur.old == "" {
					return nil, bad(n, "the anchor is empty")
				}
				e := &edits[len(edits)-1]
				e.swaps = append(e.swaps, cur)
				state = "between"
			case strings.HasPrefix(word, "-- ") || strings.HasPrefix(word, "== "):
				return nil, bad(n, "%q inside a block (a text line that starts so needs a backslash before it)", word)
			default:
				if strings.HasPrefix(line, `\-- `) || strings.HasPrefix(line, `\== `) {
					line = line[1:]
				}
				if state == "old" {
					cur.old += line
				} else {
					cur.new += line
				}
			}
		}
	}
	if state != "between" {
		return nil, bad(len(lines)-1, "the block that starts at line %d has no \"-- end\"", cur.line)
	}
	return edits, nil
}

// loadEdits reads every .edit file of the port, in file-name order.
func loadEdits(port fs.FS) ([]edit, error) {
	var names []string
	err := fs.WalkDir(port, "edits", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(p) == ".edit" {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the port's edits: %w", err)
	}
	sort.Strings(names)
	var all []edit
	for _, name := range names {
		text, err := fs.ReadFile(port, name)
		if err != nil {
			return nil, err
		}
		edits, err := parseEdits("toolchain/port/"+name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, edits...)
	}
	return all, nil
}

// apply returns text with every swap done. goVersion is for the error only.
func (e *edit) apply(text, goVersion string) (string, error) {
	for _, s := range e.swaps {
		if n := strings.Count(text, s.old); n != 1 {
			first, _, _ := strings.Cut(s.old, "\n")
			return "", fmt.Errorf("the port does not fit %s: in src/%s the anchor that starts %q (%s, block at line %d) "+
				"matches %d times instead of once", goVersion, e.from, first, e.origin, s.line, n)
		}
		text = strings.Replace(text, s.old, s.new, 1)
	}
	return text, nil
}
