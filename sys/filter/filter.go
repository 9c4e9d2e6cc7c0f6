//go:build !nonetfilter

package filter

import (
	"barewire/inet"
	"barewire/sys/netlink"
	"barewire/sys/nfnetlink"
)

// Open makes the sockets of the packet filter of in. What it returns ends them.
func Open(nl *netlink.Table, in *inet.Net) (end func(), err error) {
	t, err := nfnetlink.New(nl, in.NF())
	if err != nil {
		return nil, err
	}
	return t.Close, nil
}
