package mib

// Indexes of [MIB.TCPExt], in the order of the TcpExt line of
// /proc/net/netstat (Linux: snmp4_net_list).
const (
	SyncookiesSent = iota
	SyncookiesRecv
	SyncookiesFailed
	EmbryonicRsts
	PruneCalled
	RcvPruned
	OfoPruned
	OutOfWindowIcmps
	LockDroppedIcmps
	ArpFilter
	TW
	TWRecycled
	TWKilled
	PAWSActive
	PAWSEstab
	BeyondWindow
	TSEcrRejected
	PAWSOldAck
	PAWSTimewait
	DelayedACKs
	DelayedACKLocked
	DelayedACKLost
	ListenOverflows
	ListenDrops
	TCPHPHits
	TCPPureAcks
	TCPHPAcks
	TCPRenoRecovery
	TCPSackRecovery
	TCPSACKReneging
	TCPSACKReorder
	TCPRenoReorder
	TCPTSReorder
	TCPFullUndo
	TCPPartialUndo
	TCPDSACKUndo
	TCPLossUndo
	TCPLostRetransmit
	TCPRenoFailures
	TCPSackFailures
	TCPLossFailures
	TCPFastRetrans
	TCPSlowStartRetrans
	TCPTimeouts
	TCPLossProbes
	TCPLossProbeRecovery
	TCPRenoRecoveryFail
	TCPSackRecoveryFail
	TCPRcvCollapsed
	TCPBacklogCoalesce
	TCPDSACKOldSent
	TCPDSACKOfoSent
	TCPDSACKRecv
	TCPDSACKOfoRecv
	TCPAbortOnData
	TCPAbortOnClose
	TCPAbortOnMemory
	TCPAbortOnTimeout
	TCPAbortOnLinger
	TCPAbortFailed
	TCPMemoryPressures
	TCPMemoryPressuresChrono
	TCPSACKDiscard
	TCPDSACKIgnoredOld
	TCPDSACKIgnoredNoUndo
	TCPSpuriousRTOs
	TCPMD5NotFound
	TCPMD5Unexpected
	TCPMD5Failure
	TCPSackShifted
	TCPSackMerged
	TCPSackShiftFallback
	TCPBacklogDrop
	PFMemallocDrop
	TCPMinTTLDrop
	TCPDeferAcceptDrop
	IPReversePathFilter
	TCPTimeWaitOverflow
	TCPReqQFullDoCookies
	TCPReqQFullDrop
	TCPRetransFail
	TCPRcvCoalesce
	TCPOFOQueue
	TCPOFODrop
	TCPOFOMerge
	TCPChallengeACK
	TCPSYNChallenge
	TCPFastOpenActive
	TCPFastOpenActiveFail
	TCPFastOpenPassive
	TCPFastOpenPassiveFail
	TCPFastOpenListenOverflow
	TCPFastOpenCookieReqd
	TCPFastOpenBlackhole
	TCPSpuriousRtxHostQueues
	BusyPollRxPackets
	TCPAutoCorking
	TCPFromZeroWindowAdv
	TCPToZeroWindowAdv
	TCPWantZeroWindowAdv
	TCPSynRetrans
	TCPOrigDataSent
	TCPHystartTrainDetect
	TCPHystartTrainCwnd
	TCPHystartDelayDetect
	TCPHystartDelayCwnd
	TCPACKSkippedSynRecv
	TCPACKSkippedPAWS
	TCPACKSkippedSeq
	TCPACKSkippedFinWait2
	TCPACKSkippedTimeWait
	TCPACKSkippedChallenge
	TCPWinProbe
	TCPKeepAlive
	TCPMTUPFail
	TCPMTUPSuccess
	TCPDelivered
	TCPDeliveredCE
	TCPAckCompressed
	TCPZeroWindowDrop
	TCPRcvQDrop
	TCPWqueueTooBig
	TCPFastOpenPassiveAltKey
	TcpTimeoutRehash
	TcpDuplicateDataRehash
	TCPDSACKRecvSegs
	TCPDSACKIgnoredDubious
	TCPMigrateReqSuccess
	TCPMigrateReqFailure
	TCPPLBRehash
	TCPAORequired
	TCPAOBad
	TCPAOKeyNotFound
	TCPAOGood
	TCPAODroppedIcmps

	numTCPExt
)

