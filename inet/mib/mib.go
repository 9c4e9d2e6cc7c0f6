// Package mib holds the counters of one stack, by the names Linux gives them in
// /proc/net/snmp and /proc/net/netstat (RFC 2011, RFC 2013, RFC 4293), and
// writes those files.
//
// Counters only grow. They are atomic: any context may count.
package mib

import (
	"strconv"
	"sync/atomic"
)

// Counter is one counter.
type Counter = atomic.Uint64

// IP counts what Linux has in the Ip and IpExt lines.
type IP struct {
	InReceives, InHdrErrors, InAddrErrors, ForwDatagrams Counter
	InUnknownProtos, InDiscards, InDelivers              Counter
	OutRequests, OutDiscards, OutNoRoutes                Counter
	ReasmTimeout, ReasmReqds, ReasmOKs, ReasmFails       Counter
	FragOKs, FragFails, FragCreates, OutTransmits        Counter

	// IpExt
	InNoRoutes, InTruncatedPkts                          Counter
	InMcastPkts, OutMcastPkts, InBcastPkts, OutBcastPkts Counter
	InOctets, OutOctets                                  Counter
	InMcastOctets, OutMcastOctets, InBcastOctets         Counter
	OutBcastOctets, InCsumErrors                         Counter
	InNoECTPkts, InECT1Pkts, InECT0Pkts, InCEPkts        Counter
	ReasmOverlaps                                        Counter
}

// ICMP counts what Linux has in the Icmp and IcmpMsg lines.
type ICMP struct {
	InMsgs, InErrors, InCsumErrors Counter
	OutMsgs, OutErrors             Counter
	OutRateLimitGlobal             Counter
	OutRateLimitHost               Counter

	InType, OutType [256]Counter
}

// UDP counts what Linux has in the Udp and UdpLite lines.
type UDP struct {
	InDatagrams, NoPorts, InErrors, OutDatagrams Counter
	RcvbufErrors, SndbufErrors, InCsumErrors     Counter
	IgnoredMulti, MemErrors                      Counter
}

// ARP counts what Linux has in /proc/net/stat/arp_cache.
type ARP struct {
	Allocs, Destroys, HashGrows    Counter
	Lookups, Hits, ResFailed       Counter
	RcvProbesMcast, RcvProbesUcast Counter
	PeriodicGCRuns, ForcedGCRuns   Counter
	UnresolvedDiscards, TableFulls Counter
}

// MIB is all counters of a stack.
type MIB struct {
	IP   IP
	ICMP ICMP
	UDP  UDP
	ARP  ARP
	TCP  TCP

	UDPLite UDP
	TCPExt  [numTCPExt]Counter // by the constants of this package
}

type item struct {
	name string
	v    uint64
}

func appendLines(b []byte, proto string, items []item) []byte {
	b = append(append(b, proto...), ':')
	for _, it := range items {
		b = append(append(b, ' '), it.name...)
	}
	b = append(append(append(b, '\n'), proto...), ':')
	for _, it := range items {
		if it.name == "MaxConn" { // the one that is signed
			b = strconv.AppendInt(append(b, ' '), int64(it.v), 10)
			continue
		}
		b = strconv.AppendInt(append(b, ' '), int64(it.v), 10) // MaxConn is -1
	}
	return append(b, '\n')
}

// icmpTypes are the types that have a column of their own in the Icmp line.
var icmpTypes = [...]struct { // read-only
	typ  uint8
	name string
}{
	{3, "DestUnreachs"}, {11, "TimeExcds"}, {12, "ParmProbs"}, {4, "SrcQuenchs"},
	{5, "Redirects"}, {8, "Echos"}, {0, "EchoReps"}, {13, "Timestamps"},
	{14, "TimestampReps"}, {17, "AddrMasks"}, {18, "AddrMaskReps"},
}

