package toolchain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// layoutVersion is part of every key; it changes when this file lays out the same inputs differently.
const layoutVersion = "3"

const tamagoModule = "github.com/usbarmory/tamago"

// A vendored module is one whose packages the kernel imports: they go to src/vendor.
type vendored struct {
	module   string
	packages []string // folders of it that are linked to; "" is all of it
}

// vendoredModules are tamago and x/arch for the board, and what the DHCP client (sys/dhcp) needs. read-only
var vendoredModules = []vendored{
	{tamagoModule, []string{""}},
	{"golang.org/x/arch", []string{"x86/x86asm"}},
	{"github.com/insomniacslk/dhcp", []string{"dhcpv4", "iana", "interfaces", "rfc1035label"}},
	{"github.com/u-root/uio", []string{"rand", "uio"}},
	{"github.com/pierrec/lz4/v4", []string{""}},
	{"golang.org/x/sys", []string{"unix"}}, // beside the packages that std vendors itself
}

// A layout is everything that goes into a derived GOROOT.
type layout struct {
	stock *Go
	port  fs.FS             // toolchain/port
	links map[string]string // path under src to a folder elsewhere that it links to
	dirs  map[string]string // path under src to a folder elsewhere whose regular files are copied there, recursively
	goos  string            // folder of tamago's goos package
	label []string          // names and versions, part of the key: the stock Go's two, then that of each vendored module

	vendor []vendored
}

// newLayout gathers the layout for one checkout.
func newLayout(s *Source, g *Go) (*layout, error) {
	l := &layout{
		stock: g,
		port:  os.DirFS(filepath.Join(s.Root, "toolchain", "port")),
		links: map[string]string{},
		dirs:  map[string]string{},
		label: []string{g.Root, g.Version},
	}
	for _, v := range vendoredModules {
		dir, err := g.moduleDir(s, v.module)
		if err != nil {
			return nil, err
		}
		if v.module == tamagoModule {
			l.goos = filepath.Join(dir, "goos")
		}
		for _, p := range v.packages {
			l.links[path.Join("vendor", v.module, p)] = filepath.Join(dir, filepath.FromSlash(p))
		}
		l.vendor = append(l.vendor, v)
		l.label = append(l.label, s.Requires[v.module])
	}
	for _, room := range rooms {
		dir := filepath.Join(s.Root, room)
		if _, err := os.Stat(dir); err == nil {
			l.dirs[modulePath+"/"+room] = dir
		}
	}
	return l, nil
}

// A plan is the exact content of the derived src where it differs from the stock one. Paths are slash-separated, under src.
type plan struct {
	files   map[string][]byte
	removed map[string]bool
	links   map[string]string
	touched map[string]bool // every folder above an entry of the three
	key     string
}

func (p *plan) touch(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		p.touched[dir] = true
	}
}

