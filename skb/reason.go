package skb

// Reason says why a packet was dropped (Linux: enum skb_drop_reason). Every
// drop names one, and the cache counts them.
type Reason uint8

// Drop reasons. Names follow SKB_DROP_REASON_* of Linux.
const (
	NotSpecified Reason = iota
	NoSocket
	PktTooSmall
	TCPCsum
	SocketFilter
	UDPCsum
	NetfilterDrop
	OtherHost
	IPCsum
	IPInHdr // malformed IPv4 header
	IPRPFilter
	UnicastInL2Multicast
	IPNoProto
	SocketRcvbuff
	ProtoMem
	CPUBacklog
	TCFilterIngress
	PTypeAbsent // no handler for this ethertype
	UnhandledProto
	NoMem
	HdrTrunc
	DevHdr   // bad device (virtio-net) header
	DevReady // device is not up
	FullRing
	NeighCreateFail
	NeighFailed
	NeighQueueFull
	NeighDead
	ICMPCsum
	InvalidProto
	IPInAddrErrors
	IPInNoRoutes
	IPLocalSource
	IPInvalidSource
	IPOutNoRoutes
	PktTooBig
	QdiscDrop
	QueuePurge
	ARPInvalid
	ICMPIgnored
	FragReasmTimeout
	FragReasmLimit
	DupFrag
	DeviceBroken
	FragTooFar
	TCPFlags
	TCPRFC7323PAWS
	TCPInvalidSequence
	TCPReset
	TCPInvalidSYN
	TCPOldData
	TCPOFODrop
	TCPOFOMerge
	TCPClose
	TCPListenOverflow
	TCPMinTTL
	SocketBacklog
	TCPAbortOnData
	IPLocalnet
	IPInvalidDest
	TCPMD5NotFound
	TCPMD5Unexpected
	TCPMD5Failure
	NumReasons
)

var reasonNames = [NumReasons]string{ // read-only
	"NOT_SPECIFIED", "NO_SOCKET", "PKT_TOO_SMALL", "TCP_CSUM", "SOCKET_FILTER",
	"UDP_CSUM", "NETFILTER_DROP", "OTHERHOST", "IP_CSUM", "IP_INHDR",
	"IP_RPFILTER", "UNICAST_IN_L2_MULTICAST", "IP_NOPROTO", "SOCKET_RCVBUFF",
	"PROTO_MEM", "CPU_BACKLOG", "TC_INGRESS", "PTYPE_ABSENT", "UNHANDLED_PROTO",
	"NOMEM", "HDR_TRUNC", "DEV_HDR", "DEV_READY", "FULL_RING",
	"NEIGH_CREATEFAIL", "NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD",
	"ICMP_CSUM", "INVALID_PROTO", "IP_INADDRERRORS", "IP_INNOROUTES",
	"IP_LOCAL_SOURCE", "IP_INVALID_SOURCE", "IP_OUTNOROUTES", "PKT_TOO_BIG",
	"QDISC_DROP", "QUEUE_PURGE", "ARP_INVALID", "ICMP_IGNORED",
	"FRAG_REASM_TIMEOUT", "FRAG_REASM_LIMIT", "DUP_FRAG", "DEVICE_BROKEN",
	"FRAG_TOO_FAR", "TCP_FLAGS", "TCP_RFC7323_PAWS", "TCP_INVALID_SEQUENCE", "TCP_RESET", "TCP_INVALID_SYN", "TCP_OLD_DATA", "TCP_OFO_DROP", "TCP_OFOMERGE", "TCP_CLOSE", "TCP_LISTEN_OVERFLOW", "TCP_MINTTL", "SOCKET_BACKLOG", "TCP_ABORT_ON_DATA", "IP_LOCALNET", "IP_INVALID_DEST",
	"TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE",
}

// String returns Linux's name of the reason without its prefix.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "UNKNOWN"
}
