//go:build nonetfilter

package inet

import (
	"fmt"

	"barewire/inet/ip"
)

// Filter stands for the packet filter, which the build tag nonetfilter left out: as in a Linux without its modules there are
// no tables, nothing is tracked, and its files and sockets are not there.
type Filter struct{}

func newFilter(*ip.Net) (*Filter, error) { return &Filter{}, nil }

// SetSockets is for rules that look for sockets, of which there are none.
func (*Filter) SetSockets(tcp, udp any) {}

// SetLog is for rules that log, of which there are none.
func (*Filter) SetLog(func(level int, line string)) {}

// Close does nothing.
func (*Filter) Close() {}

// Run says that there is no such command.
func (*Filter) Run(argv []string, stdin []byte) (status int, stdout, stderr []byte) {
	return 127, nil, fmt.Appendf(nil, "%q: the packet filter was left out of this program (build tag nonetfilter)\n", argv)
}
