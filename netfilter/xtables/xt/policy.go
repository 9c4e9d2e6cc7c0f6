package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// Options of policy.
const (
	polDir = iota
	polPol
	polStrict
	polReqID
	polSPI
	polProto
	polMode
	polTunnelDst
	polTunnelSrc
	polNext
)

// polDepth is XT_POLICY_MAX_ELEM.
const polDepth = 4

var policyDef = &xtables.Def{ // read-only
	Name: "policy",
	Options: []xtables.Option{
		{Name: "dir", ID: polDir, Args: 1}, {Name: "pol", ID: polPol, Args: 1}, {Name: "strict", ID: polStrict},
		{Name: "reqid", ID: polReqID, Args: 1, Invert: true, Multi: true}, {Name: "spi", ID: polSPI, Args: 1, Invert: true, Multi: true},
		{Name: "proto", ID: polProto, Args: 1, Invert: true, Multi: true}, {Name: "mode", ID: polMode, Args: 1, Invert: true, Multi: true},
		{Name: "tunnel-dst", ID: polTunnelDst, Args: 1, Invert: true, Multi: true},
		{Name: "tunnel-src", ID: polTunnelSrc, Args: 1, Invert: true, Multi: true},
		{Name: "next", ID: polNext, Multi: true, Also: 1 << polStrict}},
	NewMatch: func() xtables.Match { return &policyMatch{elems: make([]policyElem, 1)} },
}

// policyElem is one transformation of a policy, by the option IDs.
type policyElem struct {
	asked, invert uint16
	reqid, spi    uint32
	proto         uint8
	tunnel        bool // the mode
	addr          [2]header.Addr
	mask          [2]header.Addr // of --tunnel-dst and --tunnel-src
}

// policyMatch is xt_policy: the IPsec policy a packet came under or leaves by.
// There is no IPsec here, so packets match --pol none and nothing else.
type policyMatch struct {
	xtables.Plain
	out, none, strict bool
	dir               bool // was given
	elems             []policyElem
}

// Set implements xtables.Extension.
func (m *policyMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	e := &m.elems[len(m.elems)-1]
	if id >= polReqID && id <= polTunnelSrc {
		if e.asked&(1<<id) != 0 {
			return fmt.Errorf("policy match: double --%s option", policyDef.Options[id].Name)
		}
		e.asked |= 1 << id
		if invert {
			e.invert |= 1 << id
		}
	}
	n := uint64(0)
	switch id {
	case polDir:
		if m.dir, m.out = true, args[0] == "out"; !m.out && args[0] != "in" {
			return fmt.Errorf("policy_match: invalid dir \"%s\"", args[0])
		}
	case polPol:
		if m.none = args[0] == "none"; !m.none && args[0] != "ipsec" {
			return fmt.Errorf("policy match: invalid policy \"%s\"", args[0])
		}
	case polStrict:
		m.strict = true
	case polReqID:
		n, err = number("policy", "reqid", args[0], 0, 1<<32-1)
		e.reqid = uint32(n)
	case polSPI:
		n, err = number("policy", "spi", args[0], 0, 1<<32-1)
		e.spi = uint32(n)
	case polProto:
		var ok bool
		if e.proto, ok = xtables.ProtoNumber(args[0]); !ok {
			return fmt.Errorf("unknown protocol \"%s\" specified", args[0])
		}
		if e.proto != 50 && e.proto != 51 && e.proto != 108 {
			return errors.New("policy match: protocol must be ah/esp/ipcomp")
		}
	case polMode:
		if e.tunnel = args[0] == "tunnel"; !e.tunnel && args[0] != "transport" {
			return fmt.Errorf("policy match: invalid mode \"%s\"", args[0])
		}
	case polTunnelDst, polTunnelSrc:
		err = e.setAddr(id-polTunnelDst, args[0])
	case polNext:
		if len(m.elems) == polDepth {
			return errors.New("policy match: maximum policy depth reached")
		}
		m.elems = append(m.elems, policyElem{})
	}
	return err
}

