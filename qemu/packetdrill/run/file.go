package run

import (
	"os"
	"path/filepath"

	"barewire/qemu/packetdrill/pdl"
)

// Maker makes a kernel for one script.
type Maker func(Config) (Kernel, error)

// Kernels are the kernels there are, by name. read-only.
var Kernels = map[string]Maker{"barewire": NewBarewire, "linux": NewLinux}

// File runs the script in a file. What the runner does not know of the language
// is a *pdl.Unsupported; any other error says what the kernel did that the
// script does not want.
func File(make Maker, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	s, err := pdl.Parse(string(text))
	if err != nil {
		return err
	}
	c, err := NewConfig(s.Options)
	if err != nil {
		return err
	}
	k, err := make(c)
	if err != nil {
		return err
	}
	defer k.Close()
	return Script(k, c, s, filepath.Dir(name))
}
