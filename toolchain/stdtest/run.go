package stdtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"barewire/toolchain"
	"barewire/toolchain/vm"
)

// A Result is one package's run.
type Result struct {
	Entry   *Entry
	Outcome *Outcome
	Broken  string        // why the package has no outcome or an incomplete one, "" if the guest ended by itself
	Took    time.Duration // wall time in QEMU
	First   []string      // surprises of an earlier try, nil if this is the first
}

// A Runner runs packages.
type Runner struct {
	Builder *toolchain.Builder
	Machine vm.Config // kernel, memory and command line are set per package
	Logs    string    // folder that keeps every console's output as PACKAGE.log, "" for none
}

// An Image is a package's tests, built and ready to boot, or what went wrong.
type Image struct {
	entry   *Entry
	dir     string
	machine vm.Config
	broken  string
}

// Build builds e's tests. It has no error: whatever goes wrong is the result of booting. Several may be built at a
// time. The caller ends with Remove.
func (r *Runner) Build(e *Entry) *Image {
	m := &Image{entry: e, machine: r.Machine}
	var err error
	if m.dir, err = os.MkdirTemp("", "barewire-std-"); err != nil {
		m.broken = err.Error()
		return m
	}
	var messages bytes.Buffer
	b := r.Builder.In(m.dir)
	b.Verbose, b.Tags = &messages, e.Tags
	c := &m.machine
	c.Kernel = filepath.Join(m.dir, "test.elf")
	ok, err := b.BuildTest(e.Package, c.Kernel)
	switch {
	case err != nil:
		m.broken = oneLine(err.Error() + ": " + messages.String())
		return m
	case !ok:
		m.broken = "it has no tests"
		return m
	}
	files, err := testFiles(filepath.Join(r.Builder.Go.Root, "src", filepath.FromSlash(e.Package)))
	if err == nil && len(files) > 0 {
		c.Initrd = filepath.Join(m.dir, "initramfs")
		err = os.WriteFile(c.Initrd, vm.Initramfs(files), 0o666)
	}
	if err != nil {
		m.broken = err.Error()
	}
	c.MemoryMiB = e.MemoryMiB
	c.Append = strings.TrimSpace(c.Append + " -- " + strings.Join(e.args(), " "))
	return m
}

// Remove deletes the image's files.
func (m *Image) Remove() { os.RemoveAll(m.dir) }

