// Package early draws random numbers when it is initialised, which is before the
// kernel is: it depends on little, and the order follows from that.
package early

import "crypto/rand"

// Drawn is what was drawn.
var Drawn = func() (b [32]byte) {
	rand.Read(b[:])
	return b
}()
