// Package ip is IPv4 of one stack (Linux: net/ipv4/ip_input.c, ip_output.c,
// route.c, devinet.c, ip_fragment.c).
//
// In, on softirq context, reads top to bottom in input.go:
//
//	Rcv → PREROUTING → rcvFinish → route → Rtable.Input
//	    → LocalDeliver → (reassembly) → LOCAL_IN → localDeliverFinish → Protocol
//
// Out, in the sender's context or in softirq, in output.go:
//
//	LocalOut → LOCAL_OUT → Rtable.Output → POSTROUTING → finishOutput
//	    → (fragmentation) → neighbour → napi.DevQueueXmit
//
// A routing decision is an [Rtable]. It says nothing of the particular
// destination, so that all packets of a next hop share one and routing
// allocates nothing; it is made when an address or a route is configured.
//
// Forwarding is off, as net.ipv4.ip_forward is by default: a packet for
// somebody else is counted in InAddrErrors and dropped. IP options of received
// packets are checked and otherwise ignored; source routes are refused.
package ip
