package inet_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/skb/header"
)

var tcpSeeds = flag.Uint64("tcpseeds", 200, "seeds of TestTCP_world")
var tcpSeed = flag.Uint64("tcpseed", 0, "one seed of TestTCP_world, with its counters")

// tcpWorld is two stacks on a wire in virtual time. The seed decides about the
// wire, the settings and what the programs do.
type tcpWorld struct {
	city
	seed uint64
	rng  *rand.Rand
	wire *hosted.Wire
	a, b *inet.Net

	fastopen bool // the SYN brings data where it can
	most     int  // bytes of a transfer

	errors []string // for one who stands still and cannot end the test
}

func (w *tcpWorld) Errorf(format string, args ...any) {
	w.errors = append(w.errors, fmt.Sprintf(format, args...))
	w.TB.Errorf(format, args...)
}

// newTCPWorld makes a world whose loss is one of those given.
func newTCPWorld(t *testing.T, seed uint64, losses ...float64) *tcpWorld {
	if len(losses) == 0 {
		losses = []float64{0, 0, 0.01, 0.05, 0.1}
	}
	w := &tcpWorld{city: city{TB: t, stop: make(chan struct{})}, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), most: 600000}
	r := w.rng
	pick := func(v ...float64) float64 { return v[r.IntN(len(v))] }
	cfg := hosted.WireConfig{
		Seed: seed, Loss: pick(losses...), Duplicate: pick(0, 0, 0.05), Corrupt: pick(0, 0, 0.02),
		Reorder: pick(0, 0, 0.1), ReorderBy: time.Duration(r.IntN(20)+1) * time.Millisecond,
		Delay: time.Duration(pick(0, 1, 20, 250)) * time.Millisecond, Jitter: time.Duration(pick(0, 0, 5)) * time.Millisecond,
		Rate: int64(pick(0, 0, 10e6, 1e6)),
	}
	var err error
	w.wire, err = hosted.NewWire(cfg)
	check(t, err)
	mtu := []int{1500, 1500, 576, 9000}[r.IntN(4)]
	for i, n := range []**inet.Net{&w.a, &w.b} {
		*n = w.space()
		d, err := w.wire.Attach((*n).Dev(), "eth0", [6]byte{2, 0, 0, 0, 0, byte(i + 1)})
		check(t, err)
		check(t, d.SetMTU(mtu))
		w.up(*n, d, fmt.Sprintf("10.0.0.%d/24", i+1))
		// ARP gives up sooner than TCP does, which is not the question here.
		check(t, (*n).IP().Neigh.Add(d, header.AddrFrom4([4]byte{10, 0, 0, byte(2 - i)}), []byte{2, 0, 0, 0, 0, byte(2 - i)}, neigh.NUDPermanent, 0))
		for _, s := range []string{"tcp_sack", "tcp_timestamps", "tcp_window_scaling", "tcp_dsack", "tcp_early_retrans"} {
			// Without timestamps a retransmission gives no RTT (Karn), and on
			// so bad a path the timeout stays at its most until TCP gives up.
			if r.IntN(5) == 0 && (cfg.Loss < 0.05 || s != "tcp_timestamps") {
				check(t, (*n).Dev().Sysctl().Set("net.ipv4."+s, "0"))
			}
		}
		check(t, (*n).Dev().Sysctl().Set("net.ipv4.tcp_congestion_control", []string{"cubic", "reno", "bbr"}[r.IntN(3)]))
		if r.IntN(3) == 0 {
			check(t, (*n).Dev().Sysctl().Set("net.ipv4.tcp_ecn", []string{"1", "3", "3", "4", "5"}[seed%5]))
			check(t, (*n).Dev().Sysctl().Set("net.ipv4.tcp_ecn_option", []string{"0", "1", "2"}[seed%3]))
		}
		check(t, (*n).Dev().Sysctl().Set("net.ipv4.tcp_mtu_probing", []string{"0", "0", "1", "2"}[r.IntN(4)]))
		if cfg.Loss > 0.1 {
			// The usual patience is that of a whole episode of losses, as in Linux (see the script
			// timeout_of_the_episode). On such a path that is too little: the timeout stays at
			// its most, since an RTT counts until an ACK gets here at last; and such losses look like
			// a black hole for packets of any size.
			w.most = 60000
			for name, most := range map[string]string{"tcp_retries2": "255", "tcp_syn_retries": "127", "tcp_synack_retries": "127", "tcp_rto_max_ms": "20000", "tcp_mtu_probe_floor": "500"} {
				check(t, (*n).Dev().Sysctl().Set("net.ipv4."+name, most))
			}
		}
	}
	return w
}

