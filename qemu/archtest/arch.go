// Package archtest keeps the house in order: it holds the table of rooms and
// what each may import, and finds the files that break it. It also finds
// mutable state at package level in the rooms of the kernel, where everything
// hangs off an instance.
//
// All files of the module count, whatever their build constraints; test files
// do not, since a test may look at its room from anywhere.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the module path that rooms are seen under.
const Module = "barewire"

// A Room is a top-level folder, or a folder in one that has a rule of its own.
type Room struct {
	Rooms  []string // rooms of the house it may import, besides itself
	Blank  []string // rooms it may import only for their effect (import _)
	Extern []string // module path prefixes from outside; "*" is any
	C      bool     // may use cgo
	Kernel bool     // runs below the system call: no os, no net, no package state
	Why    string   // the reason for an exception from the architecture's table
}

// Rooms is the table of the architecture. read-only.
var Rooms = map[string]Room{
	"toolchain": {},
	"board":     {Extern: []string{"github.com/usbarmory/tamago", "golang.org/x/arch/x86/x86asm"}},
	"board/hosted": {
		Rooms: []string{"skb", "napi"},
		Why:   "a hosted platform has no device registers between it and the stack: what it offers is the network device itself, so it speaks the device layer's language",
	},
	"skb":       {Kernel: true},
	"napi":      {Rooms: []string{"skb"}, Kernel: true},
	"virtio":    {Rooms: []string{"skb", "napi"}, Kernel: true},
	"netfilter": {Rooms: []string{"skb"}, Kernel: true},
	"inet":      {Rooms: []string{"skb", "napi", "netfilter"}, Kernel: true},
	"sys":       {Rooms: []string{"toolchain", "board", "virtio", "skb", "napi", "netfilter", "inet"}, Kernel: true},
	"sys/dhcp": {
		Extern: []string{"github.com/insomniacslk/dhcp"},
		Why:    "the DHCP client runs above the system call, as the first process of an initial file system does: it may use net and os, and nothing below imports it but sys/start, which runs it",
	},
	"sys/profile": {
		Rooms: []string{"sys"},
		Why:   "serves profiles above the system call, as a process beside the program would: it uses net, os and runtime/pprof, and only \"barewire build -profile\" links it in",
	},
	"sys/embed/stdnet": {
		Rooms: []string{"sys"},
		Why:   "the interfaces of package net over an instance: it runs above the system call, for Go programs that embed a stack",
	},
	"apps": {Blank: []string{"board", "sys"}, Extern: []string{"*"}},
	"qemu": {Rooms: []string{"*"}, Extern: []string{"*"}},
	"qemu/embed": {
		Rooms: []string{"*"}, C: true,
		Why: "a library for C programs, which never is on an image",
	},
}

// RoomOf returns the name of the room that the slash-separated folder belongs
// to, the most exact one in the table, or "" when it belongs to none.
func RoomOf(dir string) string {
	for d := dir; d != "." && d != ""; d = path.Dir(d) {
		if _, ok := Rooms[d]; ok {
			return d
		}
	}
	return ""
}

// Check looks at every Go file of the module in fsys and returns one line for
// each breach, with its place.
func Check(fsys fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			// As the go command: these folders hold no packages of the module.
			if name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" || name == "build") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") || base[0] == '.' || base[0] == '_' {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		found = append(found, checkFile(fset, path.Dir(name), file)...)
		return nil
	})
	return found, err
}

func checkFile(fset *token.FileSet, dir string, file *ast.File) []string {
	name := RoomOf(dir)
	if name == "" {
		return []string{fmt.Sprintf("%s: the folder is in no room of the table", fset.Position(file.Package))}
	}
	room := Rooms[name]
	if strings.HasSuffix(path.Base(dir), "test") {
		room.Kernel = false // helpers of tests, skb/skbtest: they run where tests do
	}
	var found []string
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		blank := spec.Name != nil && spec.Name.Name == "_"
		if why := room.refuses(name, p, blank); why != "" {
			found = append(found, fmt.Sprintf("%s: %s imports %s: %s", fset.Position(spec.Pos()), name, p, why))
		}
	}
	if room.Kernel {
		found = append(found, packageState(fset, file)...)
	}
	return found
}

// refuses returns why the room name may not import the package p, or "".
func (r Room) refuses(name, p string, blank bool) string {
	if p == Module || strings.HasPrefix(p, Module+"/") {
		target := RoomOf(strings.TrimPrefix(strings.TrimPrefix(p, Module), "/"))
		top, _, _ := strings.Cut(target, "/")
		own, _, _ := strings.Cut(name, "/")
		switch {
		case target == "":
			return "it is in no room"
		case top == own, slices.Contains(r.Rooms, "*"), slices.Contains(r.Rooms, target), slices.Contains(r.Rooms, top):
			return ""
		case slices.Contains(r.Blank, top):
			if blank {
				return ""
			}
			return "only a blank import is allowed"
		}
		return "the table does not allow it"
	}
	first, _, _ := strings.Cut(p, "/")
	if strings.Contains(first, ".") {
		for _, prefix := range r.Extern {
			if prefix == "*" || p == prefix || strings.HasPrefix(p, prefix+"/") {
				return ""
			}
		}
		return "the table does not allow this dependency"
	}
	if p == "C" && !r.C {
		return "cgo is not to be had on the image"
	}
	if r.Kernel && (first == "os" || first == "net" && p != "net/netip") {
		return "the kernel runs below it"
	}
	return ""
}

// packageState returns the package-level variables of a file that could change
// after the package is initialised. Left alone are blank variables, error
// values, embedded files, names linked to the runtime's own, and tables whose
// comment says that they are read-only.
func packageState(fset *token.FileSet, file *ast.File) []string {
	var found []string
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, s := range gen.Specs {
			v := s.(*ast.ValueSpec)
			comments := []*ast.CommentGroup{gen.Doc, v.Doc}
			for _, g := range file.Comments { // one at the end of the first line
				if fset.Position(g.Pos()).Line == fset.Position(v.Pos()).Line {
					comments = append(comments, g)
				}
			}
			if excused(comments) {
				continue
			}
			for i, n := range v.Names {
				isError := len(v.Values) == len(v.Names) && makesError(v.Values[i])
				if n.Name != "_" && !isError {
					found = append(found, fmt.Sprintf("%s: package-level variable %s: state belongs to an instance", fset.Position(n.Pos()), n.Name))
				}
			}
		}
	}
	return found
}

func excused(comments []*ast.CommentGroup) bool {
	for _, g := range comments {
		if g == nil {
			continue
		}
		for _, c := range g.List { // not g.Text(): that leaves directives out
			low := strings.ToLower(c.Text)
			if strings.Contains(low, "read-only") || strings.HasPrefix(low, "//go:embed ") || strings.HasPrefix(low, "//go:linkname ") {
				return true
			}
		}
	}
	return false
}

// makesError reports whether v is errors.New(…), fmt.Errorf(…) or syscall.E….
func makesError(v ast.Expr) bool {
	if sel, ok := v.(*ast.SelectorExpr); ok {
		pkg, ok := sel.X.(*ast.Ident)
		return ok && pkg.Name == "syscall" && sel.Sel.Name[0] == 'E'
	}
	call, ok := v.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && (pkg.Name == "errors" && sel.Sel.Name == "New" || pkg.Name == "fmt" && sel.Sel.Name == "Errorf")
}
