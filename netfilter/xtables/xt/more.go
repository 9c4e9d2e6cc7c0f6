package xt

import "barewire/netfilter/xtables"

// moreMatches and moreTargets are the extensions that need something of their
// own in [xtables.Env], or are rarely seen. read-only
var (
	moreMatches = []*xtables.Def{
		ahDef, bpfDef, clusterDef, connbytesDef, connlabelDef, connlimitDef, cpuDef, dccpDef, devgroupDef, ecnDef, espDef,
		helperDef, ipcompDef, ownerDef, physdevDef, pkttypeDef, policyDef, quotaDef, realmDef, recentDef, rpfilterDef, sctpDef,
		setDef, socketDef, statisticDef, stringDef, tcpmssDef, timeDef, u32Def,
	}
	moreTargets = []*xtables.Def{auditTarget, setTargetDef, synproxyTarget, tproxyTarget}
)

// ServicePort returns the port of a service by its name, for protocols that
// have ports.
func ServicePort(name string, proto uint8) (uint16, bool) { return serviceNumber(name, proto) }
