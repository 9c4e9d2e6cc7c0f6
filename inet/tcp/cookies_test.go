package tcp

import (
	"encoding/binary"
	"testing"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// testTCP is TCP of a stack without devices whose clock is the test's.
func testTCP(t testing.TB) (*TCP, *testClock) {
	t.Helper()
	pool, err := skb.NewPagePool(skb.PageConfig{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := napi.New(napi.Config{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(ip.NewNet(n, &mib.MIB{}, 1<<20), Config{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	clock := &testClock{Clock: c.clock, now: 1e15}
	c.clock = clock
	return c, clock
}

type testClock struct {
	napi.Clock
	now int64
}

func (c *testClock) Now() int64 { return c.now }

func TestCookie_says_whatItCan(t *testing.T) {
	c, clock := testTCP(t)
	k := tuple{laddr: 1, raddr: 2, lport: 80, rport: 4000}
	for _, x := range []struct{ mss, want uint16 }{{1, 536}, {536, 536}, {1299, 536}, {1300, 1300}, {1440, 1440}, {1459, 1440}, {1460, 1460}, {9000, 1460}} {
		mss := x.mss
		seq := c.cookieSeq(&k, 7, &mss)
		if got := c.checkCookie(&k, seq, 7); mss != x.want || got != x.want {
			t.Errorf("MSS %d: %d, read as %d; want %d", x.mss, mss, got, x.want)
		}
	}
	mss := uint16(1460)
	seq := c.cookieSeq(&k, 7, &mss)
	o := k
	o.rport++
	if c.checkCookie(&o, seq, 7) != 0 || c.checkCookie(&k, seq, 1007) != 0 || c.checkCookie(&k, seq+1<<24, 7) != 0 {
		t.Error("good for another connection, sequence number or minute")
	}
	clock.now += cookiePeriod
	if c.checkCookie(&k, seq, 7) != 1460 {
		t.Error("not good for a minute")
	}
	if clock.now += cookiePeriod; c.checkCookie(&k, seq, 7) != 0 {
		t.Error("good for ever")
	}
}

// Whatever the SYN offered comes back from the timestamp, which is never ahead
// of the clock.
func TestCookie_timestamp_hasOptions(t *testing.T) {
	c, _ := testTCP(t)
	l := c.NewSock()
	defer l.Release()
	for now := uint32(1 << 20); now < 1<<20+200; now++ {
		for bits := range 64 {
			r := request{wscaleOK: bits&15 != 15, sndWScale: uint8(bits & 15), sackOK: bits&16 != 0, ecn: ecnOffer{ok: bits&32 != 0}}
			ts := r.cookieTimestamp(now)
			if d := now - ts; d > 64 {
				t.Fatalf("at %d: %d", now, ts)
			}
			back := request{listener: l, tsOffset: 99}
			if !back.cookieOptions(&parsedOpts{hasTS: true, tsecr: ts + 99}) {
				t.Fatal("refused")
			}
			if !back.tsOK || back.wscaleOK != r.wscaleOK || r.wscaleOK && back.sndWScale != r.sndWScale || back.sackOK != r.sackOK || back.ecn != r.ecn {
				t.Fatalf("options %#x came back as others", bits)
			}
		}
	}
}

// A guessed cookie is refused, but for one in 2^22 or so.
func FuzzCookie_guessed(f *testing.F) {
	f.Add(uint32(0), uint32(0), uint16(80))
	f.Add(^uint32(0), uint32(1), uint16(0))
	c, _ := testTCP(f)
	f.Fuzz(func(t *testing.T, cookie, peer uint32, port uint16) {
		k := tuple{laddr: 1, raddr: header.Addr(peer), lport: 80, rport: port}
		switch c.checkCookie(&k, cookie, peer) {
		case 0, 536, 1300, 1440, 1460:
		default:
			t.Error("a segment size that no cookie says")
		}
	})
}

// The signature is found in any list of options, or not; nothing else happens.
func FuzzMD5Option(f *testing.F) {
	f.Add([]byte{1, 1, 19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte{19, 2, 0, 0})
	f.Add([]byte{1, 1, 1, 19})
	f.Fuzz(func(t *testing.T, opts []byte) {
		opts = opts[:min(len(opts), header.TCPMaxOption)&^3]
		h := header.TCP(make([]byte, header.TCPMinLen+len(opts)))
		h[12] = byte(len(h) / 4 << 4)
		copy(h[header.TCPMinLen:], opts)
		if p := md5Option(h); p != nil && len(p) != 16 {
			t.Errorf("%d bytes", len(p))
		}
		var o parsedOpts
		parseOptions(h, &o)
		if n := len(o.fo); n > 16 || n%2 != 0 {
			t.Errorf("a cookie of %d bytes", n)
		}
	})
}

// The example of a cookie that Linux 6.18 makes of this key.
func TestFastopenCookie_isLinux(t *testing.T) {
	key := make([]byte, 16)
	for i, w := range []uint32{0xa1a1a1a1, 0xb2b2b2b2, 0xc3c3c3c3, 0xd4d4d4d4} {
		binary.LittleEndian.PutUint32(key[4*i:], w)
	}
	k := newFastopenKeys(key)
	c := k.key[0].fastopenCookie(header.AddrFrom4([4]byte{192, 0, 2, 1}), header.AddrFrom4([4]byte{192, 168, 0, 2}))
	if got := binary.BigEndian.Uint64(c.bytes()); got != 0xde4f234f0f433a55 {
		t.Errorf("%x", got)
	}
}
