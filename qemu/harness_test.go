package qemu

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"barewire/board/hosted"
	"barewire/toolchain/vm"
)

// The tests in this file try the harness itself: with QEMU where there is no
// guest in it, and with the Linux kernel in the place of one.

func needQEMU(t testing.TB) {
	t.Helper()
	if _, err := vm.FindQEMU(); err != nil {
		t.Skip(err)
	}
}

func TestConsole_MatchesInOrder(t *testing.T) {
	r, w := io.Pipe()
	c := newConsole(r, io.Discard, nil)
	io.WriteString(w, "one\r\ntwo 22\r\nthr")
	if m, err := c.WaitFor(`two (\d+)`, time.Second); err != nil || m[1] != "22" {
		t.Fatalf("WaitFor: %v %v", m, err)
	}
	if _, err := c.WaitFor("one", 10*time.Millisecond); err == nil {
		t.Fatal("text before the cursor matched again")
	}
	go io.WriteString(w, "ee$ ")
	if _, err := c.WaitFor(`^three\$ `, time.Second); err != nil {
		t.Fatalf("a prompt without an end of line: %v", err)
	}
	if got := c.Output(); got != "one\ntwo 22\nthree$ " {
		t.Fatalf("output %q", got)
	}
}

func TestConsole_ClosedWhileWaiting(t *testing.T) {
	r, w := io.Pipe()
	c := newConsole(r, io.Discard, nil)
	time.AfterFunc(10*time.Millisecond, func() {
		io.WriteString(w, "panic: last words\n")
		w.Close()
	})
	start := time.Now()
	_, err := c.WaitFor("never", 10*time.Second)
	if err == nil || !strings.Contains(err.Error(), "last words") {
		t.Fatalf("error without the end of the console: %v", err)
	}
	if time.Since(start) > 5*time.Second {
		t.Fatal("waited for a console that was closed")
	}
}

func TestBareImage_ConsoleAndExitCode(t *testing.T) {
	needQEMU(t)
	for _, machine := range []string{Microvm, Q35} {
		t.Run(machine, func(t *testing.T) {
			vm := Start(t, Config{Machine: machine, Kernel: bareImage(t)})
			if _, err := vm.Console.WaitFor("^ready$", 10*time.Second); err != nil {
				t.Fatal(err)
			}
			if err := vm.Console.Type("hello"); err != nil {
				t.Fatal(err)
			}
			if _, err := vm.Console.WaitFor("hello", 5*time.Second); err != nil {
				t.Fatal(err)
			}
			// On a busy host the guest waits for its turn: look until it had one.
			var share float64
			var err error
			for range 20 {
				if share, err = vm.CPUShare(300 * time.Millisecond); err != nil || share >= 0.3 {
					break
				}
			}
			if err != nil || share < 0.3 {
				t.Errorf("a guest that spins uses %.2f of a core (%v)", share, err)
			}
			if _, err := vm.Wait(10 * time.Millisecond); err == nil {
				t.Fatal("Wait returned while the guest runs")
			}
			if err := vm.Console.Type("q"); err != nil {
				t.Fatal(err)
			}
			if code, err := vm.Wait(5 * time.Second); code != 42 || err != nil {
				t.Fatalf("exit code %d, %v", code, err)
			}
		})
	}
}

