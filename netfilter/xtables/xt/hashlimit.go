package xt

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"barewire/netfilter/xtables"
)

// IDs of the options of hashlimit.
const (
	hlUpto = iota
	hlAbove
	hlBurst
	hlMode
	hlSrcMask
	hlDstMask
	hlName
	hlSize
	hlMax
	hlGC
	hlExpire
	hlRateMatch
	hlInterval
)

var hashlimitDef = &xtables.Def{ // read-only
	Name: "hashlimit",
	Options: []xtables.Option{
		{Name: "hashlimit-upto", ID: hlUpto, Args: 1, Invert: true, Excl: 1 << hlAbove},
		{Name: "hashlimit-above", ID: hlAbove, Args: 1, Invert: true, Excl: 1 << hlUpto},
		{Name: "hashlimit", ID: hlUpto, Args: 1, Invert: true, Excl: 1 << hlAbove},
		{Name: "hashlimit-srcmask", ID: hlSrcMask, Args: 1},
		{Name: "hashlimit-dstmask", ID: hlDstMask, Args: 1},
		{Name: "hashlimit-burst", ID: hlBurst, Args: 1},
		{Name: "hashlimit-htable-size", ID: hlSize, Args: 1},
		{Name: "hashlimit-htable-max", ID: hlMax, Args: 1},
		{Name: "hashlimit-htable-gcinterval", ID: hlGC, Args: 1},
		{Name: "hashlimit-htable-expire", ID: hlExpire, Args: 1},
		{Name: "hashlimit-mode", ID: hlMode, Args: 1},
		{Name: "hashlimit-name", ID: hlName, Args: 1},
		{Name: "hashlimit-rate-match", ID: hlRateMatch},
		{Name: "hashlimit-rate-interval", ID: hlInterval, Args: 1},
	},
	NewMatch: func() xtables.Match {
		return &hashlimitMatch{cfg: hlConfig{burst: 5, gc: hlGCDefault, interval: 1}, srcMask: 32, dstMask: 32}
	},
}

// Numbers of hashlimit, times in ms.
const (
	hlScale           = 1000000 // units of a rate's period in a second
	hlBurstMax        = 1000000
	hlGCDefault       = 1000
	hlByteExpire      = 15 * 1000
	hlByteExpireBurst = 60 * 1000
	hlNameMax         = 255
)

// hlKind says what flows are told apart by, and how they are measured.
type hlKind uint8

const (
	hlSrcIP hlKind = 1 << iota
	hlSrcPort
	hlDstIP
	hlDstPort
	hlBytes
	hlWindow // --hashlimit-rate-match
)

// hlModes are the names of the first four. read-only
var hlModes = []string{"srcip", "srcport", "dstip", "dstport"}

// hlConfig is what a table of flows is made with. avg is the time between
// packets in units of hlScale, or with hlBytes what sixteen bytes cost.
type hlConfig struct {
	kind       hlKind
	avg, burst uint64
	size, max  uint32
	gc, expire uint32 // ms
	interval   uint32 // s
}

// hashlimitMatch is xt_hashlimit: a rate for each flow.
type hashlimitMatch struct {
	xtables.Plain
	cfg              hlConfig
	above            bool
	srcMask, dstMask uint8
	name             string

	burst   uint64 // as it was written
	inBytes bool   // with a unit
	table   *hlTable
	tables  *Hashlimits
}

// costToBytes and bytesToCost turn a rate in bytes a second into what the
// kernel counts with, and back.
func bytesToCost(n uint64) uint64 { return 0xffffffff / (n>>4 + 1) }

func costToBytes(cost uint64) uint64 {
	if cost == 0 {
		return 0xffffffff << 4
	}
	return (0xffffffff/cost - 1) << 4
}

// parseBytes takes a number with the unit b, kb or mb and what else rest is.
func parseBytes(s, rest string) (uint64, bool) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(s[:i], 10, 40)
	if err != nil {
		return 0, false
	}
	switch strings.ToLower(s[i:]) {
	case "b" + rest:
	case "kb" + rest:
		n <<= 10
	case "mb" + rest:
		n <<= 20
	default:
		return 0, false
	}
	return n, true
}

func badValue(opt, s string) error {
	return fmt.Errorf("hashlimit: Bad value for \"--%s\" option: \"%s\"", opt, s)
}

