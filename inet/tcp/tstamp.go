package tcp

import (
	"syscall"

	"barewire/inet/sock"
)

// StampKey implements sock.Stream: times are told with the offset of their byte
// from here.
func (s *Sock) StampKey(flags uint32) (uint32, error) {
	if inStates(s.State(), fClose|fListen) {
		return 0, syscall.EINVAL
	}
	if flags&sock.TimestampingOptIDTCP != 0 {
		return s.writeSeq, nil
	}
	return s.sndUna, nil
}
