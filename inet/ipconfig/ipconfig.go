package ipconfig

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"barewire/inet"
	"barewire/napi"
)

// Auto is the autoconf field: how the address is found.
type Auto uint8

// Ways to an address.
const (
	// Default: none was named. An address given is used as it is; without one
	// every way is tried, as with Any.
	Default Auto = iota
	Off          // off, none: only what is given
	Any          // on, any: every way there is
	DHCP
)

// String returns the word of the parameter.
func (a Auto) String() string {
	switch a {
	case Off:
		return "off"
	case Any:
		return "any"
	case DHCP:
		return "dhcp"
	}
	return ""
}

// Config is a parsed ip= parameter. Absent addresses are the zero Addr.
type Config struct {
	Client   netip.Addr
	Server   netip.Addr // boot server
	Gateway  netip.Addr
	Bits     int // prefix length; 0 when there is no client address
	Hostname string
	Device   string // empty: the first that is not loopback
	Auto     Auto
	DNS      [2]netip.Addr
	NTP      [2]netip.Addr
}

// maxParam bounds the length of a parameter that is looked at.
const maxParam = 1024

// Parse reads the value of ip=, without the "ip=".
func Parse(s string) (Config, error) {
	var c Config
	if len(s) > maxParam {
		return c, fmt.Errorf("ip=: longer than %d bytes", maxParam)
	}
	if a, ok := parseAuto(s); ok && s != "" {
		c.Auto = a
		return c, nil
	}
	fields := strings.Split(s, ":")
	if len(fields) > 11 {
		return c, fmt.Errorf("ip=%s: %d fields, at most 11 are known (is this an IPv6 address?)", s, len(fields))
	}
	var mask string
	for i, f := range fields {
		if f == "" {
			continue
		}
		var err error
		switch i {
		case 0:
			c.Client, err = parseAddr("client address", f)
		case 1:
			c.Server, err = parseAddr("server address", f)
		case 2:
			c.Gateway, err = parseAddr("gateway", f)
		case 3:
			mask = f
		case 4:
			c.Hostname = f
		case 5:
			if len(f) > 15 || strings.ContainsAny(f, "/ \t") {
				err = fmt.Errorf("device name %q is not possible", f)
			}
			c.Device = f
		case 6:
			a, ok := parseAuto(f)
			if !ok {
				err = fmt.Errorf("autoconf %q is none of off, none, on, any, dhcp", f)
			}
			c.Auto = a
		case 7, 8:
			c.DNS[i-7], err = parseAddr("DNS server", f)
		case 9, 10:
			c.NTP[i-9], err = parseAddr("NTP server", f)
		}
		if err != nil {
			return Config{}, fmt.Errorf("ip=%s: %w", s, err)
		}
	}
	if err := c.finish(mask); err != nil {
		return Config{}, fmt.Errorf("ip=%s: %w", s, err)
	}
	return c, nil
}

// finish checks what fields say together.
func (c *Config) finish(mask string) error {
	if !c.Client.IsValid() {
		if mask != "" || c.Gateway.IsValid() {
			return errors.New("netmask or gateway without a client address")
		}
		return nil
	}
	if c.Client.IsUnspecified() || c.Client.IsMulticast() || c.Client.IsLoopback() || c.Client.As4()[0] >= 224 {
		return fmt.Errorf("client address %v is not a host's", c.Client)
	}
	if mask == "" {
		c.Bits = classBits(c.Client)
	} else {
		b, err := maskBits(mask)
		if err != nil {
			return err
		}
		c.Bits = b
	}
	if g := c.Gateway; g.IsValid() {
		p := netip.PrefixFrom(c.Client, c.Bits)
		if !p.Contains(g) || g == c.Client {
			return fmt.Errorf("gateway %v is not another host on the network %v", g, p.Masked())
		}
	}
	return nil
}

func parseAuto(s string) (Auto, bool) {
	switch s {
	case "":
		return Default, true
	case "off", "none":
		return Off, true
	case "on", "any":
		return Any, true
	case "dhcp", "both": // both is bootp and dhcp
		return DHCP, true
	}
	return Default, false
}

func parseAddr(what, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%s %q is not an IPv4 address", what, s)
	}
	return a, nil
}

// maskBits turns a netmask into a prefix length.
func maskBits(s string) (int, error) {
	a, err := parseAddr("netmask", s)
	if err != nil {
		return 0, err
	}
	m := a.As4()
	v := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	n := bits.LeadingZeros32(^v)
	if n == 0 || v<<n != 0 {
		return 0, fmt.Errorf("netmask %s is not a run of ones and then zeros", s)
	}
	return n, nil
}

// classBits is the prefix length of the address's class, which Linux assumes
// without a netmask.
func classBits(a netip.Addr) int {
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	}
	return 24
}

// Dynamic reports whether the address is to come from the network.
func (c *Config) Dynamic() bool { return c.Auto == DHCP || !c.Client.IsValid() && c.Auto != Off }

// Servers returns the DNS servers that were named.
func (c *Config) Servers() []netip.Addr {
	var l []netip.Addr
	for _, a := range c.DNS {
		if a.IsValid() {
			l = append(l, a)
		}
	}
	return l
}

// Apply configures the stack from what the parameter itself says: it opens the
// device, gives it the address and adds the default route. It must not be
// Dynamic and must have a client address.
func (c *Config) Apply(n *inet.Net) (*napi.NetDevice, error) {
	dev, err := c.FindDevice(n.Dev())
	if err != nil {
		return nil, err
	}
	if err := dev.Open(); err != nil {
		return nil, fmt.Errorf("ip=: opening %s: %w", dev.Name(), err)
	}
	p := netip.PrefixFrom(c.Client, c.Bits)
	if err := n.AddAddr(dev, p); err != nil {
		return nil, fmt.Errorf("ip=: address %v on %s: %w", p, dev.Name(), err)
	}
	if c.Gateway.IsValid() {
		if err := n.AddDefaultRoute(c.Gateway, dev); err != nil {
			return nil, fmt.Errorf("ip=: default route through %v on %s: %w", c.Gateway, dev.Name(), err)
		}
	}
	return dev, nil
}

// FindDevice finds the device meant: the one named, or the first that is not
// loopback.
func (c *Config) FindDevice(n *napi.Net) (*napi.NetDevice, error) {
	var names []string
	for _, d := range n.Devs() {
		if d.Flags()&napi.IFF_LOOPBACK != 0 {
			continue
		}
		if c.Device == "" || c.Device == d.Name() {
			return d, nil
		}
		names = append(names, d.Name())
	}
	if c.Device == "" {
		return nil, errors.New("ip=: there is no network device")
	}
	return nil, fmt.Errorf("ip=: there is no device %q, only %q", c.Device, names)
}
