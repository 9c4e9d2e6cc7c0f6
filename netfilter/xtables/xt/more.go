package xt

import "barewire/netfilter/xtables"

// moreMatches and moreTargets are the extensions that need something of their
// own in [xtables.Env], or are rarely seen. read-only
var (
	moreMatches = []*xtables.Def{
		ahDef, bpfDef, connbytesDef, connlabelDef, connlimitDef, dccpDef, devgroupDef, ecnDef, espDef, helperDef,
		pkttypeDef, quotaDef, recentDef, rpfilterDef, sctpDef, setDef, statisticDef, stringDef, tcpmssDef, timeDef, u32Def,
	}
	moreTargets = []*xtables.Def{setTargetDef}
)

// ServicePort returns the port of a service by its name, for protocols that
// have ports.
func ServicePort(name string, proto uint8) (uint16, bool) { return serviceNumber(name, proto) }
