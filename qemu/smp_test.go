package qemu

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Several processors, with guest/smp. Every other test of the image can be run on several too: BAREWIRE_SMP=2 go test ./qemu.

func TestSMP_ProcessorsAreThere(t *testing.T) {
	for _, c := range []struct {
		machine, params string
		cpus, want      int
	}{
		{Microvm, "", 2, 2}, {Microvm, "", 4, 4}, {Q35, "", 3, 3}, {Q35, "", 16, 16}, {Microvm, "maxcpus=2", 4, 2}, {Q35, "nosmp", 2, 1},
	} {
		t.Run(fmt.Sprintf("%d on %s %s", c.cpus, c.machine, c.params), func(t *testing.T) {
			pass(t, Config{Machine: c.machine, CPUs: c.cpus, Append: c.params}, "smp", fmt.Sprint("count ", c.want), time.Minute)
		})
	}
}

func TestSMP_TheSchedulerHolds(t *testing.T) {
	for _, cpus := range []int{2, 4} {
		for _, name := range []string{"stress 2s", "quiet 3s", "preempt", "wake", "clock"} {
			t.Run(fmt.Sprintf("%s on %d", name, cpus), func(t *testing.T) {
				m := pass(t, Config{CPUs: cpus}, "smp", name, 2*time.Minute)
				t.Log(m.Console.Tail(2))
			})
		}
	}
}

// How much faster two loops are on two processors is the host's affair too: where the host's own two loops are not, nothing is said.
func TestSMP_ProcessorsWorkAtTheSameTime(t *testing.T) {
	if testing.Short() || runtime.NumCPU() < 2 {
		t.Skip("wants two processors of the host for itself")
	}
	fair := false
	for range 3 {
		m := Start(t, Config{CPUs: 2, Kernel: image(t, guests+"smp"), Append: "-- speedup"})
		code, err := m.Wait(time.Minute)
		t.Log(m.Console.Tail(2))
		if err == nil && code == 0 {
			return
		}
		host := hostSpeedup()
		t.Logf("on the host: %.2f times", host)
		fair = fair || host > 1.7
	}
	if !fair {
		t.Skip("the host has no two processors for this")
	}
	t.Error("two loops take as long on two processors as on one, three times")
}

// hostSpeedup is the worst of some measurements of two loops on the host: what guest/smp measures of the image. The worst, since
// the image had to find its best among as many.
func hostSpeedup() float64 {
	loop := func() {
		for n := 0; n < 1e8; n++ {
			runtime.KeepAlive(n)
		}
	}
	worst := 2.0
	for range 5 {
		t := time.Now()
		loop()
		loop()
		alone := time.Since(t)
		var both sync.WaitGroup
		t = time.Now()
		both.Go(loop)
		both.Go(loop)
		both.Wait()
		worst = min(worst, float64(alone)/float64(time.Since(t)))
	}
	return worst
}

// A fault on one processor ends the machine with one report, whatever the others print.
func TestSMP_OneCrashAmongPrinters(t *testing.T) {
	for _, cpus := range []int{2, 4} {
		m := Start(t, Config{CPUs: cpus, Kernel: image(t, guests+"smp"), Append: "-- crash"})
		if _, err := m.Console.WaitFor(`nil pointer dereference`, bootTime+10*time.Second); err != nil {
			t.Fatal(err)
		}
		if code, err := m.Wait(time.Minute); code != 2 || err != nil {
			t.Errorf("%d processors: exit code %d, %v", cpus, code, err)
		}
	}
}

// smpRules translate, and count what is forwarded.
const smpRules = `*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i eth1 -p udp -m udp --dport 7 -j ACCEPT
-A FORWARD -i eth0 -p udp -m udp --sport 7 -j ACCEPT
-A FORWARD -p tcp -j ACCEPT
COMMIT
`

// Flows through a router of several processors come out whole, and its rules have counted each packet and byte.
func TestSMP_RouterCountsEachPacket(t *testing.T) {
	for _, cpus := range []int{2, 4} {
		t.Run(fmt.Sprint(cpus), func(t *testing.T) {
			w := &natWorld{T: t, lan: needNamespace(t, "lan"), wan: needNamespace(t, "wan")}
			cfg := Config{Machine: Q35, CPUs: cpus}
			for i, ns := range []*Namespace{w.wan, w.lan} {
				tap, err := ns.TapQueues("tap0", netip.MustParsePrefix([]string{wanIP, lanIP}[i]+"/24"), cpus)
				if err != nil {
					t.Skip(err)
				}
				cfg.NICs = append(cfg.NICs, NIC{Backend: tap, NoPcap: true, Props: fmt.Sprint("mq=on,vectors=", 2*cpus+2)})
			}
			w.start(cfg, smpRules)
			whoServer(t, w.wan, ":9")
			var got, octets atomic.Int64
			var echo *net.UDPConn
			must(t, w.wan.Do(func() (err error) {
				echo, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7})
				return err
			}))
			defer echo.Close()
			go func() {
				for b := make([]byte, 2000); ; {
					n, from, err := echo.ReadFromUDPAddrPort(b)
					if err != nil {
						return
					}
					got.Add(1)
					octets.Add(int64(n) + 28)
					echo.WriteToUDPAddrPort(b[:n], from)
				}
			}()
			var all sync.WaitGroup
			for i := range 24 {
				all.Go(func() {
					conn, err := w.lan.connect("udp4", wanIP+":7")
					for k := 0; k < 100 && err == nil; k++ {
						err = echoOver(conn, pattern(i*100+k, 1+(i*37+k*101)%1400))
					}
					if err != nil {
						t.Errorf("flow %d: %v", i, err)
					}
				})
			}
			for range 4 {
				all.Go(func() {
					if _, err := seenAs(t, w.lan, wanIP+":9", 300_000); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			out := w.ok("iptables -nvxL FORWARD")
			for _, way := range []string{"dpt:7", "spt:7"} {
				if !regexp.MustCompile(fmt.Sprintf(`(?m)^ +%d +%d ACCEPT .*%s`, got.Load(), octets.Load(), way)).MatchString(out) {
					t.Errorf("not %d packets and %d bytes of %s:\n%s", got.Load(), octets.Load(), way, out)
				}
			}
			used := 0
			softnet := w.ok("cat /proc/net/softnet_stat")
			for _, line := range regexp.MustCompile(`(?m)^[0-9a-f]{8} `).FindAllString(softnet, -1) {
				if n, _ := strconv.ParseInt(line[:8], 16, 64); n > 50 {
					used++
				}
			}
			if used < 2 {
				t.Errorf("%d processors forward:\n%s", used, softnet)
			}
		})
	}
}
