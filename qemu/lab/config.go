package lab

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// index returns a device's number.
func index(name string) (int, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return l.Attrs().Index, nil
}

// link: dev=D [mtu=N] [state=up|down].
func (l *Lab) link(a args, _ io.Writer) error {
	dev, err := netlink.LinkByName(a["dev"])
	if err != nil {
		return err
	}
	if mtu, err := a.num("mtu", 0); err != nil {
		return err
	} else if mtu != 0 {
		if err := netlink.LinkSetMTU(dev, mtu); err != nil {
			return err
		}
	}
	switch a["state"] {
	case "up":
		return netlink.LinkSetUp(dev)
	case "down":
		return netlink.LinkSetDown(dev)
	}
	return nil
}

// address: do=add|del dev=D addr=A/BITS.
func (l *Lab) address(a args, _ io.Writer) error {
	dev, err := netlink.LinkByName(a["dev"])
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(a["addr"])
	if err != nil {
		return err
	}
	if a["do"] == "del" {
		return netlink.AddrDel(dev, addr)
	}
	return netlink.AddrAdd(dev, addr)
}

// prefix reads A/BITS, A or "default".
func prefix(s string) (*net.IPNet, error) {
	switch {
	case s == "":
		return nil, nil
	case s == "default":
		s = "0.0.0.0/0"
	case !strings.Contains(s, "/"):
		s += "/32"
	}
	_, n, err := net.ParseCIDR(s)
	return n, err
}

// types are those of routes and rules.
var types = map[string]int{ // read-only
	"": 0, "blackhole": unix.RTN_BLACKHOLE, "unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT, "throw": unix.RTN_THROW,
}

// route: do=add|del|replace dst=P [via=A] [dev=D] [table=N] [type=T] [tos=N] [src=A] [hops=A@D*WEIGHT,...].
func (l *Lab) route(a args, _ io.Writer) (err error) {
	var r netlink.Route
	if r.Dst, err = prefix(a["dst"]); err != nil {
		return err
	}
	if r.Table, err = a.num("table", 0); err != nil {
		return err
	}
	if r.Tos, err = a.num("tos", 0); err != nil {
		return err
	}
	if dev := a["dev"]; dev != "" {
		if r.LinkIndex, err = index(dev); err != nil {
			return err
		}
	}
	r.Gw, r.Src = net.ParseIP(a["via"]), net.ParseIP(a["src"])
	r.Type = types[a["type"]]
	if hops := a["hops"]; hops != "" {
		for h := range strings.SplitSeq(hops, ",") {
			gw, rest, _ := strings.Cut(h, "@")
			dev, weight, _ := strings.Cut(rest, "*")
			n := &netlink.NexthopInfo{Gw: net.ParseIP(gw)}
			if n.LinkIndex, err = index(dev); err != nil {
				return err
			}
			if weight != "" {
				w, err := strconv.Atoi(weight)
				if err != nil {
					return err
				}
				n.Hops = w - 1
			}
			r.MultiPath = append(r.MultiPath, n)
		}
	}
	switch a["do"] {
	case "del":
		return netlink.RouteDel(&r)
	case "replace":
		return netlink.RouteReplace(&r)
	}
	return netlink.RouteAdd(&r)
}

// rule: do=add|del [from=P] [to=P] [tos=N] [mark=N] [iif=D] [oif=D] [table=N] [type=T] priority=N.
func (l *Lab) rule(a args, _ io.Writer) (err error) {
	r := netlink.NewRule()
	r.Family = unix.AF_INET
	if r.Src, err = prefix(a["from"]); err != nil {
		return err
	}
	if r.Dst, err = prefix(a["to"]); err != nil {
		return err
	}
	var tos, mark int
	for key, to := range map[string]*int{"tos": &tos, "mark": &mark, "table": &r.Table, "priority": &r.Priority} {
		if *to, err = a.num(key, *to); err != nil {
			return err
		}
	}
	r.Tos, r.Mark, r.IifName, r.OifName, r.Type = uint(tos), uint32(mark), a["iif"], a["oif"], uint8(types[a["type"]])
	if a["do"] == "del" {
		return netlink.RuleDel(r)
	}
	return netlink.RuleAdd(r)
}

// get: dst=A [mark=N]. It prints the route to an address: "via A dev N src A".
func (l *Lab) get(a args, out io.Writer) error {
	mark, err := a.num("mark", 0)
	if err != nil {
		return err
	}
	rs, err := netlink.RouteGetWithOptions(net.ParseIP(a["dst"]), &netlink.RouteGetOptions{Mark: uint32(mark)})
	if err != nil {
		fmt.Fprintln(out, errno(err))
		return nil
	}
	for _, r := range rs {
		fmt.Fprintf(out, "via %v dev %d src %v\n", r.Gw, r.LinkIndex, r.Src)
	}
	return nil
}
