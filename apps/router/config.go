package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// Where the router looks for what it is not told on its command line: in the
// initial file system, and in what the host gives with QEMU's
// -fw_cfg name=opt/org.barewire/NAME,file=...
const (
	firmware   = "/sys/firmware/qemu_fw_cfg/by_name/opt/org.barewire/"
	configFile = "/etc/router.conf"
	rulesFile  = "/etc/iptables/rules.v4"
)

// config is what the router does.
type config struct {
	WAN, LAN string // names of interfaces
	Address  netip.Prefix
	Rules    string
	Sets     string
	Range    string
	Domain   string
	Upstream string
	NTP      string
	Syslog   string
	NoDHCP   bool
	NoDNS    bool
	NoShell  bool
}

// flags enters the settings into a set; their defaults are a home router's.
func (c *config) flags(out io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("router", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&c.WAN, "wan", "eth0", "`interface` towards the upstream")
	f.StringVar(&c.LAN, "lan", "eth1", "`interface` towards the hosts that are served")
	f.TextVar(&c.Address, "address", netip.MustParsePrefix("192.168.1.1/24"), "the LAN interface's `address/bits` if ip= gave it none")
	f.StringVar(&c.Rules, "rules", "", "`file` in iptables-save format (default: fw_cfg rules, "+rulesFile+", then masquerading for the LAN)")
	f.StringVar(&c.Sets, "sets", "", "`file` in ipset save format, loaded before the rules (default: fw_cfg sets, /etc/ipset.conf)")
	f.StringVar(&c.Range, "dhcp-range", "", "`first-last` address to give to hosts (default: the upper half of the LAN)")
	f.StringVar(&c.Domain, "domain", "lan", "`domain` of the hosts")
	f.StringVar(&c.Upstream, "dns", "", "upstream DNS `servers`, address[:port],... (default: those of /etc/resolv.conf)")
	f.StringVar(&c.NTP, "ntp", "", "NTP `server` to set the clock by")
	f.StringVar(&c.Syslog, "syslog", "", "`host[:port]` that gets a copy of all messages")
	f.BoolVar(&c.NoDHCP, "no-dhcp", false, "no DHCP server")
	f.BoolVar(&c.NoDNS, "no-dns", false, "no DNS forwarder")
	f.BoolVar(&c.NoShell, "no-shell", false, "do not read commands from the console")
	return f
}

// parse reads the command line, and before it the configuration file: a line of
// it is a flag without its dash, and "#" begins a comment.
func (c *config) parse(args []string, out io.Writer) error {
	f := c.flags(out)
	for _, name := range []string{firmware + "router/raw", configFile} {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := settings(f, name, string(text)); err != nil {
			return err
		}
		break
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		return fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if !c.Address.Addr().Is4() {
		return fmt.Errorf("-address %v: an IPv4 address is needed", c.Address)
	}
	if c.WAN == c.LAN {
		return fmt.Errorf("WAN and LAN are both %s", c.LAN)
	}
	return nil
}

// settings reads the lines of a configuration file.
func settings(f *flag.FlagSet, file, text string) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		known := f.Lookup(name)
		if known == nil {
			return fmt.Errorf("%s:%d: no setting is called %q", file, n, name)
		}
		value = strings.TrimSpace(value)
		if b, ok := known.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() && value == "" {
			value = "true"
		}
		if err := f.Set(name, value); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", file, n, name, err)
		}
	}
	return lines.Err()
}

// firstFile returns the contents of the first file there is, and its name; a
// file that was asked for must be there.
func firstFile(asked string, names ...string) (name string, text []byte, err error) {
	if asked != "" {
		text, err = os.ReadFile(asked)
		return asked, text, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if !errors.Is(err, os.ErrNotExist) {
			return name, text, err
		}
	}
	return "", nil, nil
}

// dhcpRange reads first-last.
func dhcpRange(s string, self netip.Prefix) (first, last netip.Addr, err error) {
	if s == "" {
		return pool(self)
	}
	a, b, _ := strings.Cut(s, "-")
	if first, err = netip.ParseAddr(a); err == nil {
		last, err = netip.ParseAddr(b)
	}
	if err != nil || !self.Contains(first) || !self.Contains(last) || last.Less(first) {
		return first, last, fmt.Errorf("-dhcp-range %s: first-last within %v is needed", s, self.Masked())
	}
	return first, last, nil
}
