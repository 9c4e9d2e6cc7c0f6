package toolchain

import (
	"os"
	"path/filepath"
)

// Images are optimized for the paths that packets take: the compiler inlines and lays out code by a CPU profile
// (-pgo of the go command). KernelProfile is one of the kernel's own benchmarks, and in the checkout; "make pgo" makes it
// anew. It knows functions by name and lines from their beginning, so it ages slowly.
const KernelProfile = "toolchain/default.pgo"

// pgoFlags returns the go command's flags about profiles for an image of p. Tests are not measured, and built much faster
// without; they get a profile only by name.
func (b *Builder) pgoFlags(p *listed, verb string) []string {
	switch {
	case b.PGO != "" && b.PGO != "auto":
		if b.PGO != "off" {
			return []string{"-pgo=" + absolute(b.PGO)}
		}
	case verb == "build":
		for _, name := range []string{filepath.Join(p.Dir, "default.pgo"), filepath.Join(b.Source.Root, KernelProfile)} {
			if _, err := os.Stat(name); err == nil {
				return []string{"-pgo=" + name}
			}
		}
	}
	return []string{"-pgo=off"}
}
