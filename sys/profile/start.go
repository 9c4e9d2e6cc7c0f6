//go:build tamago

package profile

import (
	"fmt"
	"net"
	"os"

	_ "barewire/sys/start" // the kernel is up before this package's init
)

// init does what the boot parameter asks for, before main.
func init() {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		fmt.Fprintln(os.Stderr, "barewire.pprof:", err)
		return
	}
	w, err := wanted(string(line))
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
	case w.console:
		fmt.Fprintf(os.Stderr, "barewire.pprof: profiling the first %d s\n", w.seconds)
		go console(os.Stderr, w.seconds)
	case w.address != "":
		l, err := net.Listen("tcp4", w.address)
		if err != nil {
			fmt.Fprintln(os.Stderr, "barewire.pprof:", err)
			return
		}
		fmt.Fprintf(os.Stderr, "barewire.pprof: profiles for anyone who reaches TCP %v\n", l.Addr())
		go func() { fmt.Fprintln(os.Stderr, "barewire.pprof:", Serve(l)) }()
	}
}
