package rtnetlink_test

import (
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

// How a file of /proc/net is compared.
const (
	columns = iota // number for number, as wide
	words          // the numbers may have other widths
	header         // its first line alone
	leaves         // of fib_trie: what the addresses are, wherever they hang
)

var procFiles = map[string]int{ // read-only
	"arp": columns, "dev": words, "icmp": columns, "igmp": columns, "mcfilter": columns, "psched": columns, "route": columns, "rt_cache": columns,
	"snmp": columns, "sockstat": words, "tcp": columns,
	"netlink": words, "packet": words, "raw": words, "udp": words, "udplite": words, "netstat": words, "dev_mcast": words, "softnet_stat": words,
	"ptype": header, "stat/rt_cache": header, "fib_triestat": header, "unix": header,
	"fib_trie": leaves,
}

var numbers = regexp.MustCompile(`\b[0-9a-fA-F]{8,16}\b|[0-9]+`) // read-only

// shape is what of a text is compared.
func shape(s string, how int) string {
	lines := strings.SplitAfter(s, "\n")
	switch how {
	case header:
		return lines[0]
	case columns:
		return numbers.ReplaceAllStringFunc(s, func(n string) string { return strings.Repeat("9", len(n)) })
	case leaves:
		var l []string
		for i, s := range lines {
			if strings.Contains(s, "|--") {
				l = append(l, strings.TrimSpace(s)+" "+strings.TrimSpace(lines[i+1]))
			}
		}
		slices.Sort(l)
		return strings.Join(slices.Compact(l), "\n")
	}
	seen := map[string]bool{}
	var out []string
	for _, s := range lines {
		// IPv6 and MPTCP, which are not here, and the places of sockets in
		// Linux's memory and lists.
		if strings.Contains(s, "3333") || strings.HasPrefix(s, "MPTcpExt") {
			continue
		}
		s = strings.Join(strings.Fields(numbers.ReplaceAllString(s, "9")), " ")
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return strings.Join(out, "\n")
}

var onHeap, alsoOnHeap atomic.Pointer[[]byte] // what is stored here does not lie on a stack, which moves

// addrOf is the address of memory for a system call.
func addrOf(b []byte) uintptr {
	onHeap.Store(&b)
	return memory(b)
}

func memory(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// read returns the contents of a file as the end has it.
func (e *end) read(path string) (s string, errno syscall.Errno) {
	e.within(func() error {
		p := append([]byte(path), 0)
		fd, en := e.syscall(syscall.SYS_OPEN, addrOf(p), 0, 0, 0, 0, 0)
		if errno = en; errno != 0 {
			return nil
		}
		b := make([]byte, 1<<16)
		for {
			n, en := e.syscall(syscall.SYS_READ, fd, addrOf(b), uintptr(len(b)), 0, 0, 0)
			if errno = en; errno != 0 || n == 0 {
				break
			}
			s += string(b[:n])
		}
		e.syscall(syscall.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
		return nil
	})
	return s, errno
}

func TestProcNet_shapedAsLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	steps := append(slices.Clone(setUp),
		addAddr("", "10.0.0.1", 24, "d0"), addAddr("", "10.1.0.1", 24, "d1"),
		neighbour("", syscall.RTM_NEWNEIGH, create, "d0", 0x80, 0, attr(1, addr("10.0.0.9")), attr(2, []byte{2, 0, 0, 0, 0, 1})),
		route("", syscall.RTM_NEWROUTE, create, rt{bits: 24, table: 254, proto: 4, scope: 0, typ: 1}, "d0", attr(1, addr("10.9.8.0")), attr(5, addr("10.0.0.9"))),
		route("", syscall.RTM_NEWROUTE, create, rt{bits: 24, table: 254, proto: 4, scope: 0, typ: 7}, "", attr(1, addr("10.9.7.0"))),
	)
	for _, e := range []*end{x, y} {
		for _, s := range steps {
			e.links()
			errno, words, _ := e.do(s.req(e))
			if errno != 0 {
				t.Fatal(e.name, s.name, errno, words)
			}
		}
		// One socket of each kind.
		e.within(func() error {
			for _, k := range []struct{ family, typ, proto uintptr }{
				{syscall.AF_INET, syscall.SOCK_DGRAM, 0}, {syscall.AF_INET, syscall.SOCK_DGRAM, 136}, {syscall.AF_INET, syscall.SOCK_RAW, 99}, {syscall.AF_PACKET, syscall.SOCK_RAW, 0x0300},
			} {
				fd, errno := e.syscall(syscall.SYS_SOCKET, k.family, k.typ, k.proto, 0, 0, 0)
				e.check("socket", errno)
				t.Cleanup(func() { e.syscall(syscall.SYS_CLOSE, fd, 0, 0, 0, 0, 0) })
				if k.family == syscall.AF_INET {
					sa := []byte{2, 0, 0x30, 0x39, 10, 0, 0, 1, 15: 0}
					_, errno = e.syscall(syscall.SYS_BIND, fd, addrOf(sa), 16, 0, 0, 0)
					e.check("bind", errno)
				}
			}
			return nil
		})
	}
	for name, how := range procFiles {
		a, ea := x.read("/proc/thread-self/net/" + name)
		b, eb := y.read("/proc/thread-self/net/" + name)
		if ea != eb {
			t.Errorf("%s: %v here, %v in Linux", name, ea, eb)
			continue
		}
		if shape(a, how) != shape(b, how) {
			t.Errorf("%s:\n%s\n-- Linux:\n%s", name, a, b)
		}
	}
}
