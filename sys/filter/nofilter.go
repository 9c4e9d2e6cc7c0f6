//go:build nonetfilter

package filter

import (
	"barewire/inet"
	"barewire/sys/netlink"
)

// Open does nothing: there is no packet filter.
func Open(*netlink.Table, *inet.Net) (end func(), err error) { return func() {}, nil }
