package run

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	// Options come before a script's own, which win. Those named define are
	// words of the script and what they stand for.
	Options []pdl.Option
}

// usual are the words that scripts are run with: what stands for either version
// of IP, and the Fast Open cookies that belong to the addresses and to the keys
// a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4 and zero.
func usual(options []pdl.Option) map[string]string {
	words := map[string]string{"CMSG_LEVEL_IP": "SOL_IP", "CMSG_TYPE_RECVERR": "IP_RECVERR",
		"TFO_COOKIE": "de4f234f0f433a55", "TFO_COOKIE_ZERO": "d95a2bac7ce83432"}
	for _, o := range options {
		if o.Name == "local_ip" && o.Value == "192.168.0.1" {
			words["TFO_COOKIE"], words["TFO_COOKIE_ZERO"] = "3021b9d889017eeb", "b7c12350a90dc8f5"
		}
	}
	return words
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
	defines := usual(j.Options)
	for _, o := range j.Options {
		if name, value, ok := strings.Cut(o.Value, "="); ok && o.Name == "define" {
			defines[name] = value
		}
	}
	s, err := pdl.Parse(string(text), defines)
	if err != nil {
		return err
	}
	c, err := NewConfig(slices.Concat(j.Options, s.Options))
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
