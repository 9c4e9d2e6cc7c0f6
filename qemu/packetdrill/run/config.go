package run

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"barewire/qemu/packetdrill/pdl"
)

// Config is what a script's options say. The defaults are those that scripts
// are written for.
type Config struct {
	Tolerance        time.Duration
	TolerancePercent float64 // of the time since the event before
	Local, Gateway   netip.Addr
	LocalBits        int
	Remote           netip.Addr
	RemoteNet        netip.Prefix
	BindPort         uint16
	ConnectPort      uint16
	MTU              int
	MSS              int           // of the peer: what comes in with more data stands for several segments; 0 for any
	TSTick           time.Duration // unit of timestamps; 0: they are not checked
	TSEcrScaled      bool
	StrictSegments   bool
	NonFatalPacket   bool
	NonFatalSyscall  bool
	InitScripts      []string // files of shell commands to run first
}

// OptionNames are the options of a script that have a value, and SwitchNames
// those that may have none. read-only.
var (
	OptionNames = []string{"ip_version", "tolerance_usecs", "tolerance_percent", "bind_port", "connect_port", "local_ip", "gateway_ip", "netmask_ip",
		"remote_ip", "mtu", "tcp_ts_tick_usecs", "init_scripts", "speed", "mss", "code_command", "code_format", "code_sockopt", "non_fatal",
		"wire_client_dev", "wire_server_dev", "wire_server_ip", "wire_server_at", "wire_server_port", "so_filename", "so_flags"}
	SwitchNames = []string{"tcp_ts_ecr_scaled", "strict_segments", "verbose", "debug", "dry_run", "send_omit_free", "is_anyip", "wire_client", "wire_server",
		"persistent_tun_dev"}
)

// NewConfig reads the options of a script. Options that name the other ways of
// running a script are passed over; what cannot be had is a *pdl.Unsupported.
func NewConfig(options []pdl.Option) (Config, error) {
	c := Config{
		Tolerance: 4 * time.Millisecond, TolerancePercent: 12.5,
		Local: netip.AddrFrom4([4]byte{192, 168, 0, 2}), Gateway: netip.AddrFrom4([4]byte{192, 168, 0, 1}), LocalBits: 16,
		RemoteNet: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 24),
		BindPort:  8080, ConnectPort: 8080, MTU: 1500,
	}
	for _, o := range options {
		if err := c.option(o.Name, strings.Trim(o.Value, `"`)); err != nil {
			if _, ok := err.(*pdl.Unsupported); ok {
				return c, err
			}
			return c, fmt.Errorf("--%s=%s: %w", o.Name, o.Value, err)
		}
	}
	c.Remote = c.RemoteNet.Addr()
	c.RemoteNet = c.RemoteNet.Masked()
	return c, nil
}

func (c *Config) option(name, value string) (err error) {
	port := func(p *uint16) {
		v, e := strconv.ParseUint(value, 10, 16)
		*p, err = uint16(v), e
	}
	addr := func(a *netip.Addr) { *a, err = netip.ParseAddr(value) }
	switch name {
	case "ip_version":
		if value != "ipv4" {
			return &pdl.Unsupported{Line: 1, What: "--ip_version=" + value}
		}
	case "tolerance_usecs":
		v, e := strconv.ParseInt(value, 10, 32)
		c.Tolerance, err = time.Duration(v)*time.Microsecond, e
	case "tolerance_percent":
		c.TolerancePercent, err = strconv.ParseFloat(value, 64)
	case "bind_port":
		port(&c.BindPort)
	case "connect_port":
		port(&c.ConnectPort)
	case "local_ip":
		addr(&c.Local)
	case "gateway_ip":
		addr(&c.Gateway)
	case "netmask_ip":
		var m netip.Addr
		addr(&m)
		if err == nil {
			c.LocalBits, err = maskBits(m)
		}
	case "remote_ip":
		if !strings.Contains(value, "/") {
			value += "/32"
		}
		c.RemoteNet, err = netip.ParsePrefix(value)
	case "mtu":
		c.MTU, err = strconv.Atoi(value)
	case "mss":
		if c.MSS, err = strconv.Atoi(value); err == nil && (c.MSS < 0 || c.MSS > math.MaxUint16) {
			err = errors.New("out of range")
		}
	case "tcp_ts_tick_usecs":
		v, e := strconv.ParseInt(value, 10, 32)
		c.TSTick, err = time.Duration(v)*time.Microsecond, e
	case "tcp_ts_ecr_scaled":
		c.TSEcrScaled = true
	case "strict_segments":
		c.StrictSegments = true
	case "non_fatal":
		c.NonFatalPacket = value == "" || strings.Contains(value, "packet")
		c.NonFatalSyscall = value == "" || strings.Contains(value, "syscall")
	case "init_scripts":
		c.InitScripts = strings.Split(value, ",")
	case "define", "verbose", "debug", "dry_run", "speed", "code_command", "code_format", "code_sockopt", "send_omit_free", "is_anyip",
		"persistent_tun_dev", "so_filename", "so_flags":
	case "wire_client", "wire_server", "wire_client_dev", "wire_server_dev", "wire_server_ip", "wire_server_at", "wire_server_port":
		return &pdl.Unsupported{Line: 1, What: "--" + name + ": a wire between two machines"}
	default:
		return &pdl.Unsupported{Line: 1, What: "--" + name}
	}
	return err
}

func maskBits(m netip.Addr) (int, error) {
	for bits := 0; bits <= 32; bits++ {
		if p, _ := netip.AddrFrom4([4]byte{255, 255, 255, 255}).Prefix(bits); p.Addr() == m {
			return bits, nil
		}
	}
	return 0, fmt.Errorf("%v is no netmask", m)
}
