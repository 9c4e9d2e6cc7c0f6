package sock

// Families that keep a receive queue of their own, of messages instead of
// packets, wait and account through these.

// WaitRead blocks until ready returns true or an error, for as long as
// SO_RCVTIMEO allows (EAGAIN). ready runs with no lock of the sock held; what
// makes it true must call DataReady afterwards.
func (sk *Sock) WaitRead(ready func() (bool, error)) error {
	return sk.waitUntil(&sk.rdWait, sk.rcvtimeo.Load(), ready)
}

// ReceiveBuffer returns SO_RCVBUF in bytes, as doubled (Linux: sk_rcvbuf).
func (sk *Sock) ReceiveBuffer() int { return int(sk.rcvbuf.Load()) }

// SendBuffer returns SO_SNDBUF in bytes, as doubled (Linux: sk_sndbuf).
func (sk *Sock) SendBuffer() int { return int(sk.sndbuf.Load()) }