func (w *tcpWorld) tcp(n *inet.Net) *sock.Socket {
	s, err := n.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(w, err)
	return s
}

// pattern is the byte at an offset of a stream.
func pattern(seed uint64, off int) byte { return byte(uint64(off)*0x9e3779b97f4a7c15>>56) ^ byte(seed) }

type patternReader struct {
	seed     uint64
	off, end int
}

func (p *patternReader) Read(b []byte) (int, error) {
	if p.off == p.end {
		return 0, io.EOF
	}
	n := min(len(b), p.end-p.off)
	for i := range n {
		b[i] = pattern(p.seed, p.off+i)
	}
	p.off += n
	return n, nil
}

// speak writes n bytes in pieces and closes its side, and reads the other's,
// which it checks.
func (w *tcpWorld) speak(who string, s *sock.Socket, out, in int, seedOut, seedIn uint64, r *rand.Rand) {
	var both sync.WaitGroup
	both.Go(func() {
		p := &patternReader{seedOut, 0, out}
		buf := make([]byte, 1+r.IntN(100000))
		for {
			n, err := p.Read(buf[:1+r.IntN(len(buf))])
			if err == io.EOF {
				break
			}
			if k, err := (conn{s}).Write(buf[:n]); k != n || err != nil {
				w.Errorf("seed %d: %s wrote %d of %d: %v", w.seed, who, k, n, err)
				return
			}
			if r.IntN(40) == 0 {
				time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
			}
		}
		if err := s.Shutdown(syscall.SHUT_WR); err != nil {
			w.Errorf("seed %d: %s: shutdown: %v", w.seed, who, err)
		}
	})
	r2 := rand.New(rand.NewPCG(w.seed, seedIn))
	buf := make([]byte, 1+r2.IntN(60000))
	want := make([]byte, len(buf))
	got := 0
	for {
		n, err := (conn{s}).Read(buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			w.Errorf("seed %d: %s read %d of %d: %v", w.seed, who, got, in, err)
			break
		}
		for i := range n {
			want[i] = pattern(seedIn, got+i)
		}
		if !bytes.Equal(buf[:n], want[:n]) {
			w.Errorf("seed %d: %s: wrong bytes in %d..%d", w.seed, who, got, got+n)
			break
		}
		got += n
		if r2.IntN(60) == 0 {
			time.Sleep(time.Duration(r2.IntN(1000)) * time.Millisecond)
		}
	}
	if got != in {
		w.Errorf("seed %d: %s read %d of %d bytes", w.seed, who, got, in)
	}
	both.Wait()
	// Stay until the FIN is acknowledged: an orphan would give up before a
	// program does, and leave the other side waiting, as in Linux.
	for arg := make([]byte, 4); ; time.Sleep(100 * time.Millisecond) {
		if err := s.Ioctl(syscall.TIOCOUTQ, arg); err != nil || binary.LittleEndian.Uint32(arg) == 0 {
			return
		}
		if s.SK.State() == sock.StateClose {
			return // the other side had waited for it long enough
		}
	}
}

