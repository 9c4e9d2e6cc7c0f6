package run

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"barewire/qemu/packetdrill/pdl"
)

// Maker makes a kernel for one script.
type Maker func(Config) (Kernel, error)

// Kernels are the kernels there are, by name. read-only.
var Kernels = map[string]Maker{"barewire": NewBarewire, "linux": NewLinux}

// Judge runs scripts against a kernel.
type Judge struct {
	Make Maker
	// Tolerance is the least by which times may differ, whatever a script says:
	// for a kernel in real time on a busy machine.
	Tolerance time.Duration
	// Tries is how often a script is run before it has failed; 0 is once.
	Tries int
}

// File runs the script in a file. What the runner does not know of the language
// is a *pdl.Unsupported; any other error says what the kernel did that the
// script does not want.
func (j Judge) File(name string) error {
	var err error
	for range max(j.Tries, 1) {
		var u *pdl.Unsupported
		if err = j.once(name); err == nil || errors.As(err, &u) {
			break
		}
	}
	return err
}

func (j Judge) once(name string) error {
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
	c.Tolerance = max(c.Tolerance, j.Tolerance)
	k, err := j.Make(c)
	if err != nil {
		return err
	}
	defer k.Close()
	return Script(k, c, s, filepath.Dir(name))
}
