package sock

import "barewire/skb"

// BacklogTail returns the packet that waits for the owner last, nil if none does.
// BHLock is held; the packet may be added to (see BacklogGrew).
func (sk *Sock) BacklogTail() *skb.Buff { return sk.owner.backlog.Tail() }

// BacklogGrew notes that the last packet takes n bytes of memory more. BHLock is
// held.
func (sk *Sock) BacklogGrew(n int) { sk.owner.rmem += int32(n) }
