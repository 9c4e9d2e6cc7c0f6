package toolchain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"barewire/toolchain/pack"
)

const (
	startPackage = modulePath + "/sys/start"     // start_kernel: importing it links the whole kernel in
	boardPackage = modulePath + "/board/microvm" // the machine alone

	profilePackage = modulePath + "/sys/profile" // serves profiles; linked in when asked for
)

// A Builder makes images. Make one with [NewBuilder]; it is for one goroutine.
type Builder struct {
	Source  *Source
	Go      *Go
	Derived *Derived
	Link    *LinkConfig

	Dir     string    // folder in which the go command runs, "" for the current one
	Verbose io.Writer // where go's own messages go (downloads, compile errors)
	DWARF   bool      // keep debug information in the file
	Tags    string    // build tags of the program, comma-separated; there are no others
	LDFlags string    // further linker flags of the program
	Pack    bool      // pack what is loaded (package pack); not with DWARF
	Profile bool      // link in what "barewire profile" asks

	// PGO is the CPU profile to optimize for: a file's name, "off", or "" or "auto" for the program's own default.pgo, which
	// the go command would take too, and the kernel's for a program that has none. Tests are optimized for a named one only.
	PGO string

	modcache string
	work     string // scratch folder, for Close to remove
}

// NewBuilder finds the kernel's source and the pinned Go and derives the GOROOT. Close it when done.
func NewBuilder() (*Builder, error) {
	s, err := FindSource()
	if err != nil {
		return nil, err
	}
	g, err := FindGo(s.GoVersion)
	if err != nil {
		return nil, err
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	d, err := Derive(s, g, cache)
	if err != nil {
		return nil, err
	}
	b := &Builder{Source: s, Go: g, Derived: d, Verbose: os.Stderr}
	if b.Link, err = ReadLinkConfig(s); err == nil {
		if b.modcache, err = g.modCache(); err == nil {
			b.work, err = os.MkdirTemp("", "barewire-build-")
		}
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return b, nil
}

// In returns a builder like b that keeps its scratch files in dir, so that both may build at a time. It is not closed.
func (b *Builder) In(dir string) *Builder {
	c := *b
	c.work = dir
	return &c
}

// Close lets the derived GOROOT go.
func (b *Builder) Close() error {
	os.RemoveAll(b.work) // scratch: what cannot be removed now is the temporary folder's business
	return b.Derived.Close()
}

// Env returns the environment in which the go command makes images.
func (b *Builder) Env() []string {
	env := envWithout(os.Environ(), "GOROOT", "GOTOOLCHAIN", "GOOS", "GOARCH", "CGO_ENABLED", "GOEXPERIMENT", "GOAMD64", "PWD")
	return append(env, "GOROOT="+b.Derived.Root, "GOTOOLCHAIN=local", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0",
		"GOEXPERIMENT=", "GOAMD64=v1")
}

// command returns the go command with the derived GOROOT.
func (b *Builder) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.Go.Command(), args...)
	cmd.Env, cmd.Dir = b.Env(), b.Dir
	return cmd
}

// A listed package, as go list -json has it.
type listed struct {
	Dir, ImportPath, Name     string
	Standard                  bool
	Module                    *listedModule
	GoFiles, IgnoredGoFiles   []string
	TestGoFiles, XTestGoFiles []string
	Error                     *struct{ Err string }
}

type listedModule struct {
	Path, Version, Dir, GoMod string
	Main                      bool
	Replace                   *listedModule
}

// list runs go list with the derived GOROOT; packages that cannot be loaded carry their error.
func (b *Builder) list(args ...string) ([]*listed, error) {
	overlay, err := b.baseOverlay()
	if err != nil {
		return nil, err
	}
	overlayFlag, err := b.writeOverlay(overlay)
	if err != nil {
		return nil, err
	}
	cmd := b.command(append([]string{"list", "-e", overlayFlag, "-tags", b.Tags,
		"-json=Dir,ImportPath,Name,Standard,Module,GoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Error"}, args...)...)
	out, err := runQuiet(cmd)
	if err != nil {
		return nil, clearGoError(err, b.Source.GoVersion)
	}
	var all []*listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := new(listed)
		if err := dec.Decode(p); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading go list's answer: %w", err)
		}
		all = append(all, p)
	}
}

// clearGoError turns the go command's message about a newer go directive into one sentence.
func clearGoError(err error, pin string) error {
	msg := err.Error()
	if _, after, ok := strings.Cut(msg, "requires go >= "); ok {
		need, _, _ := strings.Cut(after, " ")
		return fmt.Errorf("the program needs Go %s, and images are made with Go %s", strings.TrimRight(need, ";)"), pin)
	}
	return errors.New(strings.TrimSpace(strings.TrimPrefix(msg, "go: ")))
}

