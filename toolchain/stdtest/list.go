package stdtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An Entry is one package of the list.
type Entry struct {
	Package   string
	CI        bool              // part of the short run
	MemoryMiB int               // RAM of the guest
	Limit     time.Duration     // wall time after which the guest is ended
	Tags      string            // further build tags, comma-separated
	Flags     []string          // further test flags, as the test binary takes them
	Fail      map[string]string // top-level test to the reason why it fails
	Skip      map[string]string // top-level test to the reason why it is not run
	Note      string            // shown in the table
}

// Defaults of an entry.
const (
	defaultMemoryMiB = 512
	defaultLimit     = 10 * time.Minute
)

// ParseList reads a list. A line at the left margin starts a package:
//
//	PACKAGE [ci] [mem=MiB] [limit=DURATION] [tags=TAG,TAG] [-test.FLAG ...]
//
// and the indented lines below it belong to it:
//
//	fail TEST reason     it runs and fails; the day it passes, the run says so
//	skip TEST reason     it is left out, because it would end or hang the whole run
//	note text            shown in the table
//
// '#' at the start of a line makes a comment.
func ParseList(name, text string) ([]*Entry, error) {
	var list []*Entry
	seen := map[string]bool{}
	for n, line := range strings.Split(text, "\n") {
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %s", name, n+1, fmt.Sprintf(format, args...))
		}
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			e := &Entry{Package: f[0], MemoryMiB: defaultMemoryMiB, Limit: defaultLimit, Fail: map[string]string{}, Skip: map[string]string{}}
			if seen[e.Package] {
				return nil, bad("%s is listed twice", e.Package)
			}
			seen[e.Package] = true
			for _, w := range f[1:] {
				key, value, _ := strings.Cut(w, "=")
				var err error
				switch {
				case w == "ci":
					e.CI = true
				case key == "mem":
					e.MemoryMiB, err = strconv.Atoi(value)
				case key == "limit":
					e.Limit, err = time.ParseDuration(value)
				case key == "tags" && value != "":
					e.Tags = value
				case strings.HasPrefix(w, "-test."):
					e.Flags = append(e.Flags, w)
				default:
					err = fmt.Errorf("not an option")
				}
				if err != nil {
					return nil, bad("%q: %v", w, err)
				}
			}
			list = append(list, e)
			continue
		}
		if len(list) == 0 {
			return nil, bad("an indented line before any package")
		}
		e := list[len(list)-1]
		switch {
		case f[0] == "note" && len(f) > 1:
			e.Note = strings.TrimSpace(e.Note + " " + strings.Join(f[1:], " "))
		case (f[0] == "fail" || f[0] == "skip") && len(f) > 2:
			if e.Fail[f[1]] != "" || e.Skip[f[1]] != "" {
				return nil, bad("%s of %s is listed twice", f[1], e.Package)
			}
			reasons := e.Fail
			if f[0] == "skip" {
				reasons = e.Skip
			}
			reasons[f[1]] = strings.Join(f[2:], " ")
		default:
			return nil, bad("want \"fail TEST reason\", \"skip TEST reason\" or \"note text\"")
		}
	}
	return list, nil
}
