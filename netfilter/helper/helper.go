package helper

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/nat"
)

// Config is what the helpers are made with.
type Config struct {
	Table *conntrack.Table
	NAT   *nat.NAT // nil: addresses in the payload are never translated
	// Random returns an unpredictable number.
	Random func() uint32
	// Logf writes a line of the kernel log; nil for nowhere.
	Logf func(format string, args ...any)
}

// Set is the helpers of one stack.
type Set struct {
	cfg Config
	// Loose not 0 lets an FTP server or client name another host than itself
	// (Linux: the module parameter loose of nf_conntrack_ftp).
	Loose atomic.Int32

	mu    sync.Mutex
	kinds map[string]*kind
}

// kind is a helper and the ports it has names for.
type kind struct {
	usual  uint16 // whose name is without the port
	helper conntrack.Helper
	ports  []uint16
}

// expectTimeout is how long an expected connection may take to come.
const expectTimeout = int64(5 * time.Minute)

// Register makes the helpers ftp and tftp known to the table. Errors are those of
// conntrack's RegisterHelper.
func Register(c Config) (*Set, error) {
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	s := &Set{cfg: c}
	s.kinds = map[string]*kind{
		"ftp":  {usual: 21, helper: conntrack.Helper{Proto: conntrack.ProtoTCP, Help: (&ftp{s}).help}},
		"tftp": {usual: 69, helper: conntrack.Helper{Proto: conntrack.ProtoUDP, Help: (&tftp{s}).help}},
	}
	for name, k := range s.kinds {
		if err := s.AddPort(name, k.usual); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// maxKindPorts is how many ports a helper may have (Linux: MAX_PORTS).
const maxKindPorts = 8

// AddPort gives the helper "ftp" or "tftp" a name for a port, "ftp-2121", under
// which rules can ask for it, beside the one of the well-known port (Linux: the
// module parameters ports). A port it has is no error; ENOENT for another helper,
// ENOSPC when it has as many as it may.
func (s *Set) AddPort(name string, port uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[name]
	switch {
	case k == nil || port == 0:
		return syscall.ENOENT
	case slices.Contains(k.ports, port):
		return nil
	case len(k.ports) == maxKindPorts:
		return syscall.ENOSPC
	}
	h := k.helper
	if h.Name = name; port != k.usual {
		h.Name = fmt.Sprintf("%s-%d", name, port)
	}
	h.Policies = []conntrack.ExpectPolicy{{Name: h.Name, Max: 1, Timeout: expectTimeout}}
	if err := s.cfg.Table.RegisterHelper(&h); err != nil {
		return fmt.Errorf("helper %s: %w", h.Name, err)
	}
	k.ports = append(k.ports, port)
	return nil
}

// Ports returns the ports a helper has names for.
func (s *Set) Ports(name string) []uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.kinds[name]; k != nil {
		return slices.Clone(k.ports)
	}
	return nil
}

// translated reports whether what is said in the payload of c has to be
// translated.
func (s *Set) translated(ct *conntrack.Conn) bool {
	return s.cfg.NAT != nil && ct.Status()&conntrack.NATMask != 0
}

// maxPorts bounds the search for a port nobody else is expected at.
const maxPorts = 128

// expectAt enters an expectation at its port, or at another when connections to
// that one are expected already (Linux: nf_nat_exp_find_port). 0 when there is
// none.
func (s *Set) expectAt(e *conntrack.Expect, port uint16) uint16 {
	first, span := port, uint32(0xffff-port)
	for left := min(span, maxPorts); ; left-- {
		e.Tuple.DstPort = port
		err := s.cfg.Table.Expect(e)
		if err == nil {
			return port
		}
		if err != syscall.EBUSY || left == 0 {
			return 0
		}
		port = first + uint16(s.cfg.Random()%span)
	}
}

// followMaster gives an expected connection the translation of its master: it
// goes where the master's packets come from, in the name of where they go
// (Linux: nf_nat_follow_master).
func (s *Set) followMaster(ct *conntrack.Conn, e *conntrack.Expect) {
	m := e.Master.Tuple(e.Dir.Other())
	s.cfg.NAT.Setup(ct, &nat.Range{Flags: nat.MapIPs | nat.ProtoSpecified, MinAddr: m.Src, MaxAddr: m.Src,
		MinPort: e.SavedPort, MaxPort: e.SavedPort}, nat.Dst)
	s.cfg.NAT.Setup(ct, &nat.Range{Flags: nat.MapIPs, MinAddr: m.Dst, MaxAddr: m.Dst}, nat.Src)
}
