package tcp

import (
	"syscall"

	"barewire/inet/ip"
)

// bind, listen and accept (Linux: inet_csk_listen_start, inet_csk_accept).

// Bind gives the sock a local address and port (Linux: inet_bind). Errors:
// EINVAL when it is bound already, EADDRNOTAVAIL, EADDRINUSE.
func (s *Sock) Bind(sa ip.Sockaddr) error {
	id, err := s.Sock.Bind(sa)
	if err != nil {
		return err
	}
	s.lock()
	defer s.unlock()
	if s.State() != Close || s.Ident().Num != 0 {
		return syscall.EINVAL
	}
	if sa.Port == 0 && s.Opt(ip.OptBindNoPort) {
		s.SetIdent(id)
		return nil
	}
	if !s.tcp.tab.getPort(s, id) {
		return syscall.EADDRINUSE
	}
	return nil
}

// Listen makes the sock passive (Linux: inet_listen, inet_csk_listen_start).
func (s *Sock) Listen(backlog int) error {
	s.lock()
	defer s.unlock()
	if s.connecting || s.connected || !inStates(s.State(), fClose|fListen) {
		return syscall.EINVAL
	}
	backlog = int(min(uint32(backlog), uint32(s.tcp.conf.somaxconn.Load())))
	if s.State() == Listen {
		s.extra.max.Store(int32(backlog))
		return nil
	}
	s.listenFastOpen(backlog)
	s.extra = &acceptQueue{}
	s.extra.max.Store(int32(backlog))
	s.ack = ackState{}
	s.SetState(Listen)
	id := *s.Ident()
	if !s.tcp.tab.getPort(s, &id) {
		s.SetState(Close)
		return syscall.EADDRINUSE
	}
	s.tcp.tab.addListener(s)
	return nil
}

// stopListening ends the queues of a listener (Linux: inet_csk_listen_stop):
// connections nobody accepted are reset.
func (s *Sock) stopListening() {
	t := s.tcp
	t.tab.unlisten(s)
	t.tab.optionsChanged(s)
	q := s.extra
	if q == nil {
		return
	}
	for _, c := range q.close() {
		c.lockBH()
		c.disconnect()
		c.orphan()
	}
	t.tab.each(func(e *entry) {
		if e.req() != nil && e.req().listener == s {
			e.req().drop()
		}
	})
}

// Listening implements sock.Stream.
func (s *Sock) Listening() bool { return s.State() == Listen }

// Accept takes the oldest connection (Linux: inet_csk_accept). EINVAL when it
// is no listener, EAGAIN.
func (s *Sock) Accept(nonblock bool) (*Sock, error) {
	if s.State() != Listen {
		return nil, syscall.EINVAL
	}
	q := s.extra
	c := q.pop()
	if c == nil {
		if nonblock {
			return nil, syscall.EAGAIN
		}
		rcv, _ := s.Timeouts()
		err := s.WaitEvent(false, rcv, func() (bool, error) {
			if s.State() != Listen {
				return false, syscall.EINVAL
			}
			c = q.pop()
			return c != nil, nil
		})
		if err != nil {
			return nil, err
		}
	}
	c.lock()
	c.parent = nil
	c.connected = true
	c.unlock()
	return c, nil
}
