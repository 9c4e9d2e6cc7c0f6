package rtnetlink_test

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rib asks as package net does (syscall.NetlinkRIB), one byte of a struct
// rtgenmsg behind the header, and returns the answer in one piece.
func rib(e *end, typ uint16) (out []byte) {
	var req [17]byte
	binary.NativeEndian.PutUint32(req[:], 17)
	binary.NativeEndian.PutUint16(req[4:], typ)
	binary.NativeEndian.PutUint16(req[6:], syscall.NLM_F_DUMP|syscall.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(req[8:], 1)
	e.check("sendto", e.send(req[:]))
	for b := e.recv(); b != nil; b = e.recv() {
		out = append(out, b...)
	}
	return out
}

// What package net's Interfaces and InterfaceAddrs read is what there is.
func TestDump_ReadByTheStandardLibrary(t *testing.T) {
	e, in := ours(t)
	lo := in.Dev().DevByName("lo")
	if err := in.AddAddr(lo, netip.MustParsePrefix("127.9.9.9/32")); err != nil {
		t.Fatal(err)
	}
	sa := [12]byte{syscall.AF_NETLINK}
	_, errno := e.syscall(syscall.SYS_BIND, e.fd, uintptr(unsafe.Pointer(&sa[0])), 12, 0, 0, 0)
	e.check("bind", errno)
	msgs, err := syscall.ParseNetlinkMessage(rib(e, syscall.RTM_GETLINK))
	if err != nil {
		t.Fatal(err)
	}
	if len(msgs) != 2 || msgs[0].Header.Type != syscall.RTM_NEWLINK || msgs[1].Header.Type != syscall.NLMSG_DONE {
		t.Fatalf("links: %v", msgs)
	}
	if msgs[0].Header.Seq != 1 || msgs[0].Header.Pid == 0 {
		t.Errorf("link's header: %+v", msgs[0].Header)
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(&msgs[0])
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint16]string{}
	for _, a := range attrs {
		got[a.Attr.Type] = string(a.Value)
	}
	if got[syscall.IFLA_IFNAME] != "lo\x00" || binary.NativeEndian.Uint32([]byte(got[syscall.IFLA_MTU])) != uint32(lo.MTU()) {
		t.Errorf("lo: %v", got)
	}
	msgs, err = syscall.ParseNetlinkMessage(rib(e, syscall.RTM_GETADDR))
	if err != nil {
		t.Fatal(err)
	}
	var addrs []netip.Prefix
	for i := range msgs {
		if msgs[i].Header.Type != syscall.RTM_NEWADDR {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&msgs[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attrs {
			if a.Attr.Type == syscall.IFA_LOCAL {
				ip, _ := netip.AddrFromSlice(a.Value)
				addrs = append(addrs, netip.PrefixFrom(ip, int(msgs[i].Data[1])))
			}
		}
	}
	if len(addrs) != 2 || addrs[0].String() != "127.0.0.1/8" || addrs[1].String() != "127.9.9.9/32" {
		t.Errorf("addresses %v", addrs)
	}
}

// vishvananda/netlink understands a link.
func TestLink_ReadByVishvananda(t *testing.T) {
	e, in := ours(t)
	for _, s := range append(setUp, setLink("alias", "d0", 0, 0, attr(syscall.IFLA_IFALIAS, str("the first"))),
		setLink("mtu", "d0", 0, 0, attr(syscall.IFLA_MTU, u32(1234)))) {
		e.links()
		if errno, words, _ := e.do(s.req(e)); errno != 0 {
			t.Fatalf("%s: %v %s", s.name, errno, words)
		}
	}
	e.links()
	_, _, msgs := e.do(request(syscall.RTM_GETLINK, 0, ifinfo(e.index["d0"], 0, 0)))
	if len(msgs) != 1 {
		t.Fatalf("%d answers", len(msgs))
	}
	h := unix.NlMsghdr(msgs[0].Header)
	l, err := netlink.LinkDeserialize(&h, msgs[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	a := l.Attrs()
	dev := in.Dev().DevByName("d0")
	hw := dev.HardwareAddr()
	if l.Type() != "veth" || a.ParentIndex != int(e.index["d1"]) || a.Name != "d0" || a.MTU != 1234 || a.Alias != "the first" || a.Index != int(dev.Ifindex()) ||
		string(a.HardwareAddr) != string(hw[:]) || a.RawFlags&1 == 0 || a.Statistics == nil {
		t.Errorf("%s %+v", l.Type(), a)
	}
}
