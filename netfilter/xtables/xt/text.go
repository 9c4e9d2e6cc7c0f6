package xt

import (
	"fmt"
	"strconv"
	"strings"

	"barewire/skb/header"
)

// not appends " !" for an inverted option.
func not(b []byte, invert bool) []byte {
	if invert {
		return append(b, " !"...)
	}
	return b
}

// isWord reports whether s is saved as it is and read back as one word: names
// are not put in quotes.
func isWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '"' || s[i] == '\'' || s[i] == '\\' {
			return false
		}
	}
	return s != "" && s != "!"
}

// parseUint takes a number as strtoul does with base 0: decimal, 0x hexadecimal
// or 0 octal, and nothing behind it.
func parseUint(s string, lo, hi uint64) (uint64, bool) {
	base, t := 10, s
	switch {
	case len(s) > 2 && (strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X")):
		base, t = 16, s[2:]
	case len(s) > 1 && s[0] == '0':
		base, t = 8, s[1:]
	}
	n, err := strconv.ParseUint(t, base, 64)
	return n, err == nil && n >= lo && n <= hi
}

// number is parseUint with the error of an option of the extension who.
func number(who, opt, s string, lo, hi uint64) (uint64, error) {
	n, ok := parseUint(s, lo, hi)
	if !ok {
		return 0, fmt.Errorf("%s: bad value for option \"--%s\", or out of range (%d-%d).\n", who, opt, lo, hi)
	}
	return n, nil
}

// bound is number for one end of a range.
func bound(who, opt, s string, hi uint64) (uint64, error) {
	n, ok := parseUint(s, 0, hi)
	if !ok {
		return 0, fmt.Errorf("%s: bad value for option \"--%s\" near \"%s\", or out of range (0-%d).\n", who, opt, s, hi)
	}
	return n, nil
}

// markMask takes "value[/mask]".
func markMask(who, opt, s string) (value, mask uint32, err error) {
	v, m, is := strings.Cut(s, "/")
	n, ok := parseUint(v, 0, 0xffffffff)
	k, ok2 := uint64(0xffffffff), true
	if is {
		k, ok2 = parseUint(m, 0, 0xffffffff)
	}
	if !ok || !ok2 {
		return 0, 0, badInteger(who, opt)
	}
	return uint32(n), uint32(k), nil
}

func badInteger(who, opt string) error {
	return fmt.Errorf("%s: bad integer value for option \"--%s\", or out of range.\n", who, opt)
}

// parseAddr takes a dotted address.
func parseAddr(s string) (header.Addr, bool) {
	var a [4]byte
	rest := s
	for i := range a {
		part := rest
		if i < 3 {
			var ok bool
			if part, rest, ok = strings.Cut(rest, "."); !ok {
				return 0, false
			}
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || part[0] == '+' {
			return 0, false
		}
		a[i] = byte(n)
	}
	return header.AddrFrom4(a), true
}

// prefixMask returns the mask of a prefix length.
func prefixMask(n int) header.Addr { return header.Addr(^uint64(0xffffffff >> n)) }

// parseAddrMask takes "address[/mask]" with a prefix length or a dotted mask.
func parseAddrMask(s string) (a, mask header.Addr, err error) {
	host, m, is := strings.Cut(s, "/")
	mask = ^header.Addr(0)
	if is {
		if n, e := strconv.ParseUint(m, 10, 8); e == nil && n <= 32 {
			mask = prefixMask(int(n))
		} else if mk, ok := parseAddr(m); ok {
			mask = mk
		} else {
			return 0, 0, fmt.Errorf("invalid mask `%s' specified", m)
		}
	}
	a, ok := parseAddr(host)
	if !ok {
		return 0, 0, fmt.Errorf("host/network `%s' not found", host)
	}
	return a & mask, mask, nil
}

// appendAddr appends a dotted address.
func appendAddr(b []byte, a header.Addr) []byte {
	for i := 24; ; i -= 8 {
		b = strconv.AppendUint(b, uint64(a>>i&255), 10)
		if i == 0 {
			return b
		}
		b = append(b, '.')
	}
}

// maskLen returns the length of a prefix mask, -1 if it is none.
func maskLen(mask header.Addr) int {
	for n := 0; n <= 32; n++ {
		if prefixMask(n) == mask {
			return n
		}
	}
	return -1
}

// appendMask appends "/len" or "/dotted", nothing for a full mask.
func appendMask(b []byte, mask header.Addr) []byte {
	switch n := maskLen(mask); {
	case n == 32:
		return b
	case n >= 0:
		return strconv.AppendInt(append(b, '/'), int64(n), 10)
	}
	return appendAddr(append(b, '/'), mask)
}

func appendHex(b []byte, n uint32) []byte {
	return strconv.AppendUint(append(b, "0x"...), uint64(n), 16)
}

func appendHex2(b []byte, n uint8) []byte {
	const digits = "0123456789ABCDEF"
	return append(b, '0', 'x', digits[n>>4], digits[n&15])
}
