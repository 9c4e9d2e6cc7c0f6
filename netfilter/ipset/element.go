package ipset

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// element is what is written of an element: ranges where there may be some.
type element struct {
	key    Key // the parts that have no range
	ip     addrRange
	ip2    addrRange
	ports  [2]uint16
	name   string // of list:set
	before string // of list:set
	after  bool   // the set in before comes first
}

// addrRange is an address, a network or a range.
type addrRange struct {
	from, to uint32
	cidr     uint8
	hasCidr  bool
}

// maxExpand bounds how many elements one command may add or remove.
const maxExpand = 1 << 20

func syntaxf(format string, args ...any) error {
	return errNo("Syntax error: " + fmt.Sprintf(format, args...))
}

// parseIP reads a dotted quad.
func parseIP(s string) (uint32, bool) {
	var a uint32
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return 0, false
	}
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil || p[0] == '+' {
			return 0, false
		}
		a = a<<8 | uint32(n)
	}
	return a, true
}

func parseRange(s string) (r addrRange, err error) {
	bad := func(s string) error { return syntaxf("cannot parse %s: resolving to IPv4 address failed", s) }
	var ok bool
	if from, to, is := strings.Cut(s, "-"); is {
		if r.from, ok = parseIP(from); !ok {
			return r, bad(from)
		}
		if r.to, ok = parseIP(to); !ok {
			return r, bad(to)
		}
		if r.to < r.from {
			r.from, r.to = r.to, r.from
		}
		return r, nil
	}
	ip, cidr, is := strings.Cut(s, "/")
	if r.from, ok = parseIP(ip); !ok {
		return r, bad(ip)
	}
	r.to = r.from
	if is {
		n, err := strconv.ParseUint(cidr, 10, 8)
		if err != nil {
			return r, syntaxf("'%s' is invalid as number", cidr)
		}
		if n > 32 {
			return r, syntaxf("'%s' is out of range 0-32", cidr)
		}
		r.cidr, r.hasCidr = uint8(n), true
		r.from &= mask(r.cidr)
		r.to = r.from | ^mask(r.cidr)
	}
	return r, nil
}

// parse reads an element of the set's type.
func (set *Set) parse(s string) (e element, err error) {
	e.ports[1] = 0
	if set.typ.kind == list {
		e.name = s
		return e, nil
	}
	words := strings.Split(s, ",")
	ord := []string{"", "Second", "Third"}
	for i, p := range set.typ.parts {
		if i >= len(words) || words[i] == "" {
			return e, syntaxf("%s element is missing from %s.", ord[i], s)
		}
		w := words[i]
		switch p {
		case partIP, partNet:
			e.ip, err = parseRange(w)
		case partIP2, partNet2:
			e.ip2, err = parseRange(w)
			if p == partIP2 && err == nil && e.ip2.from != e.ip2.to {
				err = syntaxf("cannot parse %s: resolving to IPv4 address failed", w)
			}
		case partPort, partOnlyPort:
			e.key.Proto, e.ports, err = set.parent.parsePort(w, p == partPort)
		case partIface:
			name := w
			if n, is := strings.CutPrefix(w, "physdev:"); is {
				name, e.key.Physdev = n, true
			}
			if len(name) == 0 || len(name) > 15 {
				return e, syntaxf("interface name %s is longer than 15 characters", name)
			}
			copy(e.key.Iface[:15], name)
		case partMark:
			var n uint64
			if n, err = strconv.ParseUint(w, 0, 32); err != nil {
				err = syntaxf("'%s' is invalid as number", w)
			}
			e.key.IP2 = uint32(n)
		case partMAC:
			e.key.MAC, err = parseMAC(w)
		}
		if err != nil {
			return e, err
		}
	}
	if len(words) > len(set.typ.parts) {
		return e, syntaxf("Elem separator in %s, but settype %s supports none.", s, set.typ.name)
	}
	return e, nil
}

func parseMAC(s string) (m [6]byte, err error) {
	parts := strings.Split(s, ":")
	ok := len(parts) == 6
	for i := 0; ok && i < 6; i++ {
		n, err := strconv.ParseUint(parts[i], 16, 8)
		ok = err == nil && len(parts[i]) == 2
		m[i] = byte(n)
	}
	if !ok {
		return m, syntaxf("cannot parse ethernet address %s", s)
	}
	return m, nil
}

// spell is an element as it was written, with what was left out.
func (set *Set) spell(w string, e *element) string {
	if e.before != "" {
		if e.after {
			return w + " after " + e.before
		}
		return w + " before " + e.before
	}
	words := strings.Split(w, ",")
	for i, p := range set.typ.parts {
		if p == partPort && !strings.Contains(words[i], ":") {
			words[i] = set.parent.protoName(6) + ":" + words[i]
		}
	}
	return strings.Join(words, ",")
}

