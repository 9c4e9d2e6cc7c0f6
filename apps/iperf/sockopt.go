package main

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// onSocket calls f with the descriptor of a connection.
func onSocket(c net.Conn, f func(fd int) error) error {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return syscall.ENOTSUP
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// retransmissions is how many segments a connection sent again, -1 if that is
// not known.
func retransmissions(c net.Conn) (n int64) {
	n = -1
	onSocket(c, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = int64(info.Total_retrans)
		}
		return err
	})
	return n
}

// congestion names the algorithm of a connection, "" if it is not known.
func congestion(c net.Conn) (name string) {
	onSocket(c, func(fd int) (err error) {
		name, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		return err
	})
	return name
}

// apply sets what the client asked for on a stream's socket.
func (p *params) apply(c net.Conn) error {
	return onSocket(c, func(fd int) error {
		if p.TOS != 0 {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, p.TOS); err != nil {
				return err
			}
		}
		if p.Window > 0 {
			for _, opt := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, int(p.Window)); err != nil {
					return err
				}
			}
		}
		if p.UDP {
			// What comes while the program waits for a processor must wait too. As much as there may be.
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, udpBuffer)
		}
		nodelay := 0 // package net sets it
		if p.NoDelay {
			nodelay = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, nodelay); err != nil {
			return err
		}
		if p.Congestion != "" {
			return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, p.Congestion)
		}
		return nil
	})
}
