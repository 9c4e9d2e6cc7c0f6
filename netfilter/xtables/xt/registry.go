package xt

import "barewire/netfilter/xtables"

// matches are all there are. A match stands in a file of its name. read-only
var matches = []*xtables.Def{
	tcpDef, udpDef,
}

// targets are all there are. read-only
var targets = []*xtables.Def{}
