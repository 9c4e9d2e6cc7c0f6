package xt

import "barewire/netfilter/xtables"

// matches are all there are. A match stands in a file of its name. read-only
var matches = []*xtables.Def{
	addrtypeDef, commentDef, connmarkDef, conntrackDef, dscpDef, hashlimitDef, icmpDef, iprangeDef, lengthDef, limitDef,
	macDef, markDef, multiportDef, stateDef, tcpDef, tosDef, ttlDef, udpDef,
}

// targets are all there are. read-only
var targets = []*xtables.Def{
	checksumTarget, classifyTarget, connmarkTarget, ctTarget, dnatTarget, dscpTarget, ecnTarget, flowTarget, logTarget,
	markTarget, masqueradeTarget, netmapTarget, nflogTarget, nfqueueTarget, notrackTarget, redirectTarget,
	rejectTarget, snatTarget, tcpmssTarget, tcpoptstripTarget, teeTarget, tosTarget, traceTarget, ttlTarget,
}
