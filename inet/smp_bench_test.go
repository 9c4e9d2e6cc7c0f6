package inet_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"barewire/inet"
	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// thisP tells on which of the scheduler's processors the caller runs.
func thisP() int {
	p := procPin()
	procUnpin()
	return p
}

// smpRouter is a router with so many processors, each with a pair of benchNICs of
// its own: 64 flows come in by the one and leave by the other.
func smpRouter(t testing.TB, cpus int) (s *inet.Net, ins, outs []*benchNIC) {
	n, err := napi.New(napi.Config{CPUs: cpus, CPU: func() int { return thisP() % cpus }})
	check(t, err)
	s, err = inet.New(inet.Config{Net: n})
	check(t, err)
	check(t, n.Sysctl().Set("net.ipv4.ip_forward", "1"))
	var devs []*napi.NetDevice
	for cpu := range cpus {
		var pair [2]*benchNIC
		for i := range pair {
			d := &benchNIC{fresh: 42}
			dev := napi.AllocNetdev("eth%d", d, 1)
			napi.EtherSetup(dev)
			mac := hostMAC
			mac[4] = byte(2*cpu + i)
			check(t, dev.SetHardwareAddr(mac))
			d.attach(dev)
			d.napi.SetCPU(cpu)
			check(t, n.RegisterNetdev(dev))
			check(t, dev.Open())
			check(t, s.AddAddr(dev, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(cpu), byte(i), 1}), 24)))
			pair[i] = d
			devs = append(devs, dev)
		}
		in, out := pair[0], pair[1]
		for i := range 64 {
			src, dst := ip4(10, byte(cpu), 0, 9), ip4(10, byte(cpu), 1, byte(10+i))
			nb, err := s.IP().Neigh.Get(out.dev, dst)
			check(t, err)
			nb.Update(peerMAC, neigh.NUDPermanent, true)
			in.frames = append(in.frames, ethFrame(in.dev.HardwareAddr(), peerMAC, header.EthPIP,
				ipPacket(header.Fields{Protocol: 17, Src: src, Dst: dst}, udpPacket(src, dst, uint16(1000+i), 2, make([]byte, 36)))))
		}
		ins, outs = append(ins, in), append(outs, out)
	}
	t.Cleanup(func() {
		for _, d := range devs {
			d.Close()
		}
		s.Close()
		if p := n.SKB().Pool().InUse(); p != 0 {
			t.Errorf("%d pages not returned", p)
		}
	})
	return s, ins, outs
}

// smpPass has count frames arrive at each processor and handles them at the same
// time. It returns how long that took, and the processor time of all.
func smpPass(n *napi.Net, ins []*benchNIC, count int) (took, busy time.Duration) {
	begin := time.Now()
	var all sync.WaitGroup
	var sum atomic.Int64
	for cpu, in := range ins {
		in.left = count
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			from := threadTime()
			soft := n.SoftNetOf(cpu)
			for in.left > 0 {
				soft.IRQEnter()
				in.napi.Schedule()
				soft.DoSoftirq()
			}
			sum.Add(int64(threadTime() - from))
		})
	}
	all.Wait()
	return time.Since(begin), time.Duration(sum.Load())
}

// threadTime is the processor time that the calling thread has used.
func threadTime() time.Duration {
	var ts syscall.Timespec
	const thread = 3 // CLOCK_THREAD_CPUTIME_ID; what getrusage says is counted in ticks
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, thread, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

// BenchmarkSMP_forward64 forwards on one processor and on two at once, in turns, and
// says how many times as much two do: 2 is all there is to be had. On a machine that
// others use that means little; what it would be by the processor time that a packet
// costs says how much the two are in each other's way.
func BenchmarkSMP_forward64(b *testing.B) {
	if runtime.GOMAXPROCS(0) < 2 {
		b.Skip("one processor")
	}
	for _, name := range []string{"plain", "nat", "nat and 100 rules"} {
		b.Run(name, func(b *testing.B) {
			var least, busy [2]time.Duration
			s, ins, outs := smpRouter(b, 2)
			if name == "nat and 100 rules" {
				rules := "*filter\n:FORWARD DROP\n-A FORWARD -p udp\n"
				for i := range 98 {
					rules += fmt.Sprintf("-A FORWARD -s 192.0.2.%d -p tcp --dport %d -j DROP\n", i, i)
				}
				if status, _, stderr := s.NF().Run([]string{"iptables-restore"}, []byte(rules+"-A FORWARD -j ACCEPT\nCOMMIT\n")); status != 0 {
					b.Fatalf("%s", stderr)
				}
			}
			if name != "plain" {
				defer s.NF().UseNAT(func(p *skb.Buff, st *netfilter.State) netfilter.Verdict {
					if st.Point == netfilter.PostRouting {
						return s.NF().NAT.Masquerade(p, st, &nat.Range{})
					}
					return netfilter.Accept
				})()
			}
			const burst = 20000
			smpPass(s.Dev(), ins, burst)
			for b.Loop() {
				for k := range least {
					d, c := smpPass(s.Dev(), ins[:k+1], burst)
					if least[k] == 0 || d < least[k] {
						least[k] = d
					}
					if busy[k] == 0 || c < busy[k] {
						busy[k] = c
					}
				}
			}
			for k, o := range outs {
				if o.sent == 0 {
					b.Errorf("processor %d sent nothing", k)
				}
			}
			b.ReportMetric(float64(least[0].Nanoseconds())/burst, "one-ns")
			b.ReportMetric(float64(least[1].Nanoseconds())/burst, "two-ns")
			b.ReportMetric(2*float64(least[0])/float64(least[1]), "times")
			b.ReportMetric(4*float64(busy[0])/float64(busy[1]), "times-by-cpu")
		})
	}
}
