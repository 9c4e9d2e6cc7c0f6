package stdtest

import (
	"bufio"
	"io"
	"strings"
)

// An Outcome is what a verbose test run printed.
type Outcome struct {
	Pass, Fail, Skip []string // top-level tests, examples and fuzz seeds, in the order they ended
	Running          string   // the test that had started and not ended when the output ended
	Verdict          string   // the closing line: "PASS", "FAIL" or "" if the output broke off
	Panic            string   // the first line of a panic or fatal error
}

// ParseOutput reads the output of a test binary run with -test.v.
func ParseOutput(r io.Reader) (*Outcome, error) {
	o := &Outcome{}
	running := map[string]bool{}
	var order []string
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := strings.TrimRight(sc.Text(), "\r")
		if name, ok := strings.CutPrefix(line, "=== RUN   "); ok {
			if !strings.Contains(name, "/") {
				running[name] = true
				order = append(order, name)
			}
			continue
		}
		// A test's own print without a newline may stand before its result, so "--- PASS" is looked for anywhere but
		// behind white space only: that is a subtest.
		for word, list := range map[string]*[]string{"--- PASS: ": &o.Pass, "--- FAIL: ": &o.Fail, "--- SKIP: ": &o.Skip} {
			before, after, ok := strings.Cut(line, word)
			if !ok || (before != "" && strings.TrimSpace(before) == "") {
				continue
			}
			name, rest, timed := strings.Cut(after, " (")
			if !timed || !strings.HasSuffix(rest, "s)") || strings.Contains(name, "/") {
				continue
			}
			*list = append(*list, name)
			delete(running, name)
		}
		switch {
		case line == "PASS" || line == "FAIL":
			o.Verdict = line
		case o.Panic == "" && (strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")):
			o.Panic = line
		}
	}
	for _, name := range order {
		if running[name] {
			o.Running = name
		}
	}
	return o, sc.Err()
}
