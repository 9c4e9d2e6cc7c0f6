package nf

import (
	"barewire/inet/ip"
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/flow"
	"barewire/netfilter/iptables"
	"barewire/netfilter/nat"
	"barewire/netfilter/reject"
	"barewire/netfilter/synproxy"
	"barewire/netfilter/xtables"
)

// NF is the packet filter of a namespace.
type NF struct {
	IP        *ip.Net
	Conntrack *conntrack.Table
	NAT       *nat.NAT
	Reject    *reject.Engine
	Flow      *flow.Table
	SynProxy  *synproxy.Proxy
	Tables    *xtables.Tables
	Iptables  *iptables.Iptables // the commands over Tables

	tcp, udp ip.SockFinder // see SetSockets
	cookies  Cookies
	teeTo    teePointer

	track  tracking
	whole  netfilter.Users // of packets that are no fragments
	log    logPointer
	nflog  nflogPointer
	closed []func() // undone by Close, last first
}

// New makes the packet filter over an IP layer.
func New(n *ip.Net) (*NF, error) {
	f := &NF{IP: n}
	f.newIngress()
	f.newConntrack()
	if err := f.newNAT(); err != nil {
		return nil, err
	}
	f.newReject()
	f.newFlow()
	f.newSynProxy()
	f.newTables()
	f.newIptables()
	return f, nil
}

// onClose has fn called by Close.
func (f *NF) onClose(fn func()) { f.closed = append(f.closed, fn) }

// Close takes all hooks out and forgets all connections. No packets flow any
// more.
func (f *NF) Close() {
	for i := len(f.closed) - 1; i >= 0; i-- {
		f.closed[i]()
	}
	f.closed = nil
}
