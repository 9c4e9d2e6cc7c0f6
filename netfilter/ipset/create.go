package ipset

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"
)

// number reads the value of an option.
func number(words []string, i *int, lo, hi uint64) (uint64, error) {
	if *i+1 >= len(words) {
		return 0, problemf("Missing mandatory argument of option `%s'", words[*i])
	}
	*i++
	w := words[*i]
	n, err := strconv.ParseUint(w, 0, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, syntaxf("'%s' is invalid as number", w)
	}
	if err != nil || n < lo || n > hi {
		return 0, syntaxf("'%s' is out of range %d-%d", w, lo, hi)
	}
	return n, nil
}

// oldTypes are names of types from before version 6.
var oldTypes = map[string]string{ // read-only
	"iphash": "hash:ip", "ipmap": "bitmap:ip", "nethash": "hash:net", "ipporthash": "hash:ip,port",
	"ipportiphash": "hash:ip,port,ip", "ipportnethash": "hash:ip,port,net", "portmap": "bitmap:port", "setlist": "list:set",
	"netporthash": "hash:net,port", "netifacehash": "hash:net,iface",
}

func (r *run) create(words []string) error {
	name := words[1]
	if n := oldTypes[name]; n != "" {
		name = n
	}
	var t *typeInfo
	for i := range r.s.types {
		if r.s.types[i].name == name {
			t = &r.s.types[i]
		}
	}
	if t == nil {
		return syntaxf("typename '%s' is unknown", words[1])
	}
	o := options{hashsize: 1024, maxelem: 65536, bucketsize: 12, size: 8, netmask: 32}
	ranged := false
	for i := 2; i < len(words); i++ {
		var n uint64
		var err error
		isHash := t.kind == hash
		w := words[i]
		switch {
		case w == "timeout":
			n, err = number(words, &i, 0, maxTimeout)
			o.timeout, o.hasTimeout = uint32(n), true
		case w == "counters":
			o.counters = true
		case w == "comment":
			o.comment = true
		case w == "skbinfo":
			err = errNo("Kernel error received: skbinfo is not supported")
		case w == "family" && isHash:
			if i++; i >= len(words) {
				return problemf("Missing mandatory argument of option `%s'", w)
			}
			switch words[i] {
			case "inet", "ipv4", "-4":
			case "inet6", "ipv6", "-6":
				err = errNo("Kernel error received: family inet6 is not supported")
			default:
				err = syntaxf("unknown inet family %s", words[i])
			}
		case w == "-4" && isHash:
		case w == "-6" && isHash:
			err = errNo("Kernel error received: family inet6 is not supported")
		case w == "hashsize" && isHash:
			n, err = number(words, &i, 0, 1<<32-1)
			o.hashsize = uint32(max(64, n))
			if bits.OnesCount32(o.hashsize) != 1 {
				o.hashsize = 1 << min(31, bits.Len32(o.hashsize))
			}
		case w == "maxelem" && isHash:
			n, err = number(words, &i, 0, 1<<32-1)
			o.maxelem = uint32(n)
		case w == "bucketsize" && isHash:
			n, err = number(words, &i, 1, 255)
			o.bucketsize = uint32(min(max(n+1, 2), 12) &^ 1)
		case w == "initval" && isHash:
			n, err = number(words, &i, 0, 1<<32-1)
			o.initval = uint32(n)
		case w == "forceadd" && isHash:
			o.forceadd = true
		case w == "netmask" && (name == "hash:ip" || name == "bitmap:ip"):
			if n, err = number(words, &i, 1, 32); err != nil {
				err = errNo(err.Error() + "\nSyntax error: netmask is out of the inclusive range of 1-32")
			}
			o.netmask = uint8(n)
		case w == "size" && t.kind == list:
			n, err = number(words, &i, 1, 1<<32-1)
			o.size = uint32(max(n, 4))
		case (w == "range" || w == "from") && t.kind == bitmap:
			if i++; i >= len(words) {
				return problemf("Missing mandatory argument of option `%s'", w)
			}
			ranged = true
			err = r.bitmapRange(t, &o, words[i])
		default:
			return problemf("Unknown argument: `%s'", w)
		}
		if err != nil {
			return err
		}
	}
	if t.kind == bitmap {
		if !ranged {
			return problemf("Mandatory option `range' is missing")
		}
		if n := uint8(bits.LeadingZeros32(o.first ^ o.last)); o.netmask != 32 &&
			(o.first&^mask(n) != 0 || ^o.last&^mask(n) != 0 || o.netmask <= n) {
			return errRange
		}
		if uint64(o.last-o.first)>>(32-o.netmask) > 65535 {
			return errNo("The range you specified exceeds the size limit of the set type")
		}
	}
	return r.s.create(words[0], t, o, r.exist)
}

// bitmapRange reads the range of a bitmap.
func (r *run) bitmapRange(t *typeInfo, o *options, w string) error {
	if t.has(partOnlyPort) {
		_, p, err := r.s.parsePort(w, false)
		o.first, o.last = uint32(p[0]), uint32(p[1])
		return err
	}
	if !strings.ContainsAny(w, "-/") {
		return syntaxf("IP/cidr or IP-IP range must be specified: %s", w)
	}
	a, err := parseRange(w)
	o.first, o.last = a.from, a.to
	return err
}