// setAddr takes an address with a prefix length; any other mask is the whole
// address (XTTYPE_HOSTMASK).
func (e *policyElem) setAddr(i int, s string) error {
	host, length, is := strings.Cut(s, "/")
	a, ok := parseAddr(host)
	if !ok {
		return fmt.Errorf("host/network `%s' not found", host)
	}
	e.addr[i], e.mask[i] = a, ^header.Addr(0)
	if n, err := strconv.ParseUint(length, 10, 8); is && err == nil && n <= 32 {
		e.mask[i] = prefixMask(int(n))
	}
	return nil
}

// Done implements xtables.Extension.
func (m *policyMatch) Done(*xtables.ParseContext) error {
	if !m.dir {
		return errors.New("policy match: neither --dir in nor --dir out specified")
	}
	if m.none {
		if m.strict {
			return errors.New("policy match: policy none but --strict given")
		}
		return nil
	}
	for i := range m.elems {
		e := &m.elems[i]
		if m.strict && e.asked == 0 {
			return fmt.Errorf("policy match: empty policy element %d. --strict is in effect, but at least one of reqid, spi, tunnel-src, tunnel-dst, proto or mode is required.", i)
		}
		if e.asked&(1<<polTunnelDst|1<<polTunnelSrc) != 0 && (e.asked&(1<<polMode) == 0 || !e.tunnel || e.invert&(1<<polMode) != 0) {
			return errors.New("policy match: --tunnel-src/--tunnel-dst is only valid in tunnel mode")
		}
	}
	return nil
}

func (m *policyMatch) text(b []byte, dash string, numeric bool) []byte {
	word := func(s string) { b = append(append(append(b, ' '), dash...), s...) }
	word("dir ")
	if m.out {
		b = append(b, "out"...)
	} else {
		b = append(b, "in"...)
	}
	word("pol ")
	if m.none {
		return append(b, "none"...)
	}
	if b = append(b, "ipsec"...); m.strict {
		word("strict")
	}
	for i := range m.elems {
		if m.strict && dash == "" {
			b = fmt.Appendf(b, " [%d]", i)
		}
		b = m.elems[i].text(b, dash, numeric)
		if dash != "" && i+1 < len(m.elems) {
			word("next")
		}
	}
	return b
}

func (e *policyElem) text(b []byte, dash string, numeric bool) []byte {
	for id := polReqID; id <= polTunnelSrc; id++ {
		if e.asked&(1<<id) == 0 {
			continue
		}
		b = append(append(not(b, e.invert&(1<<id) != 0), ' '), dash...)
		b = append(append(b, policyDef.Options[id].Name...), ' ')
		switch id {
		case polReqID:
			b = strconv.AppendUint(b, uint64(e.reqid), 10)
		case polSPI:
			b = appendHex(b, e.spi)
		case polProto:
			if numeric {
				b = strconv.AppendUint(b, uint64(e.proto), 10)
			} else {
				b = append(b, xtables.ProtoName(e.proto)...)
			}
		case polMode:
			if e.tunnel {
				b = append(b, "tunnel"...)
			} else {
				b = append(b, "transport"...)
			}
		default:
			b = appendMask(appendAddr(b, e.addr[id-polTunnelDst]), e.mask[id-polTunnelDst])
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *policyMatch) Save(b []byte) []byte { return m.text(b, "--", false) }

// Print implements xtables.Extension.
func (m *policyMatch) Print(b []byte, numeric bool) []byte {
	return m.text(append(b, " policy match"...), "", numeric)
}

// Check implements xtables.Extension (Linux: policy_mt_check).
func (m *policyMatch) Check(c *xtables.CheckContext) error {
	const in, out = 1<<netfilter.PreRouting | 1<<netfilter.LocalIn, 1<<netfilter.PostRouting | 1<<netfilter.LocalOut
	if m.out && c.Hooks&in != 0 {
		return errors.New("xt_policy: output policy not valid in PREROUTING and INPUT")
	}
	if !m.out && c.Hooks&out != 0 {
		return errors.New("xt_policy: input policy not valid in POSTROUTING and OUTPUT")
	}
	return nil
}

// Match implements xtables.Match (Linux: policy_mt, without a security path).
func (m *policyMatch) Match(*xtables.Packet) bool { return m.none }

// Pure implements xtables.Pure.
func (m *policyMatch) Pure() {}
