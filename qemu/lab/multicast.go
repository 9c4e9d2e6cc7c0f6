package lab

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// Port is where members of groups listen.
const Port = 5000

// A member is a socket that has joined a group.
type member struct {
	fd    int
	group [4]byte
	index int
}

// groupKey names a member: group and device.
func groupKey(a args) string { return a["group"] + "@" + a["dev"] }

// groupAndDevice are the two arguments, the device as its number.
func (a args) groupAndDevice() (group [4]byte, i int, err error) {
	if group, err = a.addr("group"); err == nil {
		i, err = index(a["dev"])
	}
	return group, i, err
}

// join: group=A dev=D [source=A]. A socket of its own for each group and device.
func (l *Lab) join(a args, _ io.Writer) error {
	group, i, err := a.groupAndDevice()
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	m := &member{fd, group, i}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	if err = unix.Bind(fd, &unix.SockaddrInet4{Port: Port}); err == nil {
		if _, ok := a["source"]; ok {
			err = m.source(a, unix.MCAST_JOIN_SOURCE_GROUP)
		} else {
			err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group, Ifindex: int32(i)})
		}
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	if l.groups == nil {
		l.groups = map[string]*member{}
	}
	l.groups[groupKey(a)] = m
	return nil
}

// source does an option that takes a struct group_source_req.
func (m *member) source(a args, option int) error {
	src, err := a.addr("source")
	if err != nil {
		return err
	}
	// struct group_source_req: the interface, padding, and two sockaddr_storage.
	b := make([]byte, 8+2*128)
	put := func(b []byte, ip [4]byte) {
		b[0] = unix.AF_INET
		copy(b[4:], ip[:])
	}
	b[0], b[1] = byte(m.index), byte(m.index>>8)
	put(b[8:], m.group)
	put(b[8+128:], src)
	return unix.SetsockoptString(m.fd, unix.IPPROTO_IP, option, string(b))
}

// source: group=A dev=D source=A do=join|leave|block|unblock changes a member's filter.
func (l *Lab) source(a args, _ io.Writer) error {
	m, ok := l.groups[groupKey(a)]
	option := map[string]int{"join": unix.MCAST_JOIN_SOURCE_GROUP, "leave": unix.MCAST_LEAVE_SOURCE_GROUP,
		"block": unix.MCAST_BLOCK_SOURCE, "unblock": unix.MCAST_UNBLOCK_SOURCE}[a["do"]]
	if !ok || option == 0 {
		return fmt.Errorf("not a member, or nothing to do: %v", a)
	}
	return m.source(a, option)
}

// leave: group=A dev=D [how=close].
func (l *Lab) leave(a args, _ io.Writer) error {
	m, ok := l.groups[groupKey(a)]
	if !ok {
		return fmt.Errorf("not a member of %s", groupKey(a))
	}
	delete(l.groups, groupKey(a))
	defer unix.Close(m.fd) // leaves too (Linux: ip_mc_drop_socket)
	if a["how"] == "close" {
		return nil
	}
	return unix.SetsockoptIPMreqn(m.fd, unix.IPPROTO_IP, unix.IP_DROP_MEMBERSHIP, &unix.IPMreqn{Multiaddr: m.group, Ifindex: int32(m.index)})
}

// received: group=A dev=D prints what has come for the group, one datagram a line.
func (l *Lab) received(a args, out io.Writer) error {
	m, ok := l.groups[groupKey(a)]
	if !ok {
		return fmt.Errorf("not a member of %s", groupKey(a))
	}
	b := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(m.fd, b, 0)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		src := from.(*unix.SockaddrInet4).Addr
		fmt.Fprintf(out, "%d.%d.%d.%d %s\n", src[0], src[1], src[2], src[3], strings.TrimSpace(string(b[:n])))
	}
}

// multicast: group=A dev=D text=T [ttl=N] [loop=0] [count=N] sends datagrams to a group.
func (l *Lab) multicast(a args, _ io.Writer) error {
	group, i, err := a.groupAndDevice()
	if err != nil {
		return err
	}
	ttl, err := a.num("ttl", 1)
	if err != nil {
		return err
	}
	loop, err := a.num("loop", 1)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(i)}); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, loop); err != nil {
		return err
	}
	return unix.Sendto(fd, []byte(a["text"]), 0, &unix.SockaddrInet4{Addr: group, Port: Port})
}
