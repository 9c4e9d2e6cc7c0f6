package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter/nflog"
	"barewire/netfilter/xtables"
)

var logTarget = &xtables.Def{ // read-only
	Name: "LOG",
	Options: []xtables.Option{
		{Name: "log-level", ID: 0, Args: 1},
		{Name: "log-prefix", ID: 1, Args: 1},
		{Name: "log-tcp-sequence", ID: 2},
		{Name: "log-tcp-options", ID: 3},
		{Name: "log-ip-options", ID: 4},
		{Name: "log-uid", ID: 5},
		{Name: "log-macdecode", ID: 6},
	},
	NewTarget: func() xtables.Target { return &logTG{level: logLevel} },
}

const (
	logLevel     = 4 // warning
	logPrefixMax = 29
)

// logTG is xt_LOG.
type logTG struct {
	xtables.Plain
	level  uint8
	prefix string
	flags  nflog.Flags
}

// logLevels are the names of levels; where there are two, that which is printed
// first. read-only
var logLevels = []struct {
	name  string
	level uint8
}{
	{"alert", 1}, {"crit", 2}, {"debug", 7}, {"emerg", 0}, {"err", 3}, {"info", 6}, {"notice", 5}, {"warn", 4},
	{"error", 3}, {"panic", 0}, {"warning", 4},
}

// logFlags are options and the words of iptables -L. read-only
var logFlags = []struct {
	option, word string
	bit          nflog.Flags
}{
	{"--log-tcp-sequence", "tcp-sequence", nflog.TCPSeq}, {"--log-tcp-options", "tcp-options", nflog.TCPOpt},
	{"--log-ip-options", "ip-options", nflog.IPOpt}, {"--log-uid", "uid", nflog.UID},
	{"--log-macdecode", "macdecode", nflog.MACDecode},
}

// Set implements xtables.Extension.
func (t *logTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	switch id {
	case 0:
		return t.setLevel(args[0])
	case 1:
		if strings.Contains(args[0], "\n") {
			return errors.New("Newlines not allowed in --log-prefix")
		}
		t.prefix = args[0][:min(len(args[0]), logPrefixMax)]
	default:
		t.flags |= logFlags[id-2].bit
	}
	return nil
}

func (t *logTG) setLevel(s string) error {
	if n, ok := parseUint(s, 0, 7); ok {
		t.level = uint8(n)
		return nil
	}
	for _, l := range logLevels {
		if strings.EqualFold(l.name, s) {
			t.level = l.level
			return nil
		}
	}
	return fmt.Errorf("log level \"%s\" unknown\n", s)
}

// Save implements xtables.Extension.
func (t *logTG) Save(b []byte) []byte {
	if t.prefix != "" {
		b = xtables.AppendString(append(b, " --log-prefix"...), t.prefix)
	}
	if t.level != logLevel {
		b = strconv.AppendUint(append(b, " --log-level "...), uint64(t.level), 10)
	}
	for _, f := range logFlags {
		if t.flags&f.bit != 0 {
			b = append(append(b, ' '), f.option...)
		}
	}
	return b
}

// Print implements xtables.Extension.
func (t *logTG) Print(b []byte, numeric bool) []byte {
	b = append(b, " LOG"...)
	if numeric {
		b = strconv.AppendUint(append(b, " flags "...), uint64(t.flags), 10)
		b = strconv.AppendUint(append(b, " level "...), uint64(t.level), 10)
	} else {
		for _, l := range logLevels[:8] {
			if l.level == t.level {
				b = append(append(b, " level "...), l.name...)
			}
		}
		for _, f := range logFlags {
			if t.flags&f.bit != 0 {
				b = append(append(b, ' '), f.word...)
			}
		}
	}
	if t.prefix != "" {
		b = append(append(append(b, " prefix \""...), t.prefix...), '"')
	}
	return b
}

// Check implements xtables.Extension.
func (t *logTG) Check(c *xtables.CheckContext) error {
	if c.Env.Log == nil {
		return errors.New("there is no log here")
	}
	return nil
}

// Target implements xtables.Target (Linux: log_tg).
func (t *logTG) Target(p *xtables.Packet) xtables.Verdict {
	p.Line = nflog.Append(p.Line[:0], p.B, p.State, t.prefix, t.flags)
	p.Env.Log(int(t.level), p.Line)
	return xtables.Continue
}
