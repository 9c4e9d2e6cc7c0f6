//go:build !nonetfilter

package inet

import (
	"barewire/inet/ip"
	"barewire/inet/nf"
)

// Filter is the packet filter of an Internet family: rules, connections, translated addresses.
type Filter = nf.NF

func newFilter(n *ip.Net) (*Filter, error) { return nf.New(n) }
