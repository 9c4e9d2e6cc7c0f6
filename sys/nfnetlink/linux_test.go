package nfnetlink

import (
	"strings"
	"syscall"
	"testing"

	"barewire/sys/netlink"
)

const (
	create = netlink.FlagCreate | netlink.FlagAck
	excl   = netlink.FlagExcl
	ackIt  = netlink.FlagAck
	dump   = netlink.FlagDump
	inet4  = syscall.AF_INET
)

func pair(src, dst, proto byte, sport, dport uint16) [][]byte {
	return [][]byte{tuple(ctaTupleOrig, src, dst, proto, sport, dport), tuple(ctaTupleReply, dst, src, proto, dport, sport)}
}

func with(a [][]byte, more ...[]byte) []byte {
	var v []byte
	for _, x := range append(a[:len(a):len(a)], more...) {
		v = append(v, x...)
	}
	return v
}

func ping(src, dst byte, id uint16) [][]byte {
	return [][]byte{tuple(ctaTupleOrig, src, dst, 1, id, 0x800), tuple(ctaTupleReply, dst, src, 1, id, 0)}
}

func tcpState(s byte) []byte { return nest(ctaProtoinfo, nest(ctaPinfoTCP, attr(ctaTCPState, s))) }

// TestLinux_ctnetlink_sameAnswers: the same requests get the same answers, and
// who listens hears the same.
func TestLinux_ctnetlink_sameAnswers(t *testing.T) {
	l, o := linux(t), own(t)
	listen := []*end{l, o}
	for _, e := range listen {
		if err := e.set("nf_conntrack_max", "262144"); err != nil {
			t.Log(e.name, err) // of the first namespace only
		}
	}
	timeout := attr(ctaTimeout, be32(305)...)
	status := func(v uint32) []byte { return attr(ctaStatus, be32(v)...) }
	mark := func(v uint32) []byte { return attr(ctaMark, be32(v)...) }
	steps := []struct {
		name string
		req  []byte
	}{
		{"empty dump", message(1, ctGet, dump, inet4, 0)},
		{"create udp", message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 17, 100, 53), timeout))},
		{"again", message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 17, 100, 53), timeout))},
		{"the reply of another", message(1, ctNew, create|excl, inet4, 0, with([][]byte{tuple(ctaTupleOrig, 9, 8, 17, 1, 2), tuple(ctaTupleReply, 2, 1, 17, 53, 100)}, timeout))},
		{"without timeout", message(1, ctNew, create|excl, inet4, 0, with(pair(1, 3, 17, 100, 53)))},
		{"without reply", message(1, ctNew, create|excl, inet4, 0, tuple(ctaTupleOrig, 1, 3, 17, 1, 2), timeout)},
		{"without create", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 3, 17, 100, 53), timeout))},
		{"create tcp", message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 6, 1000, 80), timeout, status(0xe), tcpState(3), mark(7)))},
		{"create icmp", message(1, ctNew, create|excl, inet4, 0, with(ping(1, 2, 77), timeout))},
		{"create gre", message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 47, 0, 0), timeout))},
		{"create of no protocol", message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 99, 0, 0), timeout))},
		{"create in a zone", message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 17, 100, 53), timeout, attr(ctaZone, 0, 5)))},
		{"get", message(1, ctGet, 0, inet4, 0, tuple(ctaTupleOrig, 1, 2, 6, 1000, 80))},
		{"get by reply", message(1, ctGet, 0, inet4, 0, tuple(ctaTupleReply, 2, 1, 6, 80, 1000))},
		{"get in the zone", message(1, ctGet, 0, inet4, 0, tuple(ctaTupleOrig, 1, 2, 17, 100, 53), attr(ctaZone, 0, 5))},
		{"get nothing", message(1, ctGet, 0, inet4, 0)},
		{"get what is not there", message(1, ctGet, 0, inet4, 0, tuple(ctaTupleOrig, 1, 2, 6, 1001, 80))},
		{"get without ports", message(1, ctGet, 0, inet4, 0, nest(ctaTupleOrig, nest(ctaTupleIP, attr(1, 10, 0, 0, 1), attr(2, 10, 0, 0, 2)), nest(ctaTupleProto, attr(1, 6))))},
		{"get without addresses", message(1, ctGet, 0, inet4, 0, nest(ctaTupleOrig, nest(ctaTupleProto, attr(1, 6))))},
		{"get half a tuple", message(1, ctGet, 0, inet4, 0, nest(ctaTupleOrig, []byte{9, 0, 1}))},
		{"change mark", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 6, 1000, 80), mark(8)))},
		{"change mark under a mask", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 6, 1000, 80), mark(0xf00), attr(ctaMarkMask, be32(0xf00)...)))},
		{"change status", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 17, 100, 53), status(0xe)))},
		{"clear what stays", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 17, 100, 53), status(0x8)))},
		{"change nat", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 17, 100, 53), nest(ctaNATSrc)))},
		{"change state", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 6, 1000, 80), tcpState(7)))},
		{"change to no state", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 6, 1000, 80), tcpState(50)))},
		{"no such helper", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 6, 1000, 80), nest(ctaHelp, attr(1, []byte("nothing\x00")...))))},
		{"change timeout", message(1, ctNew, ackIt, inet4, 0, with(pair(1, 2, 6, 1000, 80), attr(ctaTimeout, be32(1005)...)))},
		{"dump", message(1, ctGet, dump, inet4, 0)},
		{"dump of the mark", message(1, ctGet, dump, inet4, 0, mark(0xf08), attr(ctaMarkMask, be32(0xffffffff)...))},
		{"dump of a mask alone", message(1, ctGet, dump, inet4, 0, attr(ctaMarkMask, be32(0xff)...))},
		{"dump of a status", message(1, ctGet, dump, inet4, 0, status(2), attr(ctaStatusMask, be32(2)...))},
		{"dump of a zone", message(1, ctGet, dump, inet4, 0, attr(ctaZone, 0, 5))},
		{"dump of IPv6", message(1, ctGet, dump, syscall.AF_INET6, 0)},
		{"dump of a source", message(1, ctGet, dump, inet4, 0, nest(ctaTupleOrig, nest(ctaTupleIP, attr(1, 10, 0, 0, 1), attr(2, 10, 0, 0, 2)), nest(ctaTupleProto, attr(1, 17), attr(2, 0, 100), attr(3, 0, 53))),
			nest(ctaFilter, attr(ctaFilterOrig, filterSrc|filterProto, 0, 0, 0), attr(ctaFilterReply, 0, 0, 0, 0)))},
		{"stats", message(1, ctGetStats, 0, inet4, 0)},
		{"dying", message(1, ctGetDying, dump, inet4, 0)},
		{"unconfirmed", message(1, ctGetUnconfirmed, dump, inet4, 0)},
		{"delete", message(1, ctDelete, ackIt, inet4, 0, tuple(ctaTupleOrig, 1, 2, 6, 1000, 80))},
		{"delete again", message(1, ctDelete, ackIt, inet4, 0, tuple(ctaTupleOrig, 1, 2, 6, 1000, 80))},
		{"delete another ID", message(1, ctDelete, ackIt, inet4, 0, tuple(ctaTupleOrig, 1, 2, 17, 100, 53), attr(ctaID, 1, 2, 3, 4))},
		{"flush the zone's mark", message(1, ctDelete, ackIt, inet4, 0, mark(99))},
		{"dump once more", message(1, ctGet, dump, 0, 0)},
		{"no subsystem", message(77, 0, ackIt, inet4, 0)},
		{"no command", message(1, 99, ackIt, inet4, 0)},
		{"short", message(1, ctGet, ackIt, inet4, 0)[:18]},
		{"expectations", message(2, expGet, dump, inet4, 0)},
		{"delete an expectation", message(2, expDelete, ackIt, inet4, 0, tuple(ctaExpTuple, 1, 2, 6, 1, 2))},
		{"flush", message(1, ctDelete, ackIt, inet4, 0)},
		{"empty", message(1, ctGet, dump, inet4, 0)},
	}
	for round, setting := range []string{"silent", "with events and counters"} {
		if round == 1 {
			for _, e := range listen {
				for g := groupNew; g <= groupDestroy; g++ {
					if err := e.opt(syscall.NETLINK_ADD_MEMBERSHIP, g); err != nil {
						t.Fatal(e.name, err)
					}
				}
				if err := e.set("nf_conntrack_acct", "1"); err != nil {
					t.Fatal(e.name, err)
				}
			}
		}
		for _, s := range steps {
			want, got := sorted(l.ask(s.req)), sorted(o.ask(s.req))
			if want != got {
				t.Errorf("%s, %s:\nLinux says\n%s\nwe say\n%s", s.name, setting, want, got)
			}
		}
	}
}

// sorted puts the messages in an order: that of the hash is random.
func sorted(s string) string {
	l := strings.Split(s, "\n")
	for i := 1; i < len(l); i++ {
		for j := i; j > 0 && l[j] < l[j-1]; j-- {
			l[j], l[j-1] = l[j-1], l[j]
		}
	}
	return strings.Join(l, "\n")
}
