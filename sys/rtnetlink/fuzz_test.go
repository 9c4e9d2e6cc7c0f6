package rtnetlink_test

import (
	"syscall"
	"testing"

	"barewire/napi"

	"github.com/vishvananda/netlink/nl"
)

// Whatever is asked is answered: messages of every type with any content.
func FuzzRoute(f *testing.F) {
	f.Add(uint16(16), uint16(0x605), ifinfo(2, 1, 1))
	f.Add(uint16(18), uint16(0x305), ifinfo(0, 0, 0))
	f.Add(uint16(20), uint16(0x605), append([]byte{2, 24, 0, 0, 1, 0, 0, 0}, attr(2, addr("10.0.0.1")).Serialize()...))
	f.Add(uint16(24), uint16(0x605), append(rt{bits: 24, table: 254, proto: 3, typ: 1}.bytes(), attr(9, multipath("10.0.0.2", 0)).Serialize()...))
	f.Add(uint16(26), uint16(5), append(rt{bits: 32}.bytes(), attr(1, addr("127.0.0.1")).Serialize()...))
	f.Add(uint16(28), uint16(0x605), append([]byte{2, 0, 0, 0, 1, 0, 0, 0, 0x80, 0, 0, 0}, attr(1, addr("10.0.0.7")).Serialize()...))
	f.Add(uint16(32), uint16(0x605), append(make([]byte, 12), attr(6, u32(1000)).Serialize()...))
	li := nl.NewRtAttr(syscall.IFLA_LINKINFO, nil)
	li.AddRtAttr(1, []byte("veth"))
	f.Add(uint16(16), uint16(0x605), append(ifinfo(0, 0, 0), li.Serialize()...))
	prop := nl.NewRtAttr(52|syscall.NLA_F_NESTED, nil)
	prop.AddRtAttr(53, []byte("other\x00"))
	f.Add(uint16(108), uint16(0x605), append(ifinfo(1, 0, 0), prop.Serialize()...))
	f.Add(uint16(82), uint16(5), append([]byte{2, 0, 0, 0}, attr(1, u32(1)).Serialize()...))
	f.Add(uint16(38), uint16(0xd), tcm(1, 0, ^uint32(0)))
	f.Add(uint16(88), uint16(5), append([]byte{0, 0, 0, 0}, append(attr(1, u32(1)).Serialize(), attr(2, u32(1)).Serialize()...)...))
	f.Add(uint16(16), uint16(0), append(ifinfo(1, 0, 0), attr(28, u32(1)).Serialize()...))
	e, in := ours(f)
	f.Fuzz(func(t *testing.T, typ, flags uint16, body []byte) {
		e.TB = t
		if typ > 200 || len(body) > 4096 {
			return
		}
		e.do(request(int(typ), int(flags), body))
		// Lists stay short.
		if l := in.Dev().Devs(); len(l) > 20 {
			for _, d := range l {
				if d.Kind() == "veth" {
					napi.UnregisterVeth(d)
				} else if d.Kind() != "" {
					in.Dev().UnregisterNetdev(d)
				}
			}
		}
	})
}
