package helper

import (
	"fmt"
	"syscall"
	"time"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/nat"
)

// Config is what the helpers are made with.
type Config struct {
	Table *conntrack.Table
	NAT   *nat.NAT // nil: addresses in the payload are never translated
	// Ports for which there is a helper of its own name, "ftp-2121", beside the
	// one of the well-known port (Linux: the module parameters ports).
	FTPPorts, TFTPPorts []uint16
	// Loose lets an FTP server or client name another host than itself (Linux:
	// the module parameter loose of nf_conntrack_ftp).
	Loose bool
	// Random returns an unpredictable number.
	Random func() uint32
	// Logf writes a line of the kernel log; nil for nowhere.
	Logf func(format string, args ...any)
}

// expectTimeout is how long an expected connection may take to come.
const expectTimeout = int64(5 * time.Minute)

// Register makes the helpers known to the table. Errors are those of
// conntrack's RegisterHelper.
func Register(c Config) error {
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	policy := func(name string) []conntrack.ExpectPolicy {
		return []conntrack.ExpectPolicy{{Name: name, Max: 1, Timeout: expectTimeout}}
	}
	f, t := &ftp{Config: c}, &tftp{Config: c}
	add := func(base string, usual uint16, h conntrack.Helper, ports []uint16) error {
		for i, p := range append([]uint16{usual}, ports...) {
			h := h
			h.Name = base
			if p == usual && i > 0 {
				continue
			}
			if p != usual {
				h.Name = fmt.Sprintf("%s-%d", base, p)
			}
			h.Policies = policy(h.Name)
			if err := c.Table.RegisterHelper(&h); err != nil {
				return fmt.Errorf("helper %s: %w", h.Name, err)
			}
		}
		return nil
	}
	if err := add("ftp", 21, conntrack.Helper{Proto: conntrack.ProtoTCP, Help: f.help}, c.FTPPorts); err != nil {
		return err
	}
	return add("tftp", 69, conntrack.Helper{Proto: conntrack.ProtoUDP, Help: t.help}, c.TFTPPorts)
}

// translated reports whether what is said in the payload of c has to be
// translated.
func (c *Config) translated(ct *conntrack.Conn) bool {
	return c.NAT != nil && ct.Status()&conntrack.NATMask != 0
}

// maxPorts bounds the search for a port nobody else is expected at.
const maxPorts = 128

// expectAt enters an expectation at its port, or at another when connections to
// that one are expected already (Linux: nf_nat_exp_find_port). 0 when there is
// none.
func (c *Config) expectAt(e *conntrack.Expect, port uint16) uint16 {
	first, span := port, uint32(0xffff-port)
	for left := min(span, maxPorts); ; left-- {
		e.Tuple.DstPort = port
		err := c.Table.Expect(e)
		if err == nil {
			return port
		}
		if err != syscall.EBUSY || left == 0 {
			return 0
		}
		port = first + uint16(c.Random()%span)
	}
}

// followMaster gives an expected connection the translation of its master: it
// goes where the master's packets come from, in the name of where they go
// (Linux: nf_nat_follow_master).
func (c *Config) followMaster(ct *conntrack.Conn, e *conntrack.Expect) {
	m := e.Master.Tuple(e.Dir.Other())
	c.NAT.Setup(ct, &nat.Range{Flags: nat.MapIPs | nat.ProtoSpecified, MinAddr: m.Src, MaxAddr: m.Src,
		MinPort: e.SavedPort, MaxPort: e.SavedPort}, nat.Dst)
	c.NAT.Setup(ct, &nat.Range{Flags: nat.MapIPs, MinAddr: m.Dst, MaxAddr: m.Dst}, nat.Src)
}
