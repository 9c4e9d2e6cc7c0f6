package xtables_test

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/netfilter/xtables/xt"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

// dev is a device that is only a name.
type dev string

func (d dev) Ifindex() int32 { return int32(len(d)) }
func (d dev) Name() string   { return string(d) }

// parseRule takes as much of the language of iptables as these tests need.
func parseRule(line string) (*xtables.Rule, string, error) {
	w := strings.Fields(line)
	r, chain := new(xtables.Rule), ""
	c := &xtables.ParseContext{Table: "filter"}
	var uses []*xtables.Use
	inv := false
	for i := 0; i < len(w); i++ {
		arg := func() string { i++; return w[i] }
		bit := func(b xtables.Inv) {
			if inv {
				r.Inv |= b
			}
		}
		switch o := w[i]; o {
		case "!":
			inv = true
			continue
		case "-A":
			chain = arg()
		case "-s", "-d":
			a, m, err := addrMask(arg())
			if err != nil {
				return nil, "", err
			}
			if o == "-s" {
				r.Src, r.SrcMask = a, m
				bit(xtables.InvSrc)
			} else {
				r.Dst, r.DstMask = a, m
				bit(xtables.InvDst)
			}
		case "-i":
			r.In = arg()
			bit(xtables.InvIn)
		case "-o":
			r.Out = arg()
			bit(xtables.InvOut)
		case "-f":
			r.Frag = true
			bit(xtables.InvFrag)
		case "-p":
			r.Proto, _ = xtables.ProtoNumber(arg())
			bit(xtables.InvProto)
			c.Proto, c.InvProto = r.Proto, inv
		case "-m":
			d := xt.FindMatch(arg())
			if d == nil {
				return nil, "", fmt.Errorf("no match %s", w[i])
			}
			u := d.NewUse()
			uses = append(uses, u)
			r.Matches = append(r.Matches, xtables.MatchUse{Def: d, Match: u.Ext.(xtables.Match)})
		case "-j", "-g":
			r.Jump, r.Goto = arg(), o == "-g"
			if d := xt.FindTarget(r.Jump); d != nil {
				u := d.NewUse()
				uses = append(uses, u)
				r.TargetDef, r.Target = d, u.Ext.(xtables.Target)
			}
		default:
			var opt *xtables.Option
			var u *xtables.Use
			for k := len(uses) - 1; k >= 0 && opt == nil; k-- {
				u = uses[k]
				opt, _ = u.Def.FindOption(strings.TrimPrefix(o, "--"))
			}
			if opt == nil {
				return nil, "", fmt.Errorf("no option %s", o)
			}
			var args []string
			for range opt.Args {
				args = append(args, arg())
			}
			if err := u.Set(c, opt, args, inv); err != nil {
				return nil, "", err
			}
		}
		inv = false
	}
	for _, u := range uses {
		if err := u.Finish(c); err != nil {
			return nil, "", err
		}
	}
	return r, chain, nil
}

func addrMask(s string) (a, m header.Addr, err error) {
	host, mask, is := strings.Cut(s, "/")
	m = ^header.Addr(0)
	num := func(s string) header.Addr {
		var n header.Addr
		for _, p := range strings.Split(s, ".") {
			k, e := strconv.Atoi(p)
			if e != nil {
				err = e
			}
			n = n<<8 | header.Addr(k)
		}
		return n
	}
	if n, e := strconv.Atoi(mask); is && e == nil {
		m = header.Addr(^uint64(0xffffffff >> n))
	} else if is {
		m = num(mask)
	}
	return num(host) & m, m, err
}

// config makes a table of lines "-A CHAIN ...", ":NAME -" and "-P CHAIN POLICY".
func config(t testing.TB, table string, lines ...string) *xtables.Config {
	t.Helper()
	c := xtables.NewConfig(table)
	for _, l := range lines {
		if strings.HasPrefix(l, ":") {
			c.Chains = append(c.Chains, &xtables.Chain{Name: strings.Fields(l)[0][1:]})
			continue
		}
		if f := strings.Fields(l); f[0] == "-P" {
			c.Chain(f[1]).Policy = f[2]
			continue
		}
		r, chain, err := parseRule(l)
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		ch := c.Chain(chain)
		if ch == nil {
			t.Fatalf("%s: no chain", l)
		}
		ch.Rules = append(ch.Rules, r)
	}
	return c
}

