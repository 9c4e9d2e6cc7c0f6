package hosted

import (
	"testing"

	"barewire/napi"
	"barewire/skb"
)

// Whatever the header says, the skb stays within the frame, and what is taken
// over is written out again as it was.
func FuzzVnetHeader(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 34, 0, 6, 0, 0, 0}, 60)
	f.Add([]byte{1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 1, 0}, 3000)
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 60)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}, 60)
	n, err := napi.New(napi.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, hdr []byte, size int) {
		if len(hdr) < vnetHdrLen || size < 0 || size > 3000 {
			return
		}
		b := n.SKB().Alloc(4096)
		b.Reserve(skb.Pad)
		b.Put(size)
		h := [vnetHdrLen]byte(hdr)
		if vnetToSkb(&h, b) {
			if b.IPSummed == skb.ChecksumPartial && b.CsumStartOffset()+int(b.CsumOffset)+2 > size {
				t.Errorf("checksum at %d+%d of %d bytes", b.CsumStartOffset(), b.CsumOffset, size)
			}
			var back [vnetHdrLen]byte
			vnetFromSkb(&back, b)
			if h[0]&vnetNeedsCsum != 0 && ([4]byte(back[6:10]) != [4]byte(h[6:10]) || back[0] != vnetNeedsCsum) {
				t.Errorf("%x became %x", h, back)
			}
			if back[1] != h[1]&(vnetGSOTCPv4|vnetGSOECN) && h[1]&^vnetGSOECN != vnetGSONone {
				t.Errorf("segmentation %x became %x", h[1], back[1])
			}
		}
		b.Consume()
		if n.SKB().InUse() != 0 {
			t.Error("leak")
		}
	})
}
