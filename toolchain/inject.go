package toolchain

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// An injection is the file that -overlay adds to a package.
type injection struct {
	name   string // sorts last, so that its (empty) initialisation changes no order of the package's own files
	suffix string // of the package clause
}

var (
	injectedMain = injection{name: "zz_barewire_start.go"}
	// Tests get it in their external package, which may import what imports the package under test.
	injectedTest = injection{name: "zz_barewire_start_test.go", suffix: "_test"}
)

// inject returns the go build flags that add the import of the kernel to package p.
//
// A package in a local module takes one more file through -overlay. The go command refuses an overlay of the module
// cache; there, the package's whole module is overlaid file by file at a place under the main module that does
// not exist on disk, and a copy of the program's go.mod (-modfile) replaces the module by that place. Versions stay as the
// program's go.mod chose them, and neither the cache nor the program's folder is written to.
func (b *Builder) inject(p *listed, inject injection) ([]string, error) {
	overlay, err := b.baseOverlay()
	if err != nil {
		return nil, err
	}
	kernel, err := b.kernelPackage()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.work, inject.name)
	text := "package " + p.Name + inject.suffix + "\n\nimport _ \"" + kernel + "\"\n"
	if b.Profile {
		text += "import _ \"" + profilePackage + "\"\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		return nil, err
	}
	var flags []string
	dir := p.Dir
	if p.Module != nil && !p.Module.Main && beneath(b.modcache, p.Dir) {
		if dir, flags, err = b.relocate(p, overlay); err != nil {
			return nil, err
		}
	}
	overlay[filepath.Join(dir, inject.name)] = file
	flag, err := b.writeOverlay(overlay)
	return append(flags, flag), err
}

// baseOverlay is the overlay of every go command. For a program of this very module, or of one that
// requires it, the kernel's rooms exist twice, in the module and in the derived GOROOT, and the go command would call an import of one ambiguous: a go.mod that is not on disk makes
// each room's folder another module, out of the way.
func (b *Builder) baseOverlay() (map[string]string, error) {
	overlay := map[string]string{}
	out, err := runQuiet(b.command("list", "-m", "-f", "{{.Path}} {{.Dir}}", modulePath))
	if err != nil {
		return overlay, nil // not of the program's modules, or there are none, which the next command will complain about better
	}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path != modulePath {
			continue
		}
		file := filepath.Join(b.work, "room.mod")
		if err := os.WriteFile(file, []byte("module "+modulePath+"/room\n"), 0o666); err != nil {
			return nil, err
		}
		for _, room := range rooms {
			overlay[filepath.Join(dir, room, "go.mod")] = file
		}
	}
	return overlay, nil
}

// writeOverlay writes the overlay to a file and returns the flag that names it.
func (b *Builder) writeOverlay(overlay map[string]string) (string, error) {
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	name := filepath.Join(b.work, "overlay.json")
	return "-overlay=" + name, os.WriteFile(name, data, 0o666)
}

// kernelPackage is the package whose import links the kernel in: the start package, which brings every room, or the board
// alone in a checkout that has no more.
func (b *Builder) kernelPackage() (string, error) {
	for _, p := range []string{startPackage, boardPackage} {
		files, err := filepath.Glob(filepath.Join(b.Derived.Root, "src", filepath.FromSlash(p), "*.go"))
		if err == nil && len(files) > 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s holds no kernel: neither %s nor %s is there", b.Source.Root, startPackage, boardPackage)
}

// relocate overlays the module of p, which is in the module cache, at a place under the main module. It returns the
// package's folder there and the flags that make the go command use it.
func (b *Builder) relocate(p *listed, overlay map[string]string) (string, []string, error) {
	out, err := runQuiet(b.command("env", "GOMOD", "GOWORK"))
	if err != nil {
		return "", nil, err
	}
	gomod, gowork, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if gowork != "" && gowork != "off" {
		return "", nil, fmt.Errorf("%s comes from the module cache, which cannot be combined with the workspace %s: set GOWORK=off",
			p.ImportPath, gowork)
	}
	if gomod == "" || gomod == os.DevNull {
		return "", nil, fmt.Errorf("%s is in no module graph here: run inside a module that requires %s", p.ImportPath, p.Module.Path)
	}
	root := filepath.Dir(gomod)
	at := ".barewire/" + p.Module.Path + "@" + p.Module.Version // relative: the path is recorded in the image
	source := p.Module
	if source.Replace != nil {
		source = source.Replace
	}
	err = filepath.WalkDir(source.Dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, rerr := filepath.Rel(source.Dir, name)
			overlay[filepath.Join(root, filepath.FromSlash(at), rel)] = name
			err = rerr
		}
		return err
	})
	if err != nil {
		return "", nil, err
	}
	// A module from before go.mod has one only in the download cache.
	overlay[filepath.Join(root, filepath.FromSlash(at), "go.mod")] = source.GoMod

	mod, err := os.ReadFile(gomod)
	if err != nil {
		return "", nil, err
	}
	modfile := filepath.Join(b.work, "go.mod")
	if err := os.WriteFile(modfile, mod, 0o666); err != nil {
		return "", nil, err
	}
	if sum, err := os.ReadFile(strings.TrimSuffix(gomod, ".mod") + ".sum"); err == nil {
		if err := os.WriteFile(filepath.Join(b.work, "go.sum"), sum, 0o666); err != nil {
			return "", nil, err
		}
	}
	if _, err := runQuiet(b.command("mod", "edit", "-replace", p.Module.Path+"@"+p.Module.Version+"=./"+at, modfile)); err != nil {
		return "", nil, err
	}
	rel, err := filepath.Rel(source.Dir, p.Dir)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(root, filepath.FromSlash(at), rel), []string{"-modfile", modfile, "-mod=mod"}, nil
}

// beneath tells whether name lies under dir.
func beneath(dir, name string) bool {
	return dir != "" && strings.HasPrefix(name, strings.TrimRight(dir, string(filepath.Separator))+string(filepath.Separator))
}