// expand calls fn for every key an element stands for, until an error.
func (set *Set) expand(e *element, fn func(Key) error) error {
	t := set.typ
	ips, err := set.parts(partIP, partNet, e.ip)
	if err != nil {
		return err
	}
	ip2s, err := set.parts(partIP2, partNet2, e.ip2)
	if err != nil {
		return err
	}
	lo, hi := e.ports[0], e.ports[1]
	if t.has(partOnlyPort) && (uint32(lo) < set.first || uint32(hi) > set.last) {
		return errRange
	}
	if ips.n*ip2s.n*uint64(hi-lo+1) > maxExpand {
		return errTooMany
	}
	k := e.key
	for a := ips.start(); a.ok; a = ips.next(a) {
		if k.IP, k.CIDR = a.ip&mask(a.cidr), a.cidr; !t.has(partNet) {
			k.CIDR = 0
		}
		for p := uint32(lo); p <= uint32(hi); p++ {
			k.Port = uint16(p)
			if !t.has(partIP2) && !t.has(partNet2) {
				if err := fn(k); err != nil {
					return err
				}
				continue
			}
			for b := ip2s.start(); b.ok; b = ip2s.next(b) {
				if k.IP2, k.CIDR2 = b.ip, b.cidr; !t.has(partNet2) {
					k.CIDR2 = 0
				}
				if err := fn(k); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// walk goes through a range, by addresses of the set's netmask or by networks.
type walk struct {
	from, to uint32
	nets     bool
	cidr     uint8 // of an address: the netmask
	n        uint64
}

type step struct {
	ip   uint32
	cidr uint8
	ok   bool
}

// parts prepares the walk through one component.
func (set *Set) parts(ip, net part, r addrRange) (w walk, err error) {
	w = walk{from: r.from, to: r.to, cidr: 32, n: 1}
	switch {
	case set.typ.has(net):
		w.nets = true
		if r.hasCidr && r.cidr == 0 && !set.typ.has(partIface) {
			return w, errCidr
		}
		w.n = 64 // no range has more networks
	case set.typ.has(ip):
		if ip == partIP && set.netmask != 0 {
			w.cidr = set.netmask
		}
		if set.typ.kind == bitmap {
			if r.from < set.first || r.to > set.last {
				return w, errRange
			}
		} else if r.hasCidr && r.cidr == 0 {
			return w, errNull
		}
		if set.typ.kind == hash { // as on Linux a bitmap goes on from where the range begins
			w.from &= mask(w.cidr)
		}
		w.n = uint64(r.to-w.from)>>(32-w.cidr) + 1
	}
	return w, nil
}

func (w *walk) at(ip uint32) step {
	s := step{ip: ip, cidr: w.cidr, ok: true}
	if !w.nets {
		return s
	}
	// The largest network that begins at ip and does not go beyond the end.
	n := uint8(32)
	if ip != 0 {
		n = uint8(min(32, bits.TrailingZeros32(ip)))
	}
	for n > 0 && (n == 32 && !(ip == 0 && w.to == ^uint32(0)) || n < 32 && uint64(ip)+1<<n-1 > uint64(w.to)) {
		n--
	}
	s.cidr = 32 - n
	return s
}

func (w *walk) start() step { return w.at(w.from) }

func (w *walk) next(s step) step {
	next := uint64(s.ip) + 1<<(32-s.cidr)
	if next > uint64(w.to) {
		return step{}
	}
	return w.at(uint32(next))
}

func appendIP(b []byte, a uint32) []byte {
	for i := 24; i >= 0; i -= 8 {
		b = strconv.AppendUint(b, uint64(a>>i)&0xff, 10)
		if i > 0 {
			b = append(b, '.')
		}
	}
	return b
}

func appendNet(b []byte, a uint32, cidr uint8) []byte {
	b = appendIP(b, a)
	if cidr != 32 {
		b = strconv.AppendUint(append(b, '/'), uint64(cidr), 10)
	}
	return b
}

// appendKey appends an element as ipset prints it.
func (set *Set) appendKey(b []byte, k *Key) []byte {
	for i, p := range set.typ.parts {
		if i > 0 {
			b = append(b, ',')
		}
		switch p {
		case partIP:
			b = appendIP(b, k.IP)
		case partNet:
			b = appendNet(b, k.IP, k.CIDR)
		case partIP2:
			b = appendIP(b, k.IP2)
		case partNet2:
			b = appendNet(b, k.IP2, k.CIDR2)
		case partOnlyPort:
			b = strconv.AppendUint(b, uint64(k.Port), 10)
		case partPort:
			b = append(append(b, set.parent.protoName(k.Proto)...), ':')
			b = appendPort(b, k)
		case partIface:
			if k.Physdev {
				b = append(b, "physdev:"...)
			}
			b = append(b, strings.TrimRight(string(k.Iface[:]), "\x00")...)
		case partMark:
			b = fmt.Appendf(b, "0x%08x", k.IP2)
		case partMAC:
			b = fmt.Appendf(b, "%02X:%02X:%02X:%02X:%02X:%02X", k.MAC[0], k.MAC[1], k.MAC[2], k.MAC[3], k.MAC[4], k.MAC[5])
		}
	}
	return b
}
