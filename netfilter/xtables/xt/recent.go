package xt

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// IDs of the options of recent, which are also bits of what it does.
const (
	recentSet = iota
	recentCheck
	recentUpdate
	recentRemove
	recentSeconds
	recentHitcount
	recentTTL
	recentName
	recentSource
	recentDest
	recentReap
	recentMask
)

const recentCommands = 1<<recentSet | 1<<recentCheck | 1<<recentUpdate | 1<<recentRemove

var recentDef = &xtables.Def{ // read-only
	Name: "recent",
	Options: []xtables.Option{
		{Name: "set", ID: recentSet, Invert: true, Excl: recentCommands &^ (1 << recentSet)},
		{Name: "rcheck", ID: recentCheck, Invert: true, Excl: recentCommands &^ (1 << recentCheck)},
		{Name: "update", ID: recentUpdate, Invert: true, Excl: recentCommands &^ (1 << recentUpdate)},
		{Name: "remove", ID: recentRemove, Invert: true, Excl: recentCommands &^ (1 << recentRemove)},
		{Name: "seconds", ID: recentSeconds, Args: 1},
		{Name: "hitcount", ID: recentHitcount, Args: 1},
		{Name: "rttl", ID: recentTTL, Excl: 1<<recentSet | 1<<recentRemove},
		{Name: "name", ID: recentName, Args: 1},
		{Name: "rsource", ID: recentSource},
		{Name: "rdest", ID: recentDest},
		{Name: "reap", ID: recentReap, Also: 1 << recentSeconds},
		{Name: "mask", ID: recentMask, Args: 1},
	},
	NewMatch: func() xtables.Match { return &recentMatch{name: "DEFAULT", mask: ^header.Addr(0)} },
}

// recentMatch is xt_recent: lists of addresses with the times they were seen.
type recentMatch struct {
	xtables.Plain
	asked    uint32
	invert   bool
	seconds  uint32
	hitcount uint32
	name     string
	dest     bool
	mask     header.Addr
	table    *recentTable
	lists    *Recent
}

// Set implements xtables.Extension.
func (m *recentMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	m.asked |= 1 << id
	m.invert = m.invert || invert
	switch id {
	case recentSeconds, recentHitcount:
		n, err := number("recent", []string{"seconds", "hitcount"}[id-recentSeconds], args[0], 1-uint64(id-recentSeconds), 1<<32-1)
		if err != nil {
			return err
		}
		if id == recentSeconds {
			m.seconds = uint32(n)
		} else {
			m.hitcount = uint32(n)
		}
	case recentName:
		if len(args[0]) > 199 || !isWord(args[0]) || strings.Contains(args[0], "/") {
			return errors.New("recent: option \"--name\" takes a word of at most 199 characters")
		}
		m.name = args[0]
	case recentSource:
		m.dest = false
	case recentDest:
		m.dest = true
	case recentMask:
		a, ok := parseAton(args[0])
		if !ok {
			return fmt.Errorf("recent: bad value for option \"--mask\"")
		}
		m.mask = a
	}
	return nil
}

// parseAton reads an address in the forms of inet_aton: up to four numbers, of
// which the last fills what is left.
func parseAton(s string) (a header.Addr, ok bool) {
	l := strings.Split(s, ".")
	if len(l) > 4 {
		return 0, false
	}
	for i, w := range l {
		most := uint64(255)
		if i == len(l)-1 {
			most = 1<<(32-8*i) - 1
		}
		n, ok := parseUint(w, 0, most)
		if !ok {
			return 0, false
		}
		if i < len(l)-1 {
			n <<= 24 - 8*i
		}
		a |= header.Addr(n)
	}
	return a, true
}

