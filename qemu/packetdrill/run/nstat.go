package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"

	"barewire/qemu/packetdrill/pdl"
)

// nstat is nstat [-nsaz] [NAME]...: the counters that moved since the last time,
// one a line. n only remembers them, s does not, a shows their values and z those
// that did not move, too.
func (s *shell) nstat(hc interp.HandlerContext, args []string) error {
	var silent, keep, absolute, zeros bool
	var names []string
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			names = append(names, a)
			continue
		}
		for _, c := range a[1:] {
			switch c {
			case 'n':
				silent = true
			case 's':
				keep = true
			case 'a':
				absolute = true
			case 'z':
				zeros = true
			default:
				return &pdl.Unsupported{What: "nstat " + a}
			}
		}
	}
	now := map[string]uint64{}
	if !silent {
		fmt.Fprintln(hc.Stdout, "#kernel")
	}
	for _, path := range []string{"/proc/net/netstat", "/proc/net/snmp"} {
		f, err := s.open(context.Background(), path, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		for ; len(lines) >= 2; lines = lines[2:] {
			heads, values := strings.Fields(lines[0]), strings.Fields(lines[1])
			for i := 1; i < len(heads) && i < len(values); i++ {
				name := strings.TrimSuffix(heads[0], ":") + heads[i]
				v, err := strconv.ParseUint(values[i], 10, 64)
				if err != nil {
					continue // -1, of what has no bound
				}
				now[name] = v
				if !absolute {
					v -= s.b.counted[name]
				}
				if !silent && (v != 0 || zeros) && (names == nil || strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ")) {
					fmt.Fprintf(hc.Stdout, "%-32s%-16d   0.0\n", name, v)
				}
			}
		}
	}
	if !keep {
		s.b.counted = now
	}
	return nil
}