// Build makes the image of main package pkg (as the go command names packages) in file out.
func (b *Builder) Build(pkg, out string) error {
	p, err := b.mainPackage(pkg)
	if err != nil {
		return err
	}
	return b.image(p, out, "build", injectedMain)
}

// BuildTest makes the image of the tests of package pkg in file out. ok is false if the package has none.
func (b *Builder) BuildTest(pkg, out string) (ok bool, err error) {
	p, err := b.testPackage(pkg)
	if err != nil || len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
		return false, err
	}
	return true, b.image(p, out, "test", injectedTest)
}

// image runs the go command on p with the kernel added and marks what comes out.
func (b *Builder) image(p *listed, out, verb string, inject injection) error {
	more, err := b.inject(p, inject)
	if err != nil {
		return err
	}
	// Linked beside its final place, so that a failed build leaves the old image and the rename stays in one file system.
	tmp, err := os.CreateTemp(filepath.Dir(out), ".barewire-*.elf")
	if err != nil {
		return fmt.Errorf("the image cannot be written: %w", err)
	}
	tmp.Close()
	defer os.Remove(tmp.Name())
	args := []string{verb, "-trimpath", "-buildvcs=false", "-tags", b.Tags,
		"-ldflags", strings.TrimSpace(b.Link.flags(b.DWARF) + " " + b.LDFlags), "-o", absolute(tmp.Name())}
	if verb == "test" {
		args = append(args, "-c", "-vet=off")
	}
	args = append(args, b.pgoFlags(p, verb)...)
	args = append(args, more...)
	if err := b.goRun(append(args, p.ImportPath)...); err != nil {
		return fmt.Errorf("%s did not build: %w%s", p.ImportPath, err, b.cgoHint(p.ImportPath))
	}
	if err := SetPVHNote(tmp.Name()); err != nil {
		return err
	}
	if b.Pack {
		if err := pack.File(tmp.Name()); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp.Name(), 0o755); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), out)
}

// goRun runs the go command with its messages going to Verbose.
func (b *Builder) goRun(args ...string) error {
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = b.Verbose, b.Verbose
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}

// mainPackage finds pkg and refuses, in one sentence, what cannot become an image.
func (b *Builder) mainPackage(pkg string) (*listed, error) {
	all, err := b.list("-deps", "--", b.roomPath(pkg))
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s matches no package", pkg)
	}
	p := all[len(all)-1] // -deps lists a package after what it imports
	if err := b.refuseCgo(pkg, all); err != nil {
		return nil, err
	}
	if err := loadError(pkg, all); err != nil {
		return nil, err
	}
	if p.Name != "main" {
		return nil, fmt.Errorf("%s is not a main package but package %s: only programs become images", p.ImportPath, p.Name)
	}
	for _, dep := range all[:len(all)-1] {
		if dep.Name == "main" {
			return nil, fmt.Errorf("%s matches more than one program: name one", pkg)
		}
	}
	return p, nil
}

// testPackage finds pkg, whose tests are to be built.
func (b *Builder) testPackage(pkg string) (*listed, error) {
	pkg = b.roomPath(pkg)
	all, err := b.list("--", pkg)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("%s matches %d packages: name one", pkg, len(all))
	}
	p := all[0]
	// A package may consist of tests only.
	if p.Error != nil && len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 {
		p.Error = nil
	}
	if err := b.refuseCgo(pkg, all); err != nil {
		return nil, err
	}
	return p, loadError(pkg, all)
}

// roomPath returns the import path of pkg if it names a folder in a room of the kernel, else pkg: rooms are found in the
// derived GOROOT only, so that there is one kernel in an image.
func (b *Builder) roomPath(pkg string) string {
	at := pkg
	switch {
	case filepath.IsAbs(at):
	case strings.HasPrefix(at, "."):
		at = filepath.Join(b.absDir(), at)
	default:
		return pkg
	}
	rel, err := filepath.Rel(b.Source.Root, at)
	if err != nil {
		return pkg
	}
	rel = filepath.ToSlash(rel)
	if room, _, _ := strings.Cut(rel, "/"); !slices.Contains(rooms, room) {
		return pkg
	}
	return modulePath + "/" + rel
}

// absDir returns the folder in which the go command runs.
func (b *Builder) absDir() string {
	dir, err := filepath.Abs(b.Dir)
	if err != nil {
		return b.Dir
	}
	return dir
}

// loadError returns the first error of the go command about a package, as one line.
func loadError(pkg string, all []*listed) error {
	for _, dep := range all {
		if dep.Error != nil {
			lines := strings.FieldsFunc(dep.Error.Err, func(r rune) bool { return r == '\n' || r == '\t' })
			return fmt.Errorf("%s: %s", pkg, strings.Join(lines, " "))
		}
	}
	return nil
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}