// Done implements xtables.Extension.
func (m *recentMatch) Done(*xtables.ParseContext) error {
	if m.asked&recentCommands == 0 {
		return errors.New("recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *recentMatch) Save(b []byte) []byte {
	b = not(b, m.invert)
	for id, name := range []string{" --set", " --rcheck", " --update", " --remove"} {
		if m.asked&(1<<id) != 0 {
			b = append(b, name...)
		}
	}
	if m.seconds != 0 {
		b = fmt.Appendf(b, " --seconds %d", m.seconds)
	}
	if m.asked&(1<<recentReap) != 0 {
		b = append(b, " --reap"...)
	}
	if m.hitcount != 0 {
		b = fmt.Appendf(b, " --hitcount %d", m.hitcount)
	}
	if m.asked&(1<<recentTTL) != 0 {
		b = append(b, " --rttl"...)
	}
	b = append(append(b, " --name "...), m.name...)
	b = appendAddr(append(b, " --mask "...), m.mask)
	if m.dest {
		return append(b, " --rdest"...)
	}
	return append(b, " --rsource"...)
}

// Print implements xtables.Extension.
func (m *recentMatch) Print(b []byte, _ bool) []byte {
	b = append(not(b, m.invert), " recent:"...)
	for id, name := range []string{" SET", " CHECK", " UPDATE", " REMOVE"} {
		if m.asked&(1<<id) != 0 {
			b = append(b, name...)
		}
	}
	if m.seconds != 0 {
		b = fmt.Appendf(b, " seconds: %d", m.seconds)
	}
	if m.asked&(1<<recentReap) != 0 {
		b = append(b, " reap"...)
	}
	if m.hitcount != 0 {
		b = fmt.Appendf(b, " hit_count: %d", m.hitcount)
	}
	if m.asked&(1<<recentTTL) != 0 {
		b = append(b, " TTL-Match"...)
	}
	b = append(append(b, " name: "...), m.name...)
	side := " side: source"
	if m.dest {
		side = " side: dest"
	}
	return appendAddr(append(append(b, side...), " mask: "...), m.mask)
}

// Check implements xtables.Extension (Linux: recent_mt_check).
func (m *recentMatch) Check(*xtables.CheckContext) error {
	if m.hitcount > recentMaxStamps {
		return fmt.Errorf("xt_recent: hitcount (%d) is larger than allowed maximum (%d)", m.hitcount, recentMaxStamps)
	}
	if m.name == "" || strings.Contains(m.name, "/") {
		return errors.New("xt_recent: the name of the list is not valid")
	}
	return nil
}

// Attach implements xtables.Attacher.
func (m *recentMatch) Attach(c *xtables.CheckContext) error {
	m.lists = RecentOf(c.Env)
	m.table = m.lists.get(m.name, m.mask, m.hitcount)
	return nil
}

// Destroy implements xtables.Attacher.
func (m *recentMatch) Destroy() { m.lists.put(m.table) }

// Match implements xtables.Match (Linux: recent_mt).
func (m *recentMatch) Match(p *xtables.Packet) bool {
	a := p.Src
	if m.dest {
		a = p.Dst
	}
	ttl := p.IP.TTL()
	if p.State.Out != nil && p.State.Sk == nil {
		ttl++ // as it was before it was forwarded
	}
	return m.table.match(a&m.table.mask, ttl, m, p.Env.Now())
}

// Bounds of a list: ip_list_tot, and how many times an entry keeps.
const (
	recentMaxEntries = 100
	recentStamps     = 256 // without a hitcount
	recentMaxStamps  = 65535
)

// Recent are the lists of an instance by name.
type Recent struct {
	now    func() int64
	mu     sync.Mutex
	m      map[string]*recentTable
	change func(name string, exists bool)
}

// OnChange has fn called when a list comes to be and when it is gone.
func (l *Recent) OnChange(fn func(name string, exists bool)) { l.change = fn }

// RecentOf returns the lists of env's instance.
func RecentOf(env *xtables.Env) *Recent {
	return env.Shared.Get("recent", func() any { return &Recent{now: env.Now, m: map[string]*recentTable{}} }).(*Recent)
}

// recentTable is one list: entries in order of their last use.
type recentTable struct {
	name string
	mask header.Addr
	refs int // under Recent.mu

	mu     sync.Mutex
	stamps int // how many times an entry keeps
	m      map[header.Addr]*recentEntry
	order  []*recentEntry // least lately used first
}

// recentEntry is an address and when it was seen, in a ring.
type recentEntry struct {
	addr  header.Addr
	ttl   uint8
	index int
	seen  []int64
}

func (l *Recent) get(name string, mask header.Addr, hitcount uint32) *recentTable {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.m[name]
	if t == nil {
		t = &recentTable{name: name, mask: mask, m: map[header.Addr]*recentEntry{}}
		l.m[name] = t
		if l.change != nil {
			l.change(name, true)
		}
	}
	t.refs++
	stamps := recentStamps
	if hitcount != 0 {
		stamps = 1 << bits.Len32(hitcount-1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if stamps > t.stamps { // as on Linux the list begins anew
		t.stamps = stamps
		clear(t.m)
		t.order = nil
	}
	return t
}

func (l *Recent) put(t *recentTable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.refs--; t.refs == 0 {
		delete(l.m, t.name)
		if l.change != nil {
			l.change(t.name, false)
		}
	}
}

func (t *recentTable) match(a header.Addr, ttl uint8, m *recentMatch, now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	result := m.invert
	checkTTL := m.asked&(1<<recentTTL) != 0
	e := t.m[a]
	if e != nil && checkTTL && ttl != 0 && e.ttl != 0 && e.ttl != ttl {
		e = nil
	}
	if e == nil {
		if m.asked&(1<<recentSet) == 0 {
			return result
		}
		t.add(a, ttl, now)
		return !result
	}
	switch {
	case m.asked&(1<<recentSet) != 0:
		result = !result
	case m.asked&(1<<recentRemove) != 0:
		t.remove(e)
		return !result
	default:
		since := int64(-1 << 62)
		if m.seconds != 0 {
			since = now - int64(m.seconds)*1e9
		}
		hits := uint32(0)
		for _, s := range e.seen {
			if s < since {
				continue
			}
			hits++
			if m.hitcount == 0 || hits >= m.hitcount {
				result = !result
				break
			}
		}
		if m.asked&(1<<recentReap) != 0 {
			t.reap(since)
		}
	}
	if m.asked&(1<<recentSet) != 0 || m.asked&(1<<recentUpdate) != 0 && result {
		t.touch(e, now)
		e.ttl = ttl
	}
	return result
}

// add enters an address; the one not used for the longest time makes room.
func (t *recentTable) add(a header.Addr, ttl uint8, now int64) {
	if old := t.m[a]; old != nil {
		t.remove(old)
	}
	if len(t.order) >= recentMaxEntries {
		t.remove(t.order[0])
	}
	e := &recentEntry{addr: a, ttl: ttl, seen: []int64{now}, index: 1}
	t.m[a] = e
	t.order = append(t.order, e)
}

func (t *recentTable) touch(e *recentEntry, now int64) {
	if e.index %= t.stamps; e.index >= len(e.seen) {
		e.seen = append(e.seen, now)
		e.index = len(e.seen)
	} else {
		e.seen[e.index] = now
		e.index++
	}
	i := slices.Index(t.order, e)
	copy(t.order[i:], t.order[i+1:])
	t.order[len(t.order)-1] = e
}

func (t *recentTable) remove(e *recentEntry) {
	delete(t.m, e.addr)
	if i := slices.Index(t.order, e); i >= 0 {
		t.order = slices.Delete(t.order, i, i+1)
	}
}

// reap removes what is not as young as since, if it is the oldest.
func (t *recentTable) reap(since int64) {
	if len(t.order) > 0 {
		if e := t.order[0]; slices.Max(e.seen) < since {
			t.remove(e)
		}
	}
}

// jiffies is a time as /proc/net/xt_recent has it, at 250 Hz.
func jiffies(ns int64) int64 { return ns/4e6 + 1<<32 - 75000 }

// Show appends a list as /proc/net/xt_recent/NAME has it.
func (l *Recent) Show(b []byte, name string) []byte {
	l.mu.Lock()
	t := l.m[name]
	l.mu.Unlock()
	if t == nil {
		return b
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.order {
		last := e.seen[(e.index-1+len(e.seen))%len(e.seen)]
		b = appendAddr(append(b, "src="...), e.addr)
		b = fmt.Appendf(b, " ttl: %d last_seen: %d oldest_pkt: %d", e.ttl, jiffies(last), e.index)
		for i, s := range e.seen {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(append(b, ' '), jiffies(s), 10)
		}
		b = append(b, '\n')
	}
	return b
}

// Write does what is written to /proc/net/xt_recent/NAME: "/" empties the list,
// "+ADDRESS" adds or renews, "-ADDRESS" removes (Linux: recent_mt_proc_write).
// EINVAL if it is none of these.
func (l *Recent) Write(name, s string) error {
	l.mu.Lock()
	t := l.m[name]
	l.mu.Unlock()
	s = strings.TrimSpace(s)
	if t == nil || s == "" {
		return syscall.EINVAL
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s == "/" {
		clear(t.m)
		t.order = nil
		return nil
	}
	a, ok := parseAddr(s[1:])
	if !ok || s[0] != '+' && s[0] != '-' {
		return syscall.EINVAL
	}
	e := t.m[a]
	switch {
	case s[0] == '-' && e != nil:
		t.remove(e)
	case s[0] == '+' && e != nil:
		t.touch(e, l.now())
	case s[0] == '+':
		t.add(a, 0, l.now())
	}
	return nil
}
