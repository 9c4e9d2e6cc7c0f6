package raw

// QueueIoctl is raw_ioctl: what datagram sockets know, and the counters of
// multicast routing.
func (s *Sock) QueueIoctl(cmd uint, arg []byte) error {
	if mr := s.IP.MR; mr != nil {
		if handled, err := mr.Ioctl(&s.Sock, cmd, arg); handled {
			return err
		}
	}
	return s.Sock.QueueIoctl(cmd, arg)
}
