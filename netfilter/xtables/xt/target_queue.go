package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
)

var (
	nfqueueTarget = &xtables.Def{ // read-only
		Name: "NFQUEUE",
		Options: []xtables.Option{
			{Name: "queue-num", ID: 0, Args: 1, Excl: 2},
			{Name: "queue-balance", ID: 1, Args: 1, Excl: 1},
			{Name: "queue-bypass", ID: 2},
			{Name: "queue-cpu-fanout", ID: 3, Also: 2},
		},
		NewTarget: func() xtables.Target { return &nfqueueTG{total: 1} },
	}
	nflogTarget = &xtables.Def{ // read-only
		Name: "NFLOG",
		Options: []xtables.Option{
			{Name: "nflog-group", ID: 0, Args: 1},
			{Name: "nflog-prefix", ID: 1, Args: 1},
			{Name: "nflog-range", ID: 2, Args: 1},
			{Name: "nflog-size", ID: 3, Args: 1},
			{Name: "nflog-threshold", ID: 4, Args: 1},
		},
		NewTarget: func() xtables.Target { return &nflogTG{threshold: 1} },
	}
)

// nfqueueTG is xt_NFQUEUE.
type nfqueueTG struct {
	xtables.Plain
	first, total   uint16
	bypass, fanout bool
}

// Set implements xtables.Extension.
func (t *nfqueueTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	switch id {
	case 0:
		n, err := number("NFQUEUE", "queue-num", args[0], 0, 65535)
		if err != nil {
			return err
		}
		t.first = uint16(n)
	case 1:
		a, b, is := strings.Cut(args[0], ":")
		lo, ok := parseUint(a, 0, 65535)
		hi, ok2 := parseUint(b, 0, 65535)
		if !is || !ok || !ok2 {
			return fmt.Errorf("Bad range \"%s\"", args[0])
		}
		if lo >= hi {
			return fmt.Errorf("%d should be less than %d", lo, hi)
		}
		if hi-lo+1 > 65535 {
			return errors.New("NFQUEUE: number of total queues is 0")
		}
		t.first, t.total = uint16(lo), uint16(hi-lo+1)
	case 2:
		t.bypass = true
	case 3:
		t.fanout = true
	}
	return nil
}

func (t *nfqueueTG) text(b []byte, num, balance, dashes string) []byte {
	if t.total > 1 {
		b = strconv.AppendUint(append(b, balance...), uint64(t.first), 10)
		b = strconv.AppendUint(append(b, ':'), uint64(t.first)+uint64(t.total)-1, 10)
	} else {
		b = strconv.AppendUint(append(b, num...), uint64(t.first), 10)
	}
	if t.bypass {
		b = append(append(append(b, ' '), dashes...), "bypass"...)
	}
	if t.fanout {
		b = append(append(append(b, ' '), dashes...), "cpu-fanout"...)
	}
	return b
}

// Save implements xtables.Extension.
func (t *nfqueueTG) Save(b []byte) []byte {
	return t.text(b, " --queue-num ", " --queue-balance ", "--queue-")
}

// Print implements xtables.Extension.
func (t *nfqueueTG) Print(b []byte, _ bool) []byte {
	return t.text(b, " NFQUEUE num ", " NFQUEUE balance ", "")
}

// Target implements xtables.Target (Linux: nfqueue_tg_v3). Both directions of a
// flow go to one queue.
func (t *nfqueueTG) Target(p *xtables.Packet) xtables.Verdict {
	q := t.first
	if t.total > 1 {
		h := uint64(uint32(p.Src^p.Dst)) * 0x9e3779b97f4a7c15
		q += uint16(h >> 32 * uint64(t.total) >> 32)
	}
	return xtables.Verdict(netfilter.QueueTo(q, t.bypass))
}

// nflogTG is xt_NFLOG.
type nflogTG struct {
	xtables.Plain
	group, threshold uint16
	prefix           string
	size             uint32
	hasSize, isRange bool
}

// nflogPrefixMax is what of a prefix is kept.
const nflogPrefixMax = 63

// Set implements xtables.Extension.
func (t *nflogTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	if id == 1 {
		if strings.Contains(args[0], "\n") {
			return errors.New("Newlines not allowed in --log-prefix")
		}
		t.prefix = args[0][:min(len(args[0]), nflogPrefixMax)]
		return nil
	}
	most := uint64(65535)
	if id == 2 || id == 3 {
		most = 0xffffffff
	}
	n, err := number("NFLOG", []string{"nflog-group", "", "nflog-range", "nflog-size", "nflog-threshold"}[id], args[0], 0, most)
	if err != nil {
		return err
	}
	switch id {
	case 0:
		t.group = uint16(n)
	case 2, 3:
		t.size, t.hasSize, t.isRange = uint32(n), true, id == 2
	case 4:
		t.threshold = uint16(n)
	}
	return nil
}

func (t *nflogTG) text(b []byte, dashes string) []byte {
	opt := func(name string) { b = append(append(append(b, ' '), dashes...), name...) }
	num := func(name string, n uint64) {
		opt(name)
		b = strconv.AppendUint(append(b, ' '), n, 10)
	}
	if t.prefix != "" {
		opt("nflog-prefix")
		b = xtables.AppendString(b, t.prefix)
	}
	if t.group != 0 {
		num("nflog-group", uint64(t.group))
	}
	switch {
	case t.hasSize && !t.isRange:
		num("nflog-size", uint64(t.size))
	case t.size != 0:
		num("nflog-range", uint64(t.size))
	}
	if t.threshold != 1 {
		num("nflog-threshold", uint64(t.threshold))
	}
	return b
}

// Save implements xtables.Extension.
func (t *nflogTG) Save(b []byte) []byte { return t.text(b, "--") }

// Print implements xtables.Extension.
func (t *nflogTG) Print(b []byte, _ bool) []byte { return t.text(b, "") }

// Target implements xtables.Target (Linux: nflog_tg). Without listeners it does
// nothing.
func (t *nflogTG) Target(p *xtables.Packet) xtables.Verdict {
	if p.Env.NFLog != nil {
		size := -1
		if t.hasSize && !t.isRange {
			size = int(t.size)
		}
		p.Env.NFLog(p.B, p.State, t.group, t.prefix, size)
	}
	return xtables.Continue
}