// world is the tables of one instance with hooks of its own.
type world struct {
	hooks netfilter.Hooks
	*xtables.Tables
	now int64
	log []string
}

func newWorld(linear bool) *world {
	w := &world{now: 1e9}
	rng := rand.New(rand.NewSource(1))
	w.Tables = xtables.New(&w.hooks, &xtables.Env{
		Linear: linear,
		Now:    func() int64 { return w.now },
		Wall:   func() int64 { return w.now },
		Random: rng.Uint32,
		Log:    func(level int, line []byte) { w.log = append(w.log, strconv.Itoa(level)+" "+string(line)) },
	})
	return w
}

// pkt describes a packet to be made.
type pkt struct {
	src, dst     header.Addr
	proto        uint8
	sport, dport uint16
	flags        uint8
	frag         uint16
	short        int // cut the transport header to so many bytes, if not 0
	opts         string
	mark         uint32
	tos, ttl     uint8
	size         int
	in, out      string
	point        netfilter.Point
}

func (k *pkt) build(c *skb.Cache) *skb.Buff {
	var th []byte
	switch k.proto {
	case header.ProtoTCP:
		hl := 20 + (len(k.opts)+3)&^3
		th = make([]byte, hl)
		header.PutTCP(th, &header.TCPFields{SrcPort: k.sport, DstPort: k.dport, HeaderLen: hl, Flags: k.flags, Window: 1000})
		copy(th[20:], k.opts)
	case header.ProtoICMP:
		th = make([]byte, 8)
		header.PutICMP(th, uint8(k.sport), uint8(k.dport), 0)
	default:
		th = make([]byte, 8)
		binary.BigEndian.PutUint16(th, k.sport)
		binary.BigEndian.PutUint16(th[2:], k.dport)
		binary.BigEndian.PutUint16(th[4:], uint16(8+k.size))
	}
	th = append(th, make([]byte, k.size)...)
	if k.short > 0 {
		th = th[:min(k.short, len(th))]
	}
	b := c.Alloc(20 + len(th) + skb.MaxHeader)
	b.Reserve(skb.MaxHeader)
	h := header.PutIPv4(b.Put(20), &header.Fields{TOS: k.tos, TotalLen: 20 + len(th), Frag: k.frag, TTL: max(k.ttl, 1), Protocol: k.proto, Src: k.src, Dst: k.dst})
	h.UpdateChecksum()
	b.PutData(th)
	b.ResetNetworkHeader()
	b.SetTransportHeader(20)
	b.Mark = k.mark
	return b
}

func (k *pkt) state() (in, out skb.Device) {
	if k.in != "" {
		in = dev(k.in)
	}
	if k.out != "" {
		out = dev(k.out)
	}
	return in, out
}

// send passes a packet through the hooks and reports whether it came out.
func (w *world) send(c *skb.Cache, k *pkt) bool {
	b := k.build(c)
	in, out := k.state()
	ok := w.hooks.Run(k.point, b, in, out, nil)
	if ok {
		k.mark, k.tos, k.ttl = b.Mark, header.IPv4(b.Data()).TOS(), header.IPv4(b.Data()).TTL()
		b.Consume()
	}
	return ok
}

// counters returns the counters of a table as text.
func (w *world) counters(table string) string {
	var s strings.Builder
	for _, ch := range w.Get(table).Chains {
		if ch.Counter != nil {
			p, n := ch.Counter.Load()
			fmt.Fprintf(&s, ":%s %d %d\n", ch.Name, p, n)
		}
		for i, r := range ch.Rules {
			p, n := r.Counter.Load()
			fmt.Fprintf(&s, "%s %d %d %d\n", ch.Name, i+1, p, n)
		}
	}
	return s.String()
}

func newCache(t testing.TB) *skb.Cache { return skbtest.New(t, skb.PageConfig{}) }
