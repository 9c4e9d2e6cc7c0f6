package qemu

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

// snooped is the image on a port of a Linux bridge that snoops and queries, with a Linux host on another port:
//
//	image 192.0.2.2 ── tap0 [br0 192.0.2.1, the querier] o ── other 192.0.2.3
type snooped struct {
	t      *testing.T
	bridge *Namespace
	image  hands
	other  hands
	wire   *sniffer // what comes from the image
}

func newSnooped(t *testing.T, version int) *snooped {
	t.Helper()
	s := &snooped{t: t, bridge: needNamespace(t, "bridge")}
	other := needNamespace(t, "other")
	// Times in hundredths of a second: a query each second, forgotten after three.
	if err := s.bridge.IP(strings.Fields(fmt.Sprintf("link add name br0 type bridge forward_delay 0 mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 1 "+
		"mcast_igmp_version %d mcast_query_interval 100 mcast_query_response_interval 50 mcast_membership_interval 300 "+
		"mcast_last_member_interval 30 mcast_startup_query_interval 50", version))...); err != nil {
		t.Skip("no bridges with multicast snooping: ", err)
	}
	must(t, s.bridge.IP("addr", "add", "192.0.2.1/24", "dev", "br0"), s.bridge.IP("tuntap", "add", "dev", "tap0", "mode", "tap", "vnet_hdr"),
		s.bridge.IP("link", "set", "dev", "tap0", "master", "br0", "up"), s.bridge.IP("link", "set", "dev", "br0", "up"),
		s.bridge.IP("link", "add", "name", "o", "type", "veth", "peer", "name", "eth0", "netns", other.Name),
		s.bridge.IP("link", "set", "dev", "o", "master", "br0", "up"),
		other.IP("addr", "add", "192.0.2.3/24", "dev", "eth0"), other.IP("link", "set", "dev", "eth0", "up"))
	tap, err := s.bridge.Tap("tap0", netip.Prefix{})
	must(t, err)
	s.wire = sniff(t, s.bridge, "tap0")
	_, s.image = startLab(t, Config{NICs: []NIC{{Backend: tap}}, Append: ipParam})
	s.other = linuxLab(t, other)
	return s
}

// mdb waits until the bridge's list of members on the image's port has, or has not, a line that matches.
func (s *snooped) mdb(what, pattern string, there bool) {
	s.t.Helper()
	re := regexp.MustCompile("(?m)port tap0 grp " + pattern)
	var out string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		out, err = s.bridge.Run(5*time.Second, "bridge", "-d", "mdb", "show", "dev", "br0")
		must(s.t, err)
		if re.MatchString(out) == there {
			return
		}
	}
	s.t.Errorf("%s: %q there: %v, want %v:\n%s", what, pattern, !there, there, out)
}

// report waits for an IGMP message of the image and checks how it is wrapped.
func (s *snooped) report(what string, typ byte, dst string, match func(igmp []byte) bool) {
	s.t.Helper()
	f := s.wire.wait(s.t, 5*time.Second, func(f *Frame) bool {
		return f.IP != nil && f.IP.Proto == 2 && len(f.IP.Payload) >= 8 && f.IP.Payload[0] == typ && match(f.IP.Payload)
	})
	switch {
	case f == nil:
		s.t.Errorf("%s: no IGMP message of type %#x", what, typ)
	case f.IP.TTL != 1 || f.IP.Dst.String() != dst || string(f.IP.Options) != "\x94\x04\x00\x00" || f.IP.TOS != 0xc0 || Checksum(f.IP.Payload) != 0:
		s.t.Errorf("%s: ttl %d tos %#x to %v, options % x, sum %#x", what, f.IP.TTL, f.IP.TOS, f.IP.Dst, f.IP.Options, Checksum(f.IP.Payload))
	}
}

// eventually repeats a command until it answers what is wanted.
func (s *snooped) eventually(h hands, command, want string) {
	s.t.Helper()
	var got string
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got += h("%s", command); got == want {
			return
		}
	}
	s.t.Errorf("%s: %q, want %q", command, got, want)
}

