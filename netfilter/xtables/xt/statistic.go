package xt

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"barewire/netfilter/xtables"
)

var statisticDef = &xtables.Def{ // read-only
	Name: "statistic",
	Options: []xtables.Option{
		{Name: "mode", ID: 0, Args: 1},
		{Name: "probability", ID: 1, Args: 1, Invert: true},
		{Name: "every", ID: 2, Args: 1, Invert: true, Excl: 1 << 1},
		{Name: "packet", ID: 3, Args: 1, Excl: 1 << 1},
	},
	NewMatch: func() xtables.Match { return new(statisticMatch) },
}

// statisticMatch is xt_statistic: every nth packet, or each with a probability.
type statisticMatch struct {
	xtables.Plain
	nth, invert   bool
	asked         uint32
	probability   uint32 // of 2^31
	every, packet uint32
	count         atomic.Uint32
}

// Set implements xtables.Extension.
func (m *statisticMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	m.asked |= 1 << id
	m.invert = m.invert || invert
	switch id {
	case 0:
		switch args[0] {
		case "random":
			m.nth = false
		case "nth":
			m.nth = true
		default:
			return fmt.Errorf("Bad mode \"%s\"", args[0])
		}
	case 1:
		f, err := strconv.ParseFloat(args[0], 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return errors.New("statistic: bad value for option \"--probability\", or out of range (0-1).\n")
		}
		m.probability = uint32(0x80000000*f + 0.5)
	case 2:
		n, err := number("statistic", "every", args[0], 1, 1<<32-1)
		if err != nil {
			return err
		}
		m.every = uint32(n)
	case 3:
		n, err := number("statistic", "packet", args[0], 0, 1<<32-1)
		if err != nil {
			return err
		}
		m.packet = uint32(n)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *statisticMatch) Done(*xtables.ParseContext) error {
	switch {
	case !m.nth && m.asked&(1<<1) == 0:
		return errors.New("--probability must be specified when using random mode")
	case m.nth && m.asked&(1<<2|1<<3) == 1<<2:
		return errors.New("statistic: option \"--every\" also requires \"--packet\".\n")
	case m.nth && m.asked&(1<<2|1<<3) == 1<<3:
		return errors.New("statistic: option \"--packet\" also requires \"--every\".\n")
	case m.nth && m.asked&(1<<2|1<<3) == 0:
		return errors.New("--every and --packet must be specified when using nth mode")
	case m.nth && m.packet >= m.every:
		return errors.New("the --packet p must be 0 <= p <= n-1")
	}
	return nil
}

func (m *statisticMatch) text(b []byte, dash string) []byte {
	if !m.nth {
		b = not(append(append(append(b, ' '), dash...), "mode random"...), m.invert)
		return fmt.Appendf(b, " %sprobability %.11f", dash, float64(m.probability)/0x80000000)
	}
	b = not(append(append(append(b, ' '), dash...), "mode nth"...), m.invert)
	return fmt.Appendf(b, " %severy %d %spacket %d", dash, m.every, dash, m.packet)
}

// Save implements xtables.Extension.
func (m *statisticMatch) Save(b []byte) []byte { return m.text(b, "--") }

// Print implements xtables.Extension.
func (m *statisticMatch) Print(b []byte, _ bool) []byte {
	return m.text(append(b, " statistic"...), "")
}

// Attach implements xtables.Attacher: the packets of nth begin anew.
func (m *statisticMatch) Attach(*xtables.CheckContext) error {
	if m.nth {
		m.count.Store(m.every - 1 - m.packet)
	}
	return nil
}

// Destroy implements xtables.Attacher.
func (m *statisticMatch) Destroy() {}

// Match implements xtables.Match (Linux: statistic_mt).
func (m *statisticMatch) Match(p *xtables.Packet) bool {
	if !m.nth {
		return (p.Env.Random()>>1 < m.probability) != m.invert
	}
	for {
		n := m.count.Load()
		next := n + 1
		if n == m.every-1 {
			next = 0
		}
		if m.count.CompareAndSwap(n, next) {
			return (next == 0) != m.invert
		}
	}
}
