package nfnetlink

import "barewire/sys/netlink"

// Commands of ctnetlink (Linux: enum cntl_msg_types).
const (
	ctNew = iota
	ctGet
	ctDelete
	ctGetZero
	ctGetStatsCPU
	ctGetStats
	ctGetDying
	ctGetUnconfirmed
)

// Attributes of a connection (Linux: enum ctattr_type).
const (
	ctaTupleOrig = 1 + iota
	ctaTupleReply
	ctaStatus
	ctaProtoinfo
	ctaHelp
	ctaNATSrc
	ctaTimeout
	ctaMark
	ctaCountersOrig
	ctaCountersReply
	ctaUse
	ctaID
	ctaNATDst
	ctaTupleMaster
	ctaSeqAdjOrig
	ctaSeqAdjReply
	ctaSecMark
	ctaZone
	ctaSecCtx
	ctaTimestamp
	ctaMarkMask
	ctaLabels
	ctaLabelsMask
	ctaSynproxy
	ctaFilter
	ctaStatusMask
	ctaTimestampEvent
	ctaMax
)

// Attributes within these.
const (
	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src = 1
	ctaIPv4Dst = 2

	ctaProtoNum  = 1
	ctaProtoSrc  = 2
	ctaProtoDst  = 3
	ctaICMPID    = 4
	ctaICMPType  = 5
	ctaICMPCode  = 6
	ctaProtoMax  = 9
	ctaPinfoTCP  = 1
	ctaPinfoSCTP = 3
	ctaSCTPState = 1
	ctaSCTPTag   = 2 // and 3 for the reply
	ctaTCPState  = 1
	ctaTCPScale  = 2 // and 3 for the reply
	ctaTCPFlags  = 4 // and 5
	ctaPackets   = 1
	ctaBytes     = 2
	ctaHelpName  = 1
	ctaStart     = 1
	ctaStop      = 2
	ctaSeqPos    = 1
	ctaSeqBefore = 2
	ctaSeqAfter  = 3

	ctaStatsGlobalEntries = 1
	ctaStatsGlobalMax     = 2

	ctaFilterOrig  = 1
	ctaFilterReply = 2
)

// Bits of a filter: which attributes of a tuple count (Linux:
// CTA_FILTER_FLAG).
const (
	filterSrc = 1 << iota
	filterDst
	filterZone
	filterProto
	filterSrcPort
	filterDstPort
	filterICMPType
	filterICMPCode
	filterICMPID
)

var ctPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaTupleOrig: {Kind: netlink.Nested}, ctaTupleReply: {Kind: netlink.Nested},
	ctaStatus: {Kind: netlink.U32}, ctaProtoinfo: {Kind: netlink.Nested}, ctaHelp: {Kind: netlink.Nested},
	ctaNATSrc: {Kind: netlink.Nested}, ctaTimeout: {Kind: netlink.U32}, ctaMark: {Kind: netlink.U32},
	ctaID: {Kind: netlink.U32}, ctaNATDst: {Kind: netlink.Nested}, ctaTupleMaster: {Kind: netlink.Nested},
	ctaZone: {Kind: netlink.U16}, ctaMarkMask: {Kind: netlink.U32}, ctaLabels: {Kind: netlink.Binary, Len: 16},
	ctaLabelsMask: {Kind: netlink.Binary, Len: 16}, ctaFilter: {Kind: netlink.Nested}, ctaStatusMask: {Kind: netlink.U32},
}}

var tuplePolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaTupleIP: {Kind: netlink.Nested}, ctaTupleProto: {Kind: netlink.Nested}, ctaTupleZone: {Kind: netlink.U16},
}}

var ipPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaIPv4Src: {Kind: netlink.U32}, ctaIPv4Dst: {Kind: netlink.U32}, 3: {Kind: netlink.Unspec, Len: 16}, 4: {Kind: netlink.Unspec, Len: 16},
}}

var protoPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaProtoNum: {Kind: netlink.U8}, ctaProtoSrc: {Kind: netlink.U16}, ctaProtoDst: {Kind: netlink.U16},
	ctaICMPID: {Kind: netlink.U16}, ctaICMPType: {Kind: netlink.U8}, ctaICMPCode: {Kind: netlink.U8}, ctaProtoMax: {},
}}

var pinfoPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaPinfoTCP: {Kind: netlink.Nested}, 2: {Kind: netlink.Nested}, 3: {Kind: netlink.Nested},
}}

var tcpPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaTCPState: {Kind: netlink.U8}, ctaTCPScale: {Kind: netlink.U8}, ctaTCPScale + 1: {Kind: netlink.U8},
	ctaTCPFlags: {Kind: netlink.Unspec, Len: 2}, ctaTCPFlags + 1: {Kind: netlink.Unspec, Len: 2},
}}

var namePolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaHelpName: {Kind: netlink.NulString, Len: 15}, 2: {Kind: netlink.Nested},
}}

var filterPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaFilterOrig: {Kind: netlink.U32}, ctaFilterReply: {Kind: netlink.U32},
}}