// A Linux querier sees the image's programs join and leave groups, keeps them while it asks, and passes on what is sent to them.
func TestIGMP_LinuxQuerier(t *testing.T) {
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			s := newSnooped(t, version)
			is := func(group string) func([]byte) bool {
				ip := netip.MustParseAddr(group).As4()
				return func(m []byte) bool { return string(m[4:8]) == string(ip[:]) }
			}
			has := func(typ byte, group string) func([]byte) bool { // the first record of a version 3 report
				ip := netip.MustParseAddr(group).As4()
				return func(m []byte) bool { return len(m) >= 16 && m[8] == typ && string(m[12:16]) == string(ip[:]) }
			}
			// The querier has been heard when its version is the one of the answers.
			s.image("join group=239.1.1.9 dev=eth0")
			if version == 2 {
				s.report("answer to a query", 0x16, "239.1.1.9", is("239.1.1.9"))
			} else {
				s.report("answer to a query", 0x22, "224.0.0.22", has(2, "239.1.1.9"))
			}

			s.image("join group=239.1.1.1 dev=eth0")
			if version == 2 {
				s.report("join", 0x16, "239.1.1.1", is("239.1.1.1"))
			} else {
				s.report("join", 0x22, "224.0.0.22", has(4, "239.1.1.1")) // CHANGE_TO_EXCLUDE_MODE {}
			}
			s.mdb("joined", `239\.1\.1\.1 `, true)

			// Data, both ways.
			s.other("multicast group=239.1.1.1 dev=eth0 text=one")
			s.eventually(s.image, "received group=239.1.1.1 dev=eth0", "192.0.2.3 one\n")
			s.other("join group=239.1.1.2 dev=eth0")
			time.Sleep(100 * time.Millisecond) // the bridge learns of it
			s.image("multicast group=239.1.1.2 dev=eth0 text=two ttl=3")
			s.eventually(s.other, "received group=239.1.1.2 dev=eth0", "192.0.2.2 two\n")
			s.image("multicast group=239.1.1.1 dev=eth0 text=self")
			s.eventually(s.image, "received group=239.1.1.1 dev=eth0", "192.0.2.2 self\n")
			s.image("multicast group=239.1.1.1 dev=eth0 text=self loop=0")

			// Sources.
			s.image("source group=239.1.1.1 dev=eth0 source=192.0.2.3 do=block")
			if version == 3 {
				s.report("block", 0x22, "224.0.0.22", has(6, "239.1.1.1")) // BLOCK_OLD_SOURCES
			}
			s.other("multicast group=239.1.1.1 dev=eth0 text=blocked")
			time.Sleep(200 * time.Millisecond)
			if got := s.image("received group=239.1.1.1 dev=eth0"); got != "" {
				t.Errorf("received from a blocked source, or one's own without loop: %q", got)
			}
			s.image("source group=239.1.1.1 dev=eth0 source=192.0.2.3 do=unblock")
			s.image("join group=232.1.1.1 dev=eth0 source=192.0.2.3")
			if version == 3 {
				s.report("join a source", 0x22, "224.0.0.22", has(5, "232.1.1.1")) // ALLOW_NEW_SOURCES
				s.mdb("joined a source", `232\.1\.1\.1 .*filter_mode include source_list 192\.0\.2\.3/`, true)
			}
			s.other("multicast group=232.1.1.1 dev=eth0 text=three")
			s.eventually(s.image, "received group=232.1.1.1 dev=eth0", "192.0.2.3 three\n")

			// The querier forgets after three seconds who does not answer.
			time.Sleep(3500 * time.Millisecond)
			s.mdb("kept", `239\.1\.1\.1 `, true)
			s.mdb("kept", `239\.1\.1\.9 `, true)

			s.wire.take(t)
			s.image("leave group=239.1.1.1 dev=eth0")
			s.image("leave group=239.1.1.9 dev=eth0 how=close")
			if version == 2 {
				s.report("leave", 0x17, "224.0.0.2", is("239.1.1.1"))
			} else {
				s.report("leave", 0x22, "224.0.0.22", has(3, "239.1.1.1")) // CHANGE_TO_INCLUDE_MODE {}
			}
			s.mdb("left", `239\.1\.1\.1 `, false)
			s.mdb("left by closing", `239\.1\.1\.9 `, false)
		})
	}
}
