// Package tcp is TCP of one stack: the state machine of RFC 9293 with the choices
// of current Linux where the RFCs leave room (net/ipv4/tcp*.c).
//
// # Structures
//
// A [Sock] is sock → inet (ip.Sock) → connection (conn) → tcp, each embedding the
// one above. What is no connection yet is a request, what is none any more a
// timewait: small types of their own, since anybody can make them. All three are
// entries of the established hash; listeners have a table by port, and local
// ports a third (hash.go, bind.go). The tables draw their hash keys when the stack is
// made.
//
// # Locks
//
// Everything of a Sock is guarded by its owner lock. A system call owns the sock
// (lock, unlock) and may then take its time; softirq code holds the short lock
// (BHLock) and, if the sock is owned, leaves its segment on the backlog or its
// timer as a deferred bit, which unlock works off. Softirq code never blocks. No
// lock is held across a wake-up: events are noted (wake) and told when the lock
// is given up. What others may know without the lock is published then
// (publish), which makes [Sock.Poll] free of locks.
//
// Order of locks: a sock's, then hashinfo.bmu, then a shard of the hash or
// hashinfo.lmu; a request's or timewait's own lock before its shard.
//
// A call that sends a little also does what that causes on this machine (lockBH):
// when it gives the lock up it runs softirqs, its own stack's and that of a peer
// at the other end of a veth, instead of waking those who do.
//
// refresh reads the clock, once for each segment and each call; what follows
// takes the time from there (ns). Timers move only when they would be late, see
// armRtx.
//
// # A segment's way
//
// In: rcv → established hash → rcvEstablished (fast path, else validateIncoming,
// tcpAck, dataQueue) or rcvStateProcess → receive queue → RecvMsg copies once.
// Out: SendMsg copies once into page fragments of a super-skb → writeXmit →
// transmit clones it, pushes the header → ip.Net.LocalOut; a device without TSO
// gets pieces (offload.go). The super-skb stays in the send queue until it is
// acknowledged.
//
// # Files
//
//	tcp.go secret.go sysctl.go proc.go  the instance, its keys, settings, files
//	sock.go params.go queue.go          structures, queues
//	hash.go bind.go                     tables of connections and listeners; local ports
//	mem.go                              the memory of all connections: tcp_mem
//	options.go                          options, read and written
//	ipv4.go reply.go icmp.go            from the IP layer, connect; RST and ACK without a sock; ICMP errors
//	request.go acceptqueue.go child.go  SYN queue and SYN-ACK, accept queue, the new connection
//	cookies.go                          SYN cookies
//	fastopen.go fastopen_client.go      Fast Open, of the listener and of who connects
//	md5.go                              TCP MD5 signatures
//	metrics.go                          what is known of a peer from before, and of the route
//	reuseport.go                        groups of listeners
//	chrono.go optstats.go               time busy and limited; what is told with a time of sending
//	rare.go repair.go                   rare options; TCP_REPAIR
//	timewait.go                         TIME_WAIT and FIN_WAIT2 of orphans
//	state.go                            every state but ESTABLISHED
//	input.go validate.go                receiving: the fast path, the data queue; the checks before it
//	demux.go backlog.go sackcomp.go     the sock before the route; what an owned sock is left; ACKs held back
//	prune.go coalesce.go                room in the receive buffer; small segments together
//	receive.go ofo.go urg.go rcvspace.go  ACK policy, buffers; out of order and SACK blocks; urgent data; window growth
//	ack.go rtt.go minmax.go             acknowledgments, RTT and RTO
//	sack.go recovery.go rack.go         scoreboard, recovery machine with F-RTO, RACK-TLP
//	prr.go undo.go                      reducing the window, and taking it back
//	rate.go cong.go cubic.go            delivery rate, congestion control
//	bbr.go bbrmodel.go                  BBR: what it does, what it knows of the path
//	pacing.go mtuprobe.go               pacing by an alarm of the sock; path MTU probing (RFC 4821)
//	zerocopy.go tstamp.go               MSG_ZEROCOPY's notices; times of sent bytes
//	output.go xmit.go offload.go        segments, what may go, cutting for the device
//	split.go retransmit.go              cutting and shortening what is queued, sending it again
//	timer.go probe.go keepalive.go      retransmission and delayed ACK, closed windows, silent peers
//	sendmsg.go recvmsg.go sockopt.go    the socket's side
//	listen.go close.go                  bind, listen, accept; connect, shutdown, close
//	ecn.go accecn.go                    congestion notification: classic, accurate (RFC 9768)
//	misc.go                             small queues
//
// # Receiving in bulk
//
// Segments of one flow that arrive in one poll come as one (napi, GRO). Who reads
// while a connection is busy finds the rest on the backlog, coalesced. The
// prequeue of older Linux, on which a waiting reader did the protocol's work
// itself, is not there, as in Linux since 4.15: what it saved, a wake-up for every
// segment, the end of the poll saves.
//
// tcp_adv_win_scale is kept without a use, as in Linux since 6.6: which share of
// the buffer is window follows from what segments cost.
//
// # Not yet
//
// Merging of SACKed segments in the send queue, the mapping of
// TCP_ZEROCOPY_RECEIVE, metrics of peers over netlink.
package tcp