// plan reads every input and applies the port.
func (l *layout) plan() (*plan, error) {
	p := &plan{files: map[string][]byte{}, removed: map[string]bool{}, links: l.links, touched: map[string]bool{}}
	src := filepath.Join(l.stock.Root, "src")
	for name := range l.links {
		p.touch(name)
	}

	// Removals.
	text, err := fs.ReadFile(l.port, "remove.txt")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !fs.ValidPath(line) {
			return nil, fmt.Errorf("toolchain/port/remove.txt:%d: %q is not a path under GOROOT/src", n+1, line)
		}
		if info, err := os.Stat(filepath.Join(src, filepath.FromSlash(line))); err != nil || !info.Mode().IsRegular() {
			return nil, fmt.Errorf("the port does not fit %s: src/%s (toolchain/port/remove.txt:%d) is not a file there", l.stock.Version, line, n+1)
		}
		p.removed[line] = true
		p.touch(line)
	}

	// Edits. A file may be edited by several .edit files, so the text comes from the plan first.
	edits, err := loadEdits(l.port)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range edits {
		text, ok := p.files[e.from]
		if !ok {
			if text, err = os.ReadFile(filepath.Join(src, filepath.FromSlash(e.from))); err != nil {
				return nil, fmt.Errorf("the port does not fit %s: src/%s, which %s edits, is not there", l.stock.Version, e.from, e.origin)
			}
		}
		edited, err := e.apply(string(text), l.stock.Version)
		if err != nil {
			return nil, err
		}
		if p.removed[e.file] {
			return nil, fmt.Errorf("src/%s is both edited (%s) and removed (toolchain/port/remove.txt)", e.file, e.origin)
		}
		p.files[e.file] = []byte(edited)
		p.touch(e.file)
	}

	// New files: tamago's goos package first, so that the port may replace one of its files.
	if err := p.addDir(os.DirFS(l.goos), ".", "runtime/goos", goosTags, func(name string) bool {
		ext := path.Ext(name)
		return ext == ".go" || strings.HasSuffix(name, "_amd64.s")
	}); err != nil {
		return nil, fmt.Errorf("tamago's goos package: %w", err)
	}
	err = fs.WalkDir(l.port, "_src", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		under := strings.TrimPrefix(name, "_src/")
		_, lerr := os.Lstat(filepath.Join(src, filepath.FromSlash(under)))
		if lerr == nil && !p.removed[under] {
			return fmt.Errorf("the port does not fit %s: toolchain/port/%s would hide src/%s; list that in remove.txt or edit it",
				l.stock.Version, name, under)
		}
		data, err := fs.ReadFile(l.port, name)
		delete(p.removed, under)
		p.files[under] = data
		p.touch(under)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	// The kernel's rooms.
	for under, dir := range l.dirs {
		if err := p.addDir(os.DirFS(dir), ".", under, kernelTags, func(string) bool { return true }); err != nil {
			return nil, fmt.Errorf("the kernel's source: %w", err)
		}
	}
	if err := l.vendorList(p, src); err != nil {
		return nil, err
	}
	p.key = p.sum(l.label)
	return p, nil
}

// addDir adds the regular files under dir of fsys that keep accepts, at path under, with the known build tags answered. Names
// that start with a dot are editors' business, not source.
func (p *plan) addDir(fsys fs.FS, dir, under string, known map[string]bool, keep func(name string) bool) error {
	return fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && name != "." {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !keep(d.Name()) {
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's short-lived file
		}
		if err != nil {
			return err
		}
		at := path.Join(under, name)
		data, built, err := resolveTags(at, data, known)
		if err != nil || !built {
			return err
		}
		p.files[at] = data
		p.touch(at)
		return nil
	})
}

// vendorList makes the std module's own files agree with what lies under src/vendor, for the go command run inside src.
func (l *layout) vendorList(p *plan, src string) error {
	list, err := os.ReadFile(filepath.Join(src, "vendor", "modules.txt"))
	if err != nil {
		return fmt.Errorf("the stock Go at %s has no src/vendor/modules.txt: %w", l.stock.Root, err)
	}
	mod, err := os.ReadFile(filepath.Join(src, "go.mod"))
	if err != nil {
		return err
	}
	var more, req strings.Builder
	for i, v := range l.vendor {
		version := l.label[2+i]
		pkgs, err := l.vendorPackages(v)
		if err != nil {
			return err
		}
		// A module that std vendors too keeps its heading and gets more packages.
		if head := "# " + v.module + " "; strings.Contains("\n"+string(list), "\n"+head) {
			at := strings.Index("\n"+string(list), "\n"+head)
			end := at + strings.Index(string(list)[at:], "\n") + 1
			end += strings.Index(string(list)[end:], "\n") + 1 // the line "## explicit"
			list = []byte(string(list)[:end] + strings.Join(pkgs, "\n") + "\n" + string(list)[end:])
			continue
		}
		fmt.Fprintf(&more, "# %s %s\n## explicit; go 1.26\n%s\n", v.module, version, strings.Join(pkgs, "\n"))
		fmt.Fprintf(&req, "\t%s %s\n", v.module, version)
	}
	p.files["vendor/modules.txt"] = append(list, more.String()...)
	p.files["go.mod"] = append(mod, "\nrequire (\n"+req.String()+")\n"...)
	p.touch("vendor/modules.txt")
	return nil
}

