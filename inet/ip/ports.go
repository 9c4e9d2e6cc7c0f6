package ip

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"barewire/napi/sysctl"
)

// SockConf is the settings of net.ipv4 that decide about binding.
type SockConf struct {
	NonlocalBind    atomic.Int32 // ip_nonlocal_bind: foreign addresses may be bound
	UnprivPortStart atomic.Int32 // ip_unprivileged_port_start; everybody here is root
	reserved        atomic.Pointer[portSet]
}

// portSet is a set of ports.
type portSet [1024]uint64

func (p *portSet) has(port uint16) bool { return p != nil && p[port>>6]&(1<<(port&63)) != 0 }

// parsePorts reads a list of ports and ranges: "8080,9000-9010" (Linux:
// proc_do_large_bitmap).
func parsePorts(s string) (*portSet, error) {
	set := &portSet{}
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' }) {
		first, last, isRange := strings.Cut(strings.TrimSpace(f), "-")
		lo, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return nil, syscall.EINVAL
		}
		hi := lo
		if isRange {
			if hi, err = strconv.ParseUint(last, 10, 16); err != nil || hi < lo {
				return nil, syscall.EINVAL
			}
		}
		for p := lo; p <= hi; p++ {
			set[p>>6] |= 1 << (p & 63)
		}
	}
	return set, nil
}

func (p *portSet) String() string {
	if p == nil {
		return ""
	}
	var out []string
	for i := 0; i < 1<<16; i++ {
		if i&63 == 0 && p[i>>6] == 0 {
			i += 63
			continue
		}
		if !p.has(uint16(i)) {
			continue
		}
		first := i
		for i+1 < 1<<16 && p.has(uint16(i+1)) {
			i++
		}
		if first == i {
			out = append(out, strconv.Itoa(first))
		} else {
			out = append(out, strconv.Itoa(first)+"-"+strconv.Itoa(i))
		}
	}
	return strings.Join(out, ",")
}

// PortReserved reports whether a port is kept from automatic choice
// (net.ipv4.ip_local_reserved_ports). It may still be asked for by number.
func (n *Net) PortReserved(port uint16) bool { return n.Sock.reserved.Load().has(port) }

// initSockConf sets Linux's defaults and enters the settings in the
// namespace's table.
func (n *Net) initSockConf() {
	n.Sock.UnprivPortStart.Store(1024)
	n.Dev.Sysctl().RegisterFunc(n.Limits.Entries)
	n.Dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Int("net.ipv4.ip_nonlocal_bind", &n.Sock.NonlocalBind, 0, 1),
			sysctl.Int("net.ipv4.ip_unprivileged_port_start", &n.Sock.UnprivPortStart, 0, 65535),
			sysctl.Entry{
				Name: "net.ipv4.ip_local_port_range",
				Get: func() string {
					lo, hi := n.LocalPortRange()
					return fmt.Sprintf("%d\t%d", lo, hi)
				},
				Set: func(s string) error {
					l, err := sysctl.Ints(s, 2)
					if err != nil || l[0] < 1 || l[0] > 65535 || l[1] < 1 || l[1] > 65535 {
						return syscall.EINVAL
					}
					return n.SetLocalPortRange(uint16(l[0]), uint16(l[1]))
				},
			},
			sysctl.Entry{
				Name: "net.ipv4.ip_local_reserved_ports",
				Get:  func() string { return n.Sock.reserved.Load().String() },
				Set: func(s string) error {
					set, err := parsePorts(s)
					if err == nil {
						n.Sock.reserved.Store(set)
					}
					return err
				},
			},
		}
	})
}