func (w *tcpWorld) transfer() {
	r := w.rng
	l := w.tcp(w.b)
	check(w, l.Bind(sockaddr(0, 80)))
	check(w, l.Listen(5))
	conns := 1 + r.IntN(3)
	size := func() int { return []int{0, 1, 1 + r.IntN(3000), r.IntN(w.most / 6), r.IntN(w.most)}[r.IntN(5)] }
	type job struct{ up, down int }
	jobs := make([]job, conns)
	var all sync.WaitGroup
	for i := range jobs {
		jobs[i] = job{size(), size()}
	}
	for i := range jobs {
		j := jobs[i]
		rc, rs := rand.New(rand.NewPCG(w.seed, uint64(100+i))), rand.New(rand.NewPCG(w.seed, uint64(200+i)))
		all.Go(func() {
			c := w.tcp(w.a)
			// The job's number goes in the port, which the other side sees.
			check(w, c.Bind(sockaddr(0, uint16(5000+i))))
			if w.fastopen && j.up > 0 {
				check(w, c.SetSockOpt(syscall.SOL_TCP, 30, []byte{1, 0, 0, 0})) // TCP_FASTOPEN_CONNECT
			}
			if err := c.Connect(sockaddr(header.AddrFrom4([4]byte{10, 0, 0, 2}), 80), 0); err != nil {
				w.Errorf("seed %d: connect %d: %v", w.seed, i, err)
				c.Release()
				return
			}
			w.speak(fmt.Sprintf("client %d", i), c, j.up, j.down, w.seed+uint64(i), w.seed+uint64(i)+50, rc)
			check(w, c.Release())
		})
		all.Go(func() {
			s, err := l.Accept(0)
			if err != nil {
				w.Errorf("seed %d: accept: %v", w.seed, err)
				return
			}
			var sa [16]byte
			s.Getname(true, sa[:])
			k := int(binary.BigEndian.Uint16(sa[2:])) - 5000
			w.speak(fmt.Sprintf("server %d", k), s, jobs[k].down, jobs[k].up, w.seed+uint64(k)+50, w.seed+uint64(k), rs)
			check(w, s.Release())
		})
	}
	watch := time.AfterFunc(12*time.Hour, func() {
		for _, n := range []*inet.Net{w.a, w.b} {
			p, _ := n.Dev().Proc().Lookup("tcp")
			fmt.Printf("%s%s", p(nil), n.Netstat())
		}
		panic(fmt.Sprintf("%v; seed %d stands still: %v", w.errors, w.seed, w.wire))
	})
	defer watch.Stop()
	all.Wait()
	check(w, l.Release())
}

// end wants nothing left of TCP, and takes the world down.
func (w *tcpWorld) end() {
	for i, n := range []*inet.Net{w.a, w.b} {
		if p, _ := n.Dev().Proc().Lookup("tcp"); bytes.Count(p(nil), []byte("\n")) != 1 {
			w.Errorf("seed %d: host %d still has\n%s", w.seed, i, p(nil))
		}
	}
	close(w.stop)
	w.run.Wait()
	w.wire.Close()
	w.down()
}

// TestTCP_world_everyByteUnderFaults transfers over bad wires in virtual time:
// every byte arrives once and in order, every close is clean, nothing is left.
func TestTCP_world_everyByteUnderFaults(t *testing.T) {
	tcpWorlds(t, *tcpSeeds)
}

// TestTCP_world_upTo30PercentLost is the same where most transfers stand still
// for much of the time.
func TestTCP_world_upTo30PercentLost(t *testing.T) {
	tcpWorlds(t, *tcpSeeds/2, 0.15, 0.2, 0.25, 0.3)
}

func tcpWorlds(t *testing.T, hi uint64, losses ...float64) {
	lo := uint64(1)
	if *tcpSeed != 0 {
		lo, hi = *tcpSeed, *tcpSeed
	}
	for seed := lo; seed <= hi; seed++ {
		synctest.Test(t, func(t *testing.T) {
			w := newTCPWorld(t, seed, losses...)
			start := time.Now()
			w.transfer()
			took := time.Since(start)
			// TIME_WAIT and orphans end.
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			if *tcpSeed != 0 {
				for _, n := range []*inet.Net{w.a, w.b} {
					t.Logf("%v, took %v\n%s%s", w.wire, took, n.SNMP(), n.Netstat())
				}
			}
			w.end()
		})
		if t.Failed() {
			return
		}
	}
}
