package toolchain

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LinkConfig says how images are linked; it is the port's link.conf.
type LinkConfig struct {
	Text  uint64 // -T: physical and virtual address of the first instruction, bytes
	Round uint64 // -R: rounding of segments, bytes
	Entry string // -E: symbol at which a PVH loader enters
}

// ReadLinkConfig reads link.conf of checkout s.
func ReadLinkConfig(s *Source) (*LinkConfig, error) {
	return readLinkConfig(os.DirFS(filepath.Join(s.Root, "toolchain", "port")))
}

func readLinkConfig(port fs.FS) (*LinkConfig, error) {
	text, err := fs.ReadFile(port, "link.conf")
	if err != nil {
		return nil, err
	}
	c := &LinkConfig{}
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) == 2 {
			switch f[0] {
			case "entry":
				c.Entry = f[1]
			case "text":
				c.Text, err = strconv.ParseUint(f[1], 0, 32)
			case "round":
				c.Round, err = strconv.ParseUint(f[1], 0, 32)
			default:
				err = fmt.Errorf("no such key")
			}
		} else {
			err = fmt.Errorf("want a key and a value")
		}
		if err != nil {
			return nil, fmt.Errorf("toolchain/port/link.conf:%d: %q: %w", n+1, line, err)
		}
	}
	if c.Entry == "" || c.Text == 0 || c.Round == 0 {
		return nil, fmt.Errorf("toolchain/port/link.conf: text, round and entry must all be set")
	}
	return c, nil
}

// flags returns the linker flags. Debug information and the symbol table are not loaded, so leaving them out makes only
// the file smaller (the symbol table by a twelfth): tracebacks and profiles name functions by what the runtime has.
func (c *LinkConfig) flags(dwarf bool) string {
	flags := fmt.Sprintf("-T %#x -R %#x -E %s", c.Text, c.Round, c.Entry)
	if !dwarf {
		flags += " -s"
	}
	return flags
}
