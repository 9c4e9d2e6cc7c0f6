package napi_test

import (
	"bytes"
	"syscall"
	"testing"

	"barewire/napi"
	"barewire/skb"
)

func tunPacket(n *napi.Net, p []byte) *skb.Buff {
	b := n.SKB().Alloc(skb.Pad + len(p))
	b.Reserve(skb.Pad)
	b.PutData(p)
	return b
}

// A tun hands its packets up as they are, by the version in their first byte,
// and gives what is transmitted to the program without a header.
func TestTun_packets_passBare(t *testing.T) {
	s := newNet(t, napi.Config{})
	var out [][]byte
	tun, err := napi.NewTun(s, "tun%d", false, func(b *skb.Buff) {
		p := make([]byte, b.Len())
		b.CopyBits(0, p)
		out = append(out, p)
		b.Consume()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	d := tun.Dev()
	if d.Name() != "tun0" || d.Type != napi.ARPHRD_NONE || d.AddrLen != 0 || d.Flags()&0xffff != napi.IFF_POINTOPOINT|napi.IFF_NOARP|napi.IFF_MULTICAST {
		t.Errorf("%s: type %d, address of %d bytes, flags %#x", d.Name(), d.Type, d.AddrLen, d.Flags())
	}
	if err := tun.Receive(tunPacket(s, []byte{0x45})); err != syscall.EIO {
		t.Errorf("down: %v, want EIO", err)
	}
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	var in [][]byte
	defer s.AddPack(napi.ETH_P_IP, nil, func(b *skb.Buff, dev *napi.NetDevice) {
		if dev != d || b.PktType != skb.PacketHost {
			t.Errorf("from %s, type %d", dev.Name(), b.PktType)
		}
		in = append(in, bytes.Clone(b.Data()))
		b.Consume()
	})()
	for _, c := range []struct {
		p    []byte
		want error
	}{{[]byte{0x45, 1, 2}, nil}, {[]byte{0x75, 1, 2}, syscall.EINVAL}, {nil, syscall.EINVAL}} {
		if err := tun.Receive(tunPacket(s, c.p)); err != c.want {
			t.Errorf("%x: %v, want %v", c.p, err, c.want)
		}
	}
	s.SoftNet().DoSoftirq()
	if len(in) != 1 || !bytes.Equal(in[0], []byte{0x45, 1, 2}) {
		t.Errorf("up came %x", in)
	}
	b := tunPacket(s, []byte{0x45, 3})
	b.Dev = d
	d.HardHeader(b, napi.ETH_P_IP, nil, nil)
	if err := s.DevQueueXmit(b); err != nil {
		t.Fatal(err)
	}
	s.SoftNet().DoSoftirq()
	if len(out) != 1 || !bytes.Equal(out[0], []byte{0x45, 3}) {
		t.Errorf("out went %x", out)
	}
	if st := d.GetStats(); st.RxPackets != 1 || st.RxBytes != 3 || st.RxDropped != 2 || st.TxPackets != 1 || st.TxBytes != 2 {
		t.Errorf("counted %+v", st)
	}
}

// A tap is an Ethernet device.
func TestTap_frames_passWhole(t *testing.T) {
	s := newNet(t, napi.Config{})
	tap, err := napi.NewTun(s, "tap0", true, func(b *skb.Buff) { b.Consume() })
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	if err := tap.Dev().Open(); err != nil {
		t.Fatal(err)
	}
	got := 0
	defer s.AddPack(0x88b5, nil, func(b *skb.Buff, _ *napi.NetDevice) {
		if b.PktType == skb.PacketBroadcast && b.Len() == 1 {
			got++
		}
		b.Consume()
	})()
	f := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 9)
	if err := tap.Receive(tunPacket(s, f)); err != nil {
		t.Fatal(err)
	}
	if err := tap.Receive(tunPacket(s, f[:13])); err != syscall.EINVAL {
		t.Errorf("a short frame: %v, want EINVAL", err)
	}
	s.SoftNet().DoSoftirq()
	if got != 1 {
		t.Errorf("%d frames came up", got)
	}
}
