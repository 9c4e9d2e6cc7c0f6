package toolchain

import (
	"fmt"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// refuseCgo fails if a package in the graph cannot do without cgo: with CGO_ENABLED=0 the go command leaves out files that
// import "C", and such a package has nothing left, or is the program itself. A package with a pure-Go variant passes.
func (b *Builder) refuseCgo(pkg string, all []*listed) error {
	for _, p := range all {
		if p.Standard || (len(p.GoFiles) > 0 && p.Name != "main") {
			continue
		}
		if file := b.cgoFile(p); file != "" {
			return fmt.Errorf("%s cannot become an image: %s needs cgo (%s imports \"C\"), and there is no C library below an image",
				pkg, p.ImportPath, file)
		}
	}
	return nil
}

// cgoHint looks for packages that lost files to CGO_ENABLED=0, to explain a failed build.
func (b *Builder) cgoHint(pkg string) string {
	all, err := b.list("-deps", "--", pkg)
	if err != nil {
		return ""
	}
	for _, p := range all {
		if file := b.cgoFile(p); !p.Standard && file != "" {
			return fmt.Sprintf(" (%s has a file that needs cgo, %s, which images do without)", p.ImportPath, file)
		}
	}
	return ""
}

// cgoFile returns the first file of p that imports "C" and is left out of the build for that alone, or "".
func (b *Builder) cgoFile(p *listed) string {
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled, ctx.BuildTags = "linux", "amd64", true, strings.Split(b.Tags, ",")
	for _, name := range p.IgnoredGoFiles {
		if ok, err := ctx.MatchFile(p.Dir, name); err != nil || !ok {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			continue
		}
		for _, imp := range f.Imports {
			if imp.Path.Value == `"C"` {
				return name
			}
		}
	}
	return ""
}
