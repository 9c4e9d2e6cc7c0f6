package inet_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/inet/sock"
	"barewire/skb/header"
)

// proxied makes the router answer SYNs to port 80 in the server's name.
func proxied(t *testing.T, w *natWorld, options string) {
	rules(t, w.router,
		"-t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack",
		"-A FORWARD -p tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY "+options,
		"-A FORWARD -m conntrack --ctstate INVALID -j DROP")
	check(t, w.router.Dev().Sysctl().Set("net.netfilter.nf_conntrack_tcp_loose", "0"))
}

func proxyStat(t *testing.T, w *natWorld) (received, invalid, valid, again int) {
	t.Helper()
	f, ok := w.router.Dev().Proc().File("stat/synproxy")
	if !ok {
		t.Fatal("no /proc/net/stat/synproxy")
	}
	b := f.Show(nil)
	lines := strings.Split(string(b), "\n")
	var entries int
	if _, err := fmt.Sscanf(lines[1], "%x %x %x %x %x", &entries, &received, &invalid, &valid, &again); err != nil {
		t.Fatal(err)
	}
	return
}

// exchange sends n bytes each way and closes.
func exchange(t *testing.T, a, b *sock.Socket, n int) {
	t.Helper()
	data := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for _, p := range [][2]*sock.Socket{{a, b}, {b, a}} {
		go func() {
			p[0].SendMsg(&sock.Msg{Iov: [][]byte{data}}, 0) // what is missing the other end sees
			p[0].Shutdown(syscall.SHUT_WR)
		}()
		var got []byte
		buf := make([]byte, 64<<10)
		for {
			k, err := p[1].RecvMsg(&sock.Msg{Iov: [][]byte{buf}}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if k == 0 {
				break
			}
			got = append(got, buf[:k]...)
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes of %d arrive", len(got), n)
		}
	}
}

// TestSYNPROXY_clientThatIsThere_reachesTheServer: the two ends agree on sequence
// numbers, timestamps and windows that neither of them chose, over a wire that
// loses and reorders.
func TestSYNPROXY_clientThatIsThere_reachesTheServer(t *testing.T) {
	for _, c := range []struct {
		options string
		loss    float64
	}{
		{"--sack-perm --timestamp --wscale 10 --mss 1460", 0},
		{"--sack-perm --timestamp --wscale 10 --mss 1460", 0.1},
		{"--mss 1400", 0},
		{"--sack-perm --wscale 7 --mss 1460", 0.1}, // without timestamps there are none of these
		{"", 0},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNATWorld(t, 3, hosted.WireConfig{Seed: 5, Loss: c.loss, Reorder: c.loss, ReorderBy: time.Millisecond})
				defer w.finish()
				proxied(t, w, c.options)
				l := w.tcp(w.server)
				defer l.Release()
				check(t, l.Bind(sockaddr(0, 80)))
				check(t, l.Listen(4))
				for range 3 {
					k := w.tcp(w.client)
					check(t, k.Connect(sockaddr(ip4(192, 0, 2, 2), 80), 0))
					s, err := l.Accept(0)
					check(t, err)
					exchange(t, k, s, 300_000)
					k.Release()
					s.Release()
				}
				if received, _, valid, _ := proxyStat(t, w); received < 3 || valid < 3 {
					t.Errorf("%d SYNs, %d cookies", received, valid)
				}
			})
		})
	}
}

// TestSYNPROXY_serverThatRefuses_isHeard: the client, which believes that it is
// connected, is told by a RST it can believe.
func TestSYNPROXY_serverThatRefuses_isHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 3, hosted.WireConfig{})
		defer w.finish()
		proxied(t, w, "--sack-perm --timestamp --wscale 7 --mss 1460")
		k := w.tcp(w.client)
		defer k.Release()
		check(t, k.Connect(sockaddr(ip4(192, 0, 2, 2), 80), 0))
		if _, err := k.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, 1)}}, 0); err != syscall.ECONNRESET {
			t.Errorf("nobody listens, and the client hears %v", err)
		}
	})
}

// TestSYNPROXY_flood_reachesNobody: SYNs whose senders do not exist, and ACKs out
// of nowhere, cost no connection and do not come to the server.
func TestSYNPROXY_flood_reachesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 3, hosted.WireConfig{})
		defer w.finish()
		proxied(t, w, "--sack-perm --timestamp --wscale 7 --mss 1460")
		l := w.tcp(w.server)
		defer l.Release()
		check(t, l.Bind(sockaddr(0, 80)))
		check(t, l.Listen(4))
		raw, err := w.client.SockCreate(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
		check(t, err)
		defer raw.Release()
		const n = 500
		for i := range n {
			flags := uint8(2) // SYN
			if i%2 == 1 {
				flags = 0x10 // ACK
			}
			src, dst := ip4(10, 1, 1, byte(3+i%200)), ip4(192, 0, 2, 2)
			p := make([]byte, header.IPv4MinLen)
			header.PutIPv4(p, &header.Fields{TTL: 64, Protocol: header.ProtoTCP, Src: src, Dst: dst})
			p = append(p, tcpSegmentOf(src, dst, header.TCPFields{SrcPort: uint16(1024 + i), DstPort: 80,
				Seq: uint32(i) * 77777, Ack: uint32(i) * 33333, Flags: flags}, "")...)
			_, err := raw.SendMsg(named(sockaddr(ip4(192, 0, 2, 2), 0), p), 0)
			check(t, err)
			time.Sleep(10 * time.Millisecond) // the first waits for an answer to ARP
		}
		received, invalid, valid, _ := proxyStat(t, w)
		if received != n/2 || invalid != n/2 || valid != 0 {
			t.Errorf("%d SYNs received, %d cookies refused, %d taken", received, invalid, valid)
		}
		if c := w.router.NF().Conntrack.Count(); c > 1 {
			t.Errorf("%d connections are tracked", c)
		}
	})
}