// Set implements xtables.Extension.
func (m *hashlimitMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	s := ""
	if len(args) > 0 {
		s = args[0]
	}
	num := func(opt string, lo, hi uint64, to *uint32) error {
		n, err := number("hashlimit", opt, s, lo, hi)
		*to = uint32(n)
		return err
	}
	switch id {
	case hlUpto, hlAbove:
		m.above = (id == hlAbove) != invert
		return m.setRate([]string{"hashlimit-upto", "hashlimit-above"}[id], s)
	case hlBurst:
		if n, ok := parseBytes(s, ""); ok {
			m.burst, m.inBytes = n, true
		} else if n, ok = parseUint(s, 1, hlBurstMax); ok {
			m.burst, m.inBytes = n, false
		} else {
			return errBurst()
		}
	case hlMode:
		return m.setMode(s)
	case hlSrcMask, hlDstMask:
		n, err := number("hashlimit", []string{"hashlimit-srcmask", "hashlimit-dstmask"}[id-hlSrcMask], s, 0, 255)
		if id == hlSrcMask {
			m.srcMask = uint8(n)
		} else {
			m.dstMask = uint8(n)
		}
		return err
	case hlName:
		if s == "" {
			return fmt.Errorf("Argument must have a minimum length of 1 characters\n")
		}
		if !isWord(s) || len(s) > hlNameMax || strings.Contains(s, "/") {
			return badValue("hashlimit-name", s)
		}
		m.name = s
	case hlSize:
		return num("hashlimit-htable-size", 0, 0xffffffff, &m.cfg.size)
	case hlMax:
		return num("hashlimit-htable-max", 0, 0xffffffff, &m.cfg.max)
	case hlGC:
		return num("hashlimit-htable-gcinterval", 0, 0xffffffff, &m.cfg.gc)
	case hlExpire:
		return num("hashlimit-htable-expire", 0, 0xffffffff, &m.cfg.expire)
	case hlRateMatch:
		m.cfg.kind |= hlWindow
	case hlInterval:
		return num("hashlimit-rate-interval", 1, 0xffffffff, &m.cfg.interval)
	}
	return nil
}

func errBurst() error {
	return fmt.Errorf("bad value for option \"--hashlimit-burst\", or out of range (1-%d).", hlBurstMax)
}

func (m *hashlimitMatch) setRate(opt, s string) error {
	if n, ok := parseBytes(s, "/s"); ok {
		if n == 0 || n>>4 >= 0xffffffff {
			return fmt.Errorf("Rate too fast \"%s\"", s)
		}
		m.cfg.avg = bytesToCost(n)
		m.cfg.kind |= hlBytes
		return nil
	}
	avg, err := parseRate(s, hlScale)
	if err != nil {
		if strings.HasPrefix(err.Error(), "Rate too fast") {
			return err
		}
		return badValue(opt, s)
	}
	m.cfg.avg = avg
	m.cfg.kind &^= hlBytes
	return nil
}

