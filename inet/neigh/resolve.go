package neigh

// Resolve reports whether the link address is known, and asks for it when it is
// not (Linux: neigh_event_send without a packet). Any context.
func (n *Neigh) Resolve() bool {
	if n.Valid() {
		return true
	}
	n.eventSend(nil)
	return false
}

// Valid reports whether the link address is known (Linux: NUD_VALID).
func (n *Neigh) Valid() bool { return n.state.Load()&nudValid != 0 }