// tcpExtNames are the columns of the TcpExt line.
var tcpExtNames = [numTCPExt]string{ // read-only
	"SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed", "EmbryonicRsts", "PruneCalled",
	"RcvPruned", "OfoPruned", "OutOfWindowIcmps", "LockDroppedIcmps", "ArpFilter", "TW",
	"TWRecycled", "TWKilled", "PAWSActive", "PAWSEstab", "BeyondWindow", "TSEcrRejected",
	"PAWSOldAck", "PAWSTimewait", "DelayedACKs", "DelayedACKLocked", "DelayedACKLost",
	"ListenOverflows", "ListenDrops", "TCPHPHits", "TCPPureAcks", "TCPHPAcks", "TCPRenoRecovery",
	"TCPSackRecovery", "TCPSACKReneging", "TCPSACKReorder", "TCPRenoReorder", "TCPTSReorder",
	"TCPFullUndo", "TCPPartialUndo", "TCPDSACKUndo", "TCPLossUndo", "TCPLostRetransmit",
	"TCPRenoFailures", "TCPSackFailures", "TCPLossFailures", "TCPFastRetrans",
	"TCPSlowStartRetrans", "TCPTimeouts", "TCPLossProbes", "TCPLossProbeRecovery",
	"TCPRenoRecoveryFail", "TCPSackRecoveryFail", "TCPRcvCollapsed", "TCPBacklogCoalesce",
	"TCPDSACKOldSent", "TCPDSACKOfoSent", "TCPDSACKRecv", "TCPDSACKOfoRecv", "TCPAbortOnData",
	"TCPAbortOnClose", "TCPAbortOnMemory", "TCPAbortOnTimeout", "TCPAbortOnLinger",
	"TCPAbortFailed", "TCPMemoryPressures", "TCPMemoryPressuresChrono", "TCPSACKDiscard",
	"TCPDSACKIgnoredOld", "TCPDSACKIgnoredNoUndo", "TCPSpuriousRTOs", "TCPMD5NotFound",
	"TCPMD5Unexpected", "TCPMD5Failure", "TCPSackShifted", "TCPSackMerged",
	"TCPSackShiftFallback", "TCPBacklogDrop", "PFMemallocDrop", "TCPMinTTLDrop",
	"TCPDeferAcceptDrop", "IPReversePathFilter", "TCPTimeWaitOverflow", "TCPReqQFullDoCookies",
	"TCPReqQFullDrop", "TCPRetransFail", "TCPRcvCoalesce", "TCPOFOQueue", "TCPOFODrop",
	"TCPOFOMerge", "TCPChallengeACK", "TCPSYNChallenge", "TCPFastOpenActive",
	"TCPFastOpenActiveFail", "TCPFastOpenPassive", "TCPFastOpenPassiveFail",
	"TCPFastOpenListenOverflow", "TCPFastOpenCookieReqd", "TCPFastOpenBlackhole",
	"TCPSpuriousRtxHostQueues", "BusyPollRxPackets", "TCPAutoCorking", "TCPFromZeroWindowAdv",
	"TCPToZeroWindowAdv", "TCPWantZeroWindowAdv", "TCPSynRetrans", "TCPOrigDataSent",
	"TCPHystartTrainDetect", "TCPHystartTrainCwnd", "TCPHystartDelayDetect",
	"TCPHystartDelayCwnd", "TCPACKSkippedSynRecv", "TCPACKSkippedPAWS", "TCPACKSkippedSeq",
	"TCPACKSkippedFinWait2", "TCPACKSkippedTimeWait", "TCPACKSkippedChallenge", "TCPWinProbe",
	"TCPKeepAlive", "TCPMTUPFail", "TCPMTUPSuccess", "TCPDelivered", "TCPDeliveredCE",
	"TCPAckCompressed", "TCPZeroWindowDrop", "TCPRcvQDrop", "TCPWqueueTooBig",
	"TCPFastOpenPassiveAltKey", "TcpTimeoutRehash", "TcpDuplicateDataRehash", "TCPDSACKRecvSegs",
	"TCPDSACKIgnoredDubious", "TCPMigrateReqSuccess", "TCPMigrateReqFailure", "TCPPLBRehash",
	"TCPAORequired", "TCPAOBad", "TCPAOKeyNotFound", "TCPAOGood", "TCPAODroppedIcmps",
}

// TCP counts what Linux has in the Tcp line of /proc/net/snmp (RFC 4022).
// CurrEstab is a gauge: it goes down too.
type TCP struct {
	ActiveOpens, PassiveOpens, AttemptFails, EstabResets, CurrEstab Counter
	InSegs, OutSegs, RetransSegs, InErrs, OutRsts, InCsumErrors     Counter
}

func (t *TCP) items() []item {
	return []item{
		// Van Jacobson's timeouts, 200 ms to 120 s; connections without limit.
		{"RtoAlgorithm", 1}, {"RtoMin", 200}, {"RtoMax", 120000}, {"MaxConn", ^uint64(0)},
		{"ActiveOpens", t.ActiveOpens.Load()}, {"PassiveOpens", t.PassiveOpens.Load()},
		{"AttemptFails", t.AttemptFails.Load()}, {"EstabResets", t.EstabResets.Load()},
		{"CurrEstab", t.CurrEstab.Load()}, {"InSegs", t.InSegs.Load()},
		{"OutSegs", t.OutSegs.Load()}, {"RetransSegs", t.RetransSegs.Load()},
		{"InErrs", t.InErrs.Load()}, {"OutRsts", t.OutRsts.Load()}, {"InCsumErrors", t.InCsumErrors.Load()},
	}
}

func (m *MIB) tcpExtItems() []item {
	l := make([]item, 0, numTCPExt)
	for i := range m.TCPExt {
		l = append(l, item{tcpExtNames[i], m.TCPExt[i].Load()})
	}
	return l
}
