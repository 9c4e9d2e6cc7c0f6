package profile

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"barewire/sys/cmdline"
)

// want is what the boot parameter asks for: nothing, an address to listen on,
// or profiles on the console.
type want struct {
	address string
	console bool
	seconds int
}

// wanted reads the parameter barewire.pprof of a kernel command line.
func wanted(line string) (want, error) {
	v, ok := cmdline.Parse(line).Last("barewire.pprof")
	if !ok || v == "off" {
		return want{}, nil
	}
	if rest, ok := strings.CutPrefix(v, "console"); ok {
		w := want{console: true, seconds: defaultSecs}
		if rest == "" {
			return w, nil
		}
		n, err := strconv.Atoi(strings.TrimPrefix(rest, ":"))
		if err == nil && n > 0 && n <= maxSeconds {
			w.seconds = n
			return w, nil
		}
	} else if port, err := strconv.ParseUint(v, 10, 16); err == nil && port != 0 {
		return want{address: ":" + v}, nil
	} else if a, err := netip.ParseAddrPort(v); err == nil && a.Addr().Is4() && a.Port() != 0 {
		return want{address: v}, nil
	}
	return want{}, fmt.Errorf("barewire.pprof=%s: want PORT, ADDRESS:PORT or console[:SECONDS]", v)
}