// vendorPackages lists the packages of a module under src/vendor.
func (l *layout) vendorPackages(v vendored) (pkgs []string, err error) {
	for _, p := range v.packages {
		root := l.links[path.Join("vendor", v.module, p)]
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				if m, _ := filepath.Glob(filepath.Join(name, "*.go")); len(m) > 0 {
					rel, _ := filepath.Rel(root, name)
					pkgs = append(pkgs, path.Join(v.module, p, filepath.ToSlash(rel)))
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return pkgs, nil
}

// sum is the key: a hash over the label and every entry of the plan.
func (p *plan) sum(label []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "layout %s\n%q\n", layoutVersion, label)
	var names []string
	for name := range p.files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(h, "file %q %x\n", name, sha256.Sum256(p.files[name]))
	}
	names = names[:0]
	for name := range p.removed {
		names = append(names, "removed "+name)
	}
	for name, to := range p.links {
		names = append(names, "link "+name+" "+to)
	}
	sort.Strings(names)
	fmt.Fprintf(h, "%q\n", names)
	return fmt.Sprintf("%x", h.Sum(nil)[:10])
}

// write lays the GOROOT out at root, which must not exist.
func (p *plan) write(stock, root string) error {
	if err := os.MkdirAll(filepath.Join(root, "src"), 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(stock)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "src" {
			if err := os.Symlink(filepath.Join(stock, e.Name()), filepath.Join(root, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := p.writeDir(filepath.Join(stock, "src"), filepath.Join(root, "src"), "."); err != nil {
		return err
	}
	for name, data := range p.files {
		at := filepath.Join(root, "src", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(at, data, 0o666); err != nil {
			return err
		}
	}
	for name, to := range p.links {
		at := filepath.Join(root, "src", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			return err
		}
		if err := os.Symlink(to, at); err != nil {
			return err
		}
	}
	return nil
}

// writeDir lays out one folder that the plan touches: copies its stock files, links the folders the plan leaves alone,
// descends into the others.
func (p *plan) writeDir(stock, to, under string) error {
	entries, err := os.ReadDir(stock)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, from, at := path.Join(under, e.Name()), filepath.Join(stock, e.Name()), filepath.Join(to, e.Name())
		_, replaced := p.files[name]
		switch {
		case replaced || p.removed[name]:
		case e.IsDir() && p.touched[name]:
			if err := os.Mkdir(at, 0o777); err != nil {
				return err
			}
			if err := p.writeDir(from, at, name); err != nil {
				return err
			}
		case e.IsDir():
			if err := os.Symlink(from, at); err != nil {
				return err
			}
		default:
			// Copied, not linked: go:embed refuses a link.
			data, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			if err := os.WriteFile(at, data, 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Derived is a derived GOROOT in the cache. It stays in use, and so is not pruned, until Close.
type Derived struct {
	Root string // the GOROOT
	Key  string
	use  *os.File // holds the shared lock
}

// Close ends the use.
func (d *Derived) Close() error { return d.use.Close() }

// CacheDir returns the folder under which derived GOROOTs are kept: barewire in the user's cache folder.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w (set HOME or XDG_CACHE_HOME)", err)
	}
	return filepath.Join(dir, "barewire"), nil
}

// Derive returns the derived GOROOT of checkout s over stock Go g in the folder cache, making it if it is not there yet.
func Derive(s *Source, g *Go, cache string) (*Derived, error) {
	l, err := newLayout(s, g)
	if err != nil {
		return nil, err
	}
	return l.derive(cache)
}

func (l *layout) derive(cache string) (*Derived, error) {
	p, err := l.plan()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(cache, "goroot-"+p.key)
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return nil, fmt.Errorf("the cache folder cannot be made: %w", err)
	}
	// A few tries, because a pruner in another process may take an old tree away between the look and the lock.
	for try := 0; ; try++ {
		d, err := openDerived(root, p.key)
		if err == nil {
			prune(cache, root, time.Now())
			return d, nil
		}
		if try == 3 {
			return nil, err
		}
		tmp, err := os.MkdirTemp(cache, "tmp-")
		if err != nil {
			return nil, fmt.Errorf("the cache folder is not writable: %w", err)
		}
		if err := p.write(l.stock.Root, filepath.Join(tmp, "root")); err == nil {
			if err = os.WriteFile(filepath.Join(tmp, "root", useFile), nil, 0o666); err == nil {
				// If another build was first, its tree has the same content and the rename fails: use that one.
				os.Rename(filepath.Join(tmp, "root"), root)
			}
		} else {
			os.RemoveAll(tmp)
			return nil, fmt.Errorf("writing the derived GOROOT: %w", err)
		}
		os.RemoveAll(tmp)
	}
}
