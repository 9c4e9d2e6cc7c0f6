package xt

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"barewire/netfilter/xtables"
)

var limitDef = &xtables.Def{ // read-only
	Name: "limit",
	Options: []xtables.Option{
		{Name: "limit", ID: 0, Args: 1},
		{Name: "limit-burst", ID: 1, Args: 1},
	},
	NewMatch: func() xtables.Match { return &limitMatch{avg: 3600 * rateScale / 3, burst: limitBurst} },
}

const (
	rateScale  = 10000 // units of a rate's period in a second (XT_LIMIT_SCALE)
	rateUnit   = 1e9 / rateScale
	limitBurst = 5
)

// limitMatch is xt_limit, a bucket of tokens that all packets of the rule share.
type limitMatch struct {
	xtables.Plain
	avg   uint64 // time between packets, in units of rateScale
	burst uint32

	mu     sync.Mutex
	credit int64 // ns
	prev   int64
}

// rateNames are the periods a rate can be given for. read-only
var rateNames = []rateName{{"day", "day", 86400}, {"hour", "hour", 3600}, {"minute", "min", 60}, {"second", "sec", 1}}

// parseRate takes "n[/period]", the period's name cut short at will, and returns
// the time between packets.
func parseRate(s string, scale uint64) (avg uint64, err error) {
	num, per, is := strings.Cut(s, "/")
	n, e := strconv.ParseUint(strings.TrimSpace(num), 10, 31)
	mult := uint64(1)
	if is {
		mult = 0
		for _, r := range rateNames {
			if per != "" && len(per) <= len(r.long) && strings.EqualFold(r.long[:len(per)], per) {
				mult = r.seconds
			}
		}
	}
	if e != nil || n == 0 || mult == 0 {
		return 0, fmt.Errorf("bad rate \"%s\"'", s)
	}
	if n/mult > scale || scale*mult/n == 0 {
		return 0, fmt.Errorf("Rate too fast \"%s\"", s)
	}
	return scale * mult / n, nil
}

// rateName is a period a rate can be given for.
type rateName struct {
	long, short string
	seconds     uint64
}

// ratePeriod returns the period that fits a rate best (print_rate).
func ratePeriod(avg, scale uint64) *rateName {
	i := 1
	for ; i < len(rateNames); i++ {
		m := rateNames[i].seconds * scale
		if avg > m || m/avg < m%avg {
			break
		}
	}
	return &rateNames[i-1]
}

// appendRate appends "n/period".
func appendRate(b []byte, avg, scale uint64) []byte {
	if avg == 0 {
		return append(b, "inf"...)
	}
	r := ratePeriod(avg, scale)
	b = strconv.AppendUint(b, r.seconds*scale/avg, 10)
	return append(append(b, '/'), r.short...)
}

// Set implements xtables.Extension.
func (m *limitMatch) Set(_ *xtables.ParseContext, id int, args []string, _ bool) (err error) {
	if id == 0 {
		m.avg, err = parseRate(args[0], rateScale)
		return err
	}
	n, err := number("limit", "limit-burst", args[0], 0, 10000)
	m.burst = uint32(n)
	return err
}

// Save implements xtables.Extension.
func (m *limitMatch) Save(b []byte) []byte {
	b = appendRate(append(b, " --limit "...), m.avg, rateScale)
	if m.burst != limitBurst {
		b = strconv.AppendUint(append(b, " --limit-burst "...), uint64(m.burst), 10)
	}
	return b
}

// Print implements xtables.Extension.
func (m *limitMatch) Print(b []byte, _ bool) []byte {
	b = appendRate(append(b, " limit: avg "...), m.avg, rateScale)
	return strconv.AppendUint(append(b, " burst "...), uint64(m.burst), 10)
}

// Check implements xtables.Extension: the kernel counts in 32 bits, and refuses
// what does not fit (Linux: limit_mt_check).
func (m *limitMatch) Check(*xtables.CheckContext) error {
	if m.burst == 0 || limitCredits(uint32(m.avg)*m.burst) < limitCredits(uint32(m.avg)) {
		return &xtables.CheckError{Errno: syscall.ERANGE, Text: fmt.Sprintf("Overflow, try lower: %d/%d", m.avg, m.burst)}
	}
	return nil
}

// limitCredits is user2credits with the kernel's thousand ticks a second.
func limitCredits(user uint32) uint32 {
	const perSecond = 1000 * 32
	if user > 0xffffffff/perSecond {
		return user / rateScale * perSecond
	}
	return user * perSecond / rateScale
}

// Attach implements xtables.Attacher: the bucket is full.
func (m *limitMatch) Attach(c *xtables.CheckContext) error {
	m.prev, m.credit = c.Env.Now(), m.cap()
	return nil
}

// Destroy implements xtables.Attacher.
func (m *limitMatch) Destroy() {}

func (m *limitMatch) cost() int64 { return int64(m.avg) * rateUnit }
func (m *limitMatch) cap() int64  { return m.cost() * int64(m.burst) }

// Match implements xtables.Match (Linux: limit_mt).
func (m *limitMatch) Match(p *xtables.Packet) bool {
	now := p.Env.Now()
	m.mu.Lock()
	m.credit = min(m.credit+max(now-m.prev, 0), m.cap())
	m.prev = now
	ok := m.credit >= m.cost()
	if ok {
		m.credit -= m.cost()
	}
	m.mu.Unlock()
	return ok
}