// Boot runs the tests of an image and returns what happened.
func (r *Runner) Boot(m *Image) *Result {
	e := m.entry
	res := &Result{Entry: e, Outcome: &Outcome{}, Broken: m.broken}
	if m.broken != "" {
		return res
	}
	cmd, err := m.machine.Command()
	if err != nil {
		res.Broken = err.Error()
		return res
	}
	var console, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &errs
	var log *os.File
	if r.Logs != "" {
		// Written as it comes, so that a run that hangs can be watched.
		if log, err = os.Create(filepath.Join(r.Logs, strings.ReplaceAll(e.Package, "/", "_")+".log")); err == nil {
			cmd.Stdout = io.MultiWriter(&console, log)
			defer log.Close()
		}
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		res.Broken = err.Error()
		return res
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	late := false
	select {
	case <-done: // the status is read below
	case <-time.After(e.Limit):
		late = true
		cmd.Process.Kill()
		<-done
	}
	res.Took = time.Since(began)
	if res.Outcome, err = ParseOutput(&console); err != nil {
		res.Broken = err.Error()
		return res
	}
	res.Broken = res.why(cmd, late, errs.String())
	return res
}

// testFiles are what a package's tests find in their folder, which is / on the
// image: the package's own files, and testdata of it and of the folder above, for
// ../testdata is /testdata there.
func testFiles(pkg string) (files []vm.File, err error) {
	own, err := os.ReadDir(pkg)
	if err != nil {
		return nil, err
	}
	add := func(name, file string) error {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err == nil {
			files = append(files, vm.File{Name: name, Data: data, Time: info.ModTime()})
		}
		return err
	}
	for _, f := range own {
		if f.Type().IsRegular() {
			if err := add(f.Name(), filepath.Join(pkg, f.Name())); err != nil {
				return nil, err
			}
		}
	}
	for _, dir := range []string{filepath.Dir(pkg), pkg} {
		err := filepath.WalkDir(filepath.Join(dir, "testdata"), func(path string, f fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !f.Type().IsRegular() {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if err == nil {
				err = add(filepath.ToSlash(name), path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// why tells what broke the run, "" for nothing.
func (r *Result) why(cmd *exec.Cmd, late bool, errs string) string {
	code := cmd.ProcessState.ExitCode()
	status, ok := vm.GuestStatus(code)
	what := ""
	switch {
	case late:
		what = fmt.Sprintf("not done in %v", r.Entry.Limit)
	case code == 0:
		what = "the machine was reset without an exit status"
	case r.Outcome.Panic != "":
		what = r.Outcome.Panic
	case r.Outcome.Verdict == "" && ok:
		what = fmt.Sprintf("the guest ended with status %d before its tests did", status)
	case !ok:
		what = fmt.Sprintf("QEMU ended with %v: %s", cmd.ProcessState, oneLine(errs))
	case (status == 0) != (r.Outcome.Verdict == "PASS"):
		what = fmt.Sprintf("it printed %s but its status is %d", r.Outcome.Verdict, status)
	default:
		return ""
	}
	if r.Outcome.Running != "" {
		what += " (in " + r.Outcome.Running + ")"
	}
	return what
}

// args are the test flags of e.
func (e *Entry) args() []string {
	args := []string{"-test.v", "-test.short", "-test.paniconexit0", "-test.timeout=" + e.Limit.String()}
	if len(e.Skip) > 0 {
		var names []string
		for name := range e.Skip {
			names = append(names, regexp.QuoteMeta(name))
		}
		sort.Strings(names)
		args = append(args, "-test.skip=^("+strings.Join(names, "|")+")$")
	}
	return append(args, e.Flags...)
}

// Surprises lists what is not as the list has it; empty when everything is.
func (r *Result) Surprises() []string {
	var s []string
	if r.Broken != "" {
		s = append(s, r.Broken)
	}
	for _, name := range r.Outcome.Fail {
		if r.Entry.Fail[name] == "" {
			s = append(s, name+" fails")
		}
	}
	for _, name := range sortedKeys(r.Entry.Fail) {
		if slices.Contains(r.Outcome.Pass, name) {
			s = append(s, name+" passes now: take it off the list")
		} else if r.Broken == "" && !slices.Contains(r.Outcome.Fail, name) {
			s = append(s, name+" is listed and was not run")
		}
	}
	return s
}

// WriteTable writes the results as Markdown.
func WriteTable(w io.Writer, results []*Result, goVersion string) error {
	var pass, fail, skip, left int
	for _, r := range results {
		pass, fail, skip, left = pass+len(r.Outcome.Pass), fail+len(r.Outcome.Fail), skip+len(r.Outcome.Skip), left+len(r.Entry.Skip)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The standard library on the image\n\n"+
		"Written by `make std`: every package's own tests (%s, `-short`), built by the image builder and run in QEMU. "+
		"Counts are top-level tests, examples and fuzz seeds. *Skipped* are those that skip themselves, *left out* those that "+
		"would end or hang the run. The list with the reasons is toolchain/std.txt.\n\n", goVersion)
	fmt.Fprintf(&b, "%d packages: %d pass, %d fail, %d skipped, %d left out.\n\n", len(results), pass, fail, skip, left)
	b.WriteString("| package | pass | fail | skipped | left out | why |\n|---|--:|--:|--:|--:|---|\n")
	for _, r := range results {
		var why []string
		if r.Broken != "" {
			why = append(why, "**"+r.Broken+"**")
		}
		if len(r.First) > 0 {
			why = append(why, "second try; the first: "+strings.Join(r.First, "; "))
		}
		if r.Entry.Note != "" {
			why = append(why, r.Entry.Note)
		}
		for _, name := range r.Outcome.Fail {
			reason := r.Entry.Fail[name]
			if reason == "" {
				reason = "**not on the list**"
			}
			why = append(why, "fails: "+name+": "+reason)
		}
		for _, name := range sortedKeys(r.Entry.Skip) {
			why = append(why, "left out: "+name+": "+r.Entry.Skip[name])
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %s |\n", r.Entry.Package, len(r.Outcome.Pass), len(r.Outcome.Fail),
			len(r.Outcome.Skip), len(r.Entry.Skip), strings.ReplaceAll(strings.Join(why, "<br>"), "|", `\|`))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// oneLine shortens a message to fit in a table.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}