// AppendSNMP appends the text of /proc/net/snmp: Ip, Icmp, IcmpMsg, Tcp,
// Udp and UdpLite.
// forwarding and ttl are the two settings Linux shows among the counters.
func (m *MIB) AppendSNMP(b []byte, forwarding bool, ttl int) []byte {
	fw := uint64(2) // RFC 2011: notForwarding
	if forwarding {
		fw = 1
	}
	ip := &m.IP
	b = appendLines(b, "Ip", []item{
		{"Forwarding", fw}, {"DefaultTTL", uint64(ttl)},
		{"InReceives", ip.InReceives.Load()}, {"InHdrErrors", ip.InHdrErrors.Load()},
		{"InAddrErrors", ip.InAddrErrors.Load()}, {"ForwDatagrams", ip.ForwDatagrams.Load()},
		{"InUnknownProtos", ip.InUnknownProtos.Load()}, {"InDiscards", ip.InDiscards.Load()},
		{"InDelivers", ip.InDelivers.Load()}, {"OutRequests", ip.OutRequests.Load()},
		{"OutDiscards", ip.OutDiscards.Load()}, {"OutNoRoutes", ip.OutNoRoutes.Load()},
		{"ReasmTimeout", ip.ReasmTimeout.Load()}, {"ReasmReqds", ip.ReasmReqds.Load()},
		{"ReasmOKs", ip.ReasmOKs.Load()}, {"ReasmFails", ip.ReasmFails.Load()},
		{"FragOKs", ip.FragOKs.Load()}, {"FragFails", ip.FragFails.Load()},
		{"FragCreates", ip.FragCreates.Load()}, {"OutTransmits", ip.OutTransmits.Load()},
	})
	ic := &m.ICMP
	items := []item{{"InMsgs", ic.InMsgs.Load()}, {"InErrors", ic.InErrors.Load()}, {"InCsumErrors", ic.InCsumErrors.Load()}}
	for _, t := range icmpTypes {
		items = append(items, item{"In" + t.name, ic.InType[t.typ].Load()})
	}
	items = append(items, item{"OutMsgs", ic.OutMsgs.Load()}, item{"OutErrors", ic.OutErrors.Load()},
		item{"OutRateLimitGlobal", ic.OutRateLimitGlobal.Load()}, item{"OutRateLimitHost", ic.OutRateLimitHost.Load()})
	for _, t := range icmpTypes {
		items = append(items, item{"Out" + t.name, ic.OutType[t.typ].Load()})
	}
	b = appendLines(b, "Icmp", items)
	items = items[:0]
	for i := range ic.InType {
		if v := ic.InType[i].Load(); v != 0 {
			items = append(items, item{"InType" + strconv.Itoa(i), v})
		}
	}
	for i := range ic.OutType {
		if v := ic.OutType[i].Load(); v != 0 {
			items = append(items, item{"OutType" + strconv.Itoa(i), v})
		}
	}
	if len(items) > 0 {
		b = appendLines(b, "IcmpMsg", items)
	}
	b = appendLines(b, "Tcp", m.TCP.items())
	b = appendLines(b, "Udp", m.UDP.items())
	return appendLines(b, "UdpLite", m.UDPLite.items())
}

func (u *UDP) items() []item {
	return []item{
		{"InDatagrams", u.InDatagrams.Load()}, {"NoPorts", u.NoPorts.Load()},
		{"InErrors", u.InErrors.Load()}, {"OutDatagrams", u.OutDatagrams.Load()},
		{"RcvbufErrors", u.RcvbufErrors.Load()}, {"SndbufErrors", u.SndbufErrors.Load()},
		{"InCsumErrors", u.InCsumErrors.Load()}, {"IgnoredMulti", u.IgnoredMulti.Load()},
		{"MemErrors", u.MemErrors.Load()},
	}
}

// AppendNetstat appends the TcpExt and IpExt lines of /proc/net/netstat.
func (m *MIB) AppendNetstat(b []byte) []byte {
	ip := &m.IP
	b = appendLines(b, "TcpExt", m.tcpExtItems())
	return appendLines(b, "IpExt", []item{
		{"InNoRoutes", ip.InNoRoutes.Load()}, {"InTruncatedPkts", ip.InTruncatedPkts.Load()},
		{"InMcastPkts", ip.InMcastPkts.Load()}, {"OutMcastPkts", ip.OutMcastPkts.Load()},
		{"InBcastPkts", ip.InBcastPkts.Load()}, {"OutBcastPkts", ip.OutBcastPkts.Load()},
		{"InOctets", ip.InOctets.Load()}, {"OutOctets", ip.OutOctets.Load()},
		{"InMcastOctets", ip.InMcastOctets.Load()}, {"OutMcastOctets", ip.OutMcastOctets.Load()},
		{"InBcastOctets", ip.InBcastOctets.Load()}, {"OutBcastOctets", ip.OutBcastOctets.Load()},
		{"InCsumErrors", ip.InCsumErrors.Load()}, {"InNoECTPkts", ip.InNoECTPkts.Load()},
		{"InECT1Pkts", ip.InECT1Pkts.Load()}, {"InECT0Pkts", ip.InECT0Pkts.Load()},
		{"InCEPkts", ip.InCEPkts.Load()}, {"ReasmOverlaps", ip.ReasmOverlaps.Load()},
	})
}
