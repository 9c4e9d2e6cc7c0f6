package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"mvdan.cc/sh/v3/interp"
)

// What the kernel tells of connections.
const (
	conntrackFile  = "/proc/net/nf_conntrack"
	conntrackCount = "/proc/sys/net/netfilter/nf_conntrack_count"
	conntrackStat  = "/proc/net/stat/nf_conntrack"
)

// conntrackFilter chooses connections, as conntrack(8)'s options do.
type conntrackFilter struct {
	proto    string
	src, dst string
	state    string
}

// matches tells whether a line of the kernel's list is of such a connection. The
// addresses are those of the direction it began in, which stand first.
func (f conntrackFilter) matches(line string) bool {
	w := strings.Fields(line)
	if len(w) < 5 || f.proto != "" && w[2] != f.proto {
		return false
	}
	first := func(key string) string {
		for _, s := range w {
			if v, ok := strings.CutPrefix(s, key); ok {
				return v
			}
		}
		return ""
	}
	return (f.src == "" || first("src=") == f.src) && (f.dst == "" || first("dst=") == f.dst) &&
		(f.state == "" || w[5] == f.state)
}

// conntrackCommand is as much of conntrack(8) as an administrator types.
func (r *router) conntrackCommand(h interp.HandlerContext, argv []string) int {
	var f conntrackFilter
	var list, count, stat, flush, remove bool
	flags := flag.NewFlagSet("conntrack", flag.ContinueOnError)
	flags.SetOutput(h.Stderr)
	flags.BoolVar(&list, "L", false, "list connections")
	flags.BoolVar(&count, "C", false, "how many there are")
	flags.BoolVar(&stat, "S", false, "statistics")
	flags.BoolVar(&flush, "F", false, "forget all")
	flags.BoolVar(&remove, "D", false, "forget those that are chosen")
	flags.StringVar(&f.proto, "p", "", "`protocol`")
	flags.StringVar(&f.src, "s", "", "source `address`")
	flags.StringVar(&f.dst, "d", "", "destination `address`")
	flags.StringVar(&f.state, "state", "", "TCP `state`")
	if err := flags.Parse(argv[1:]); err != nil {
		return 2
	}
	var err error
	switch {
	case list:
		err = r.listConnections(h, f)
	case count:
		err = printFile(h, conntrackCount)
	case stat:
		err = printFile(h, conntrackStat)
	case flush:
		err = netlink.ConntrackTableFlush(netlink.ConntrackTable)
	case remove:
		err = f.remove(h)
	default:
		flags.Usage()
		return 2
	}
	if err != nil {
		fmt.Fprintf(h.Stderr, "conntrack: %v\n", err)
		return 1
	}
	return 0
}

func printFile(h interp.HandlerContext, name string) error {
	b, err := os.ReadFile(name)
	h.Stdout.Write(b)
	return err
}

// listConnections prints the kernel's list without its family column, as
// conntrack(8) does.
func (r *router) listConnections(h interp.HandlerContext, f conntrackFilter) error {
	file, err := os.Open(conntrackFile)
	if err != nil {
		return err
	}
	defer file.Close()
	n := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		if !f.matches(line) {
			continue
		}
		line = strings.TrimPrefix(line, "ipv4     2 ")
		fmt.Fprintln(h.Stdout, strings.Replace(line, " zone=0", "", 1))
		n++
	}
	fmt.Fprintf(h.Stderr, "%d connections\n", n)
	return lines.Err()
}

// remove makes the kernel forget connections.
func (f conntrackFilter) remove(h interp.HandlerContext) error {
	nf := &netlink.ConntrackFilter{}
	for _, a := range []struct {
		kind netlink.ConntrackFilterType
		text string
	}{{netlink.ConntrackOrigSrcIP, f.src}, {netlink.ConntrackOrigDstIP, f.dst}} {
		if a.text == "" {
			continue
		}
		addr, err := netip.ParseAddr(a.text)
		if err != nil {
			return err
		}
		if err := nf.AddIP(a.kind, net.IP(addr.AsSlice())); err != nil {
			return err
		}
	}
	if f.proto != "" {
		n, ok := map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "sctp": 132}[f.proto]
		if !ok {
			return fmt.Errorf("-p %s: icmp, tcp, udp, gre or sctp", f.proto)
		}
		if err := nf.AddProtocol(n); err != nil {
			return err
		}
	}
	if f.state != "" {
		return fmt.Errorf("-D does not choose by state")
	}
	n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.FAMILY_V4, nf)
	if err == nil {
		fmt.Fprintf(h.Stderr, "%d connections\n", n)
	}
	return err
}