func TestBareImage_WithoutExitDevice(t *testing.T) {
	needQEMU(t)
	vm := Start(t, Config{Kernel: bareImage(t), NoExitDevice: true})
	if _, err := vm.Console.WaitFor("^ready$", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	vm.Console.Type("q")
	if code, err := vm.Wait(300 * time.Millisecond); err == nil {
		t.Fatalf("the exit device is there: code %d", code)
	}
}

func TestConfig_Refusals(t *testing.T) {
	needQEMU(t)
	for name, cfg := range map[string]Config{
		"no such machine": {Machine: "pdp11"},
		"no such file":    {Kernel: "/does/not/exist"},
		"no backend":      {NICs: []NIC{{}}},
		"bad MAC":         {NICs: []NIC{{MAC: "1,2", Backend: User{}}}},
		"executable file": {Binary: "qemu-system-nonesuch"},
		"cannot forward":  {NICs: []NIC{{Backend: User{Forwards: []Forward{{Proto: "icmp"}}}}}},
	} {
		if cfg.Kernel == "" {
			cfg.Kernel = bareImage(t)
		}
		vm, err := Launch(t.Context(), cfg)
		if err == nil {
			vm.Kill()
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLaunch_QEMUFails(t *testing.T) {
	needQEMU(t)
	vm, err := Launch(t.Context(), Config{Kernel: bareImage(t), Extra: []string{"-device", "no-such-device"}})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Kill()
	if code, err := vm.Wait(10 * time.Second); err == nil || !strings.Contains(err.Error(), "no-such-device") {
		t.Fatalf("code %d, error %v", code, err)
	}
	if _, err := vm.QMP(); err == nil {
		t.Fatal("a QMP connection to nothing")
	}
}

func TestQMP_Session(t *testing.T) {
	needQEMU(t)
	for _, machine := range []string{Microvm, Q35} {
		t.Run(machine, func(t *testing.T) {
			vm := Start(t, Config{Machine: machine, Kernel: bareImage(t), NICs: []NIC{{Backend: User{Forwards: []Forward{{"udp", 0, 7}, {"tcp", 0, 80}}}}}})
			q, err := vm.QMP()
			if err != nil {
				t.Fatal(err)
			}
			if s, err := q.Status(); s != "running" || err != nil {
				t.Fatalf("status %q, %v", s, err)
			}
			if err := q.Stop(); err != nil {
				t.Fatal(err)
			}
			if _, err := q.WaitEvent("STOP", 5*time.Second); err != nil {
				t.Fatal(err)
			}
			if s, err := q.Status(); s != "paused" || err != nil {
				t.Fatalf("status after stop %q, %v", s, err)
			}
			if err := q.Cont(); err != nil {
				t.Fatal(err)
			}
			if err := q.SetLink(vm.Netdev(0), false); err != nil {
				t.Fatal(err)
			}
			var refused *QMPError
			if err := q.SetLink("nothing", true); !errors.As(err, &refused) || refused.Class != "DeviceNotFound" {
				t.Fatalf("set_link of nothing: %v", err)
			}
			udp, err := vm.HostPort("udp", 7)
			if err != nil || udp == 0 {
				t.Fatalf("forwarded UDP port %d, %v", udp, err)
			}
			if tcp, err := vm.HostPort("tcp", 80); err != nil || tcp == 0 {
				t.Fatalf("forwarded TCP port %d, %v", tcp, err)
			}
			if _, err := vm.HostPort("udp", 9); err == nil {
				t.Fatal("a port that was not forwarded was found")
			}
			if d, err := vm.CPUTime(); err != nil || d <= 0 {
				t.Fatalf("CPU time %v, %v", d, err)
			}
			if err := q.Quit(); err != nil {
				t.Fatal(err)
			}
			if code, err := vm.Wait(5 * time.Second); code != 0 || err != nil {
				t.Fatalf("after quit: code %d, %v", code, err)
			}
			if err := q.Cont(); !errors.Is(err, ErrQMPClosed) {
				t.Fatalf("a command after the end: %v", err)
			}
		})
	}
}

func TestKill_LeavesNothing(t *testing.T) {
	needQEMU(t)
	dir := t.TempDir()
	vm, err := Launch(t.Context(), Config{Kernel: bareImage(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vm.QMP(); err != nil {
		t.Fatal(err)
	}
	vm.Kill()
	vm.Kill() // a second time must be harmless
	if err := syscall.Kill(vm.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("process %d: %v", vm.PID(), err)
	}
	if _, err := vm.Wait(time.Second); !errors.Is(err, ErrKilled) {
		t.Fatalf("Wait after Kill: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "qemu.txt"))
	if err != nil || !strings.Contains(string(log), "-machine microvm") {
		t.Fatalf("log of the run: %q, %v", log, err)
	}
}

// Frames put on a wire arrive in QEMU: its capture has them, whole.
func TestWire_FramesReachQEMU(t *testing.T) {
	needQEMU(t)
	for kind, name := range map[WireKind]string{Dgram: "dgram", Stream: "stream"} {
		t.Run(name, func(t *testing.T) {
			conn, end, err := NewWire(kind)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			vm := Start(t, Config{Kernel: bareImage(t), NICs: []NIC{{Backend: end}}})
			// One frame: a card without a driver takes no more than that.
			want := Ethernet(Broadcast, MAC{2, 0, 0, 0, 0, 1}, 0x88b5, bytes.Repeat([]byte("frame"), 40))
			if err := conn.WriteFrame(want); err != nil {
				t.Fatal(err)
			}
			var got []Captured
			for range 100 {
				if got, _ = ReadPcap(vm.pcap(0)); len(got) > 0 {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			if len(got) != 1 || got[0].Length != len(want) || !bytes.Equal(got[0].Data, want) {
				t.Fatalf("captured %d frames: %x, want %x", len(got), got, want)
			}
		})
	}
}

// tapFrames uses a TAP device without a vnet header as a cable.
type tapFrames struct{ dgramConn }

func needNamespace(t testing.TB, hint string) *Namespace {
	t.Helper()
	if err := CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := NewNamespace(hint)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// The peer's own frames are tried against the Linux kernel, so that a guest that
// disagrees with the peer is wrong.
func TestPeer_AgreesWithLinux(t *testing.T) {
	ns := needNamespace(t, "peer")
	linux, self := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, args := range [][]string{
		{"tuntap", "add", "dev", "tap0", "mode", "tap"},
		{"addr", "add", "192.0.2.1/24", "dev", "tap0"},
		{"link", "set", "tap0", "up"},
	} {
		if err := ns.IP(args...); err != nil {
			t.Fatal(err)
		}
	}
	var f *os.File
	if err := ns.Do(func() (err error) { f, err = hosted.OpenTap("tap0", false); return err }); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewPeer(tapFrames{dgramConn{f}}, MAC{2, 0, 0, 0, 0, 9}, self)
	mac, err := p.Resolve(linux, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte("are you there? odd length")
	if back, err := p.Ping(mac, linux, 7, 1, payload, 5*time.Second); err != nil || !bytes.Equal(back, payload) {
		t.Fatalf("ping: %q, %v", back, err)
	}
	// A port nobody has bound: Linux answers port unreachable with our packet
	// in it, so it accepted our UDP checksum's place and the IP header.
	if err := p.SendUDP(mac, netip.AddrPortFrom(linux, 9), 4000, []byte("x")); err != nil {
		t.Fatal(err)
	}
	un, err := p.Expect(5*time.Second, func(f *Frame) bool { return f.ICMP != nil && f.ICMP.Type == ICMPUnreachable })
	if err != nil {
		t.Fatal(err)
	}
	if un.ICMP.Code != 3 || len(un.ICMP.Payload) < 28 {
		t.Fatalf("unreachable code %d with %d bytes", un.ICMP.Code, len(un.ICMP.Payload))
	}
	// The other way: a socket of the kernel sends to the peer and gets its answer.
	conn, err := ns.DialUDP(netip.AddrPortFrom(self, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("from linux")); err != nil {
		t.Fatal(err)
	}
	got, err := p.Expect(5*time.Second, func(f *Frame) bool { return f.UDP != nil && f.UDP.Dst == 7 })
	if err != nil {
		t.Fatal(err)
	}
	if string(got.UDP.Payload) != "from linux" {
		t.Fatalf("payload %q", got.UDP.Payload)
	}
	if err := p.SendUDP(mac, netip.AddrPortFrom(linux, got.UDP.Src), 7, []byte("from the peer")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "from the peer" {
		t.Fatalf("answer %q, %v", buf[:n], err)
	}
	if p.Damaged != 0 {
		t.Fatalf("%d of Linux's frames were called damaged: %v", p.Damaged, p.LastDamage)
	}
}

func TestNamespace_CommandsRunInside(t *testing.T) {
	ns := needNamespace(t, "cmd")
	if out, err := ns.Run(10*time.Second, "ping", "-c", "1", "127.0.0.1"); err != nil {
		t.Fatal(out, err)
	}
	if out, err := ns.Run(10*time.Second, "ip", "-br", "link"); err != nil || strings.Contains(out, "eth0") {
		t.Fatalf("not a namespace of its own: %s %v", out, err)
	}
	if _, err := ns.Run(200*time.Millisecond, "sleep", "5"); err == nil || !strings.Contains(err.Error(), "not done") {
		t.Fatalf("a command past its time: %v", err)
	}
	if err := ns.Sysctl("ipv4/ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	if out, err := ns.Run(time.Second, "cat", "/proc/sys/net/ipv4/ip_forward"); err != nil || out != "1\n" {
		t.Fatalf("sysctl in the namespace: %q %v", out, err)
	}
}

func TestStripVnetHeaders_TenAndTwelve(t *testing.T) {
	frames := [][]byte{
		Ethernet(Broadcast, peerMAC, EtherARP, ARP{Op: ARPRequest, SenderIP: hostIP, TargetIP: guestIP}.Marshal()),
		Ethernet(cardMAC, peerMAC, EtherIPv4, IPv4{Proto: ProtoICMP, Src: hostIP, Dst: guestIP, Payload: ICMP{Type: ICMPEcho}.Marshal()}.Marshal()),
		Ethernet(peerMAC, cardMAC, 0x88b5, []byte("neither")),
	}
	file := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0}
	for i, f := range frames {
		hdr := []int{10, 12, 12}[i]
		kept, length := byte(hdr+len(f)), byte(hdr+len(f)+5)
		file = append(file, 1, 0, 0, 0, 2, 0, 0, 0, kept, 0, 0, 0, length, 0, 0, 0)
		file = append(append(file, make([]byte, hdr)...), f...)
	}
	file = append(file, 9, 9, 9) // cut off
	path := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(path, file, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := stripVnetHeaders(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadPcap(path)
	if err != nil || len(got) != len(frames) {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	for i, c := range got {
		if !bytes.Equal(c.Data, frames[i]) || c.Length != len(frames[i])+5 {
			t.Errorf("frame %d: %x, want %x", i, c.Data, frames[i])
		}
	}
}