func (m *hashlimitMatch) setMode(s string) error {
next:
	for w := range strings.SplitSeq(s, ",") {
		for i, n := range hlModes {
			if w == n {
				m.cfg.kind |= 1 << i
				continue next
			}
		}
		return badValue("hashlimit-mode", w)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *hashlimitMatch) Done(c *xtables.ParseContext) error {
	if !c.Seen(hlUpto) && !c.Seen(hlAbove) {
		return fmt.Errorf("You have to specify --hashlimit")
	}
	if m.name == "" {
		return fmt.Errorf("hashlimit: option \"--hashlimit-name\" must be specified\n")
	}
	given, expire := c.Seen(hlBurst), c.Seen(hlExpire)
	if m.cfg.kind&hlBytes == 0 {
		if given {
			if m.inBytes || m.burst > hlBurstMax {
				return errBurst()
			}
			m.cfg.burst = m.burst
		}
		if !expire {
			m.cfg.expire = m.period()
		}
		return nil
	}
	m.cfg.burst = 0
	if !expire {
		m.cfg.expire = hlByteExpire
	}
	if given {
		unit := costToBytes(m.cfg.avg)
		if m.burst < unit {
			return fmt.Errorf("burst cannot be smaller than %db", unit)
		}
		m.cfg.burst = (m.burst + unit - 1) / unit
		if !expire {
			m.cfg.expire = hlByteExpireBurst
		}
	}
	return nil
}

// period is the time the rate is printed for, in ms: so long an idle flow is
// remembered, if nothing else was said.
func (m *hashlimitMatch) period() uint32 {
	if m.cfg.kind&hlBytes != 0 {
		if m.cfg.burst == 0 {
			return hlByteExpire
		}
		return hlByteExpireBurst
	}
	return uint32(ratePeriod(m.cfg.avg, hlScale).seconds * 1000)
}

// appendBytes appends n bytes in the largest unit that fits says yes to.
func appendBytes(b []byte, n uint64, fits func(rounded uint64) bool) []byte {
	unit, shift := "b", 0
	for i, u := range []string{"mb", "kb"} {
		// As in iptables, what is rounded has 32 bits.
		if s := 20 - 10*i; n >= 1<<s && fits(n&(0xffffffff&^(1<<s-1))) {
			unit, shift = u, s
			break
		}
	}
	return append(strconv.AppendUint(b, n>>shift, 10), unit...)
}

// Save implements xtables.Extension.
func (m *hashlimitMatch) Save(b []byte) []byte { return m.text(b, " --hashlimit-", ',', m.cfg.avg) }

// Print implements xtables.Extension.
func (m *hashlimitMatch) Print(b []byte, _ bool) []byte {
	avg := m.cfg.avg
	if m.cfg.kind&hlWindow != 0 {
		avg *= uint64(m.cfg.interval) // as iptables -L has it
	}
	return m.text(append(b, " limit:"...), " ", '-', avg)
}

func (m *hashlimitMatch) text(b []byte, lead string, sep byte, avg uint64) []byte {
	c := &m.cfg
	opt := func(name string) { b = append(append(b, lead...), name...) }
	num := func(name string, n uint64) {
		opt(name)
		b = strconv.AppendUint(append(b, ' '), n, 10)
	}
	switch {
	case m.above:
		opt("above ")
	case lead == " ":
		opt("up to ")
	default:
		opt("upto ")
	}
	if c.kind&hlBytes != 0 {
		b = append(appendBytes(b, costToBytes(c.avg), func(n uint64) bool { return bytesToCost(n) == c.avg }), "/s"...)
		if c.burst != 0 {
			opt("burst ")
			b = appendBytes(b, c.burst*costToBytes(c.avg), func(uint64) bool { return true })
		}
	} else {
		b = appendRate(b, avg, hlScale)
		num("burst", c.burst)
	}
	if c.kind&15 != 0 {
		opt("mode")
		s := byte(' ')
		for i, n := range hlModes {
			if c.kind&(1<<i) != 0 {
				b = append(append(b, s), n...)
				s = sep
			}
		}
	}
	if lead != " " {
		opt("name ")
		b = append(b, m.name...)
	}
	for _, o := range []struct {
		name string
		n    uint32
		skip uint32
	}{{"htable-size", c.size, 0}, {"htable-max", c.max, 0}, {"htable-gcinterval", c.gc, hlGCDefault},
		{"htable-expire", c.expire, m.period()}, {"srcmask", uint32(m.srcMask), 32}, {"dstmask", uint32(m.dstMask), 32}} {
		if o.n != o.skip {
			num(o.name, uint64(o.n))
		}
	}
	if c.kind&hlWindow != 0 {
		opt("rate-match")
	}
	if c.interval != 1 && c.kind&hlWindow != 0 {
		num("rate-interval", uint64(c.interval))
	}
	return b
}

// Check implements xtables.Extension (Linux: hashlimit_mt_check_common).
func (m *hashlimitMatch) Check(*xtables.CheckContext) error {
	c := &m.cfg
	switch {
	case c.gc == 0 || c.expire == 0:
		return fmt.Errorf("xt_hashlimit: interval of collection and expiry may not be 0")
	case m.srcMask > 32 || m.dstMask > 32:
		return fmt.Errorf("xt_hashlimit: mask is longer than an address")
	case c.kind&hlBytes != 0:
		if hlByteCost(c.avg) == 0 {
			return fmt.Errorf("xt_hashlimit: overflow, rate too high: %d", c.avg)
		}
	case c.burst == 0 || hlCredits(c.avg*c.burst) < hlCredits(c.avg):
		return &xtables.CheckError{Errno: syscall.ERANGE, Text: fmt.Sprintf("xt_hashlimit: overflow, try lower: %d/%d", c.avg, c.burst)}
	}
	return nil
}
