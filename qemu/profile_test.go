package qemu

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// profiled returns the image of a main package with the profiles linked in.
func profiled(t *testing.T, pkg string) string {
	t.Helper()
	image(t, echoApp) // sees to the builder, and skips where there is no QEMU
	images.Lock()
	defer images.Unlock()
	images.builder.Profile = true
	defer func() { images.builder.Profile = false }()
	b := build(pkg)
	if b.err != nil {
		t.Fatalf("building %s: %v", pkg, b.err)
	}
	return b.file
}

// get fetches a path of the guest's profiles.
func get(t *testing.T, port int, path string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/%s", port, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", path, r.Status, err, body)
	}
	return body
}

// shares returns what go tool pprof says of each function: the time in it and
// what it called, as a share of all samples, and their sum in seconds.
func shares(t *testing.T, profile []byte) (cum map[string]float64, total float64) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	if err := os.WriteFile(file, profile, 0o666); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=10000", "-nodefraction=0", "-unit=ms", file).CombinedOutput()
	if err != nil {
		t.Fatalf("go tool pprof: %v\n%s", err, text)
	}
	cum = map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 6 && strings.HasSuffix(f[4], "%") {
			cum[f[5]], _ = strconv.ParseFloat(strings.TrimSuffix(f[4], "%"), 64)
		}
	}
	if m := regexp.MustCompile(`Total samples = ([0-9.]+)ms`).FindSubmatch(text); m != nil {
		total, _ = strconv.ParseFloat(string(m[1]), 64)
	}
	return cum, total / 1000
}

// Samples land where the time goes: in two functions as they share it, though
// most interrupts of the timer are for a goroutine that sleeps, and in the
// softirqs that a stream of packets causes. On one processor, whose time they share.
func TestProfile_SamplesLandWhereTimeGoes(t *testing.T) {
	m := Start(t, Config{Kernel: profiled(t, guests+"split"), CPUs: 1, Append: "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off barewire.pprof=6060",
		NICs: []NIC{{NoPcap: true, Backend: User{Forwards: []Forward{{Proto: "udp", GuestPort: 7}, {Proto: "tcp", GuestPort: 6060}}}}}})
	for _, want := range []string{`barewire\.pprof: profiles for anyone who reaches TCP .*6060`, "^split$"} {
		if _, err := m.Console.WaitFor(want, bootTime); err != nil {
			t.Fatal(err)
		}
	}
	port, err := m.HostPort("tcp", 6060)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := m.HostPort("udp", 7)
	if err != nil {
		t.Fatal(err)
	}
	const seconds = 4
	stop := make(chan struct{})
	sent := make(chan int)
	go func() {
		n := 0
		defer func() { sent <- n }()
		c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", udp))
		if err != nil {
			return
		}
		defer c.Close()
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
			for range 8 {
				c.Write(make([]byte, 64))
				n++
			}
		}
	}()
	cum, total := shares(t, get(t, port, fmt.Sprintf("profile?seconds=%d", seconds)))
	close(stop)
	one, three, irq := cum["main.one"], cum["main.three"], cum["barewire/board/microvm.irqThread"]
	t.Logf("%d packets sent; %.2f s of samples in %d s: three %.1f %%, one %.1f %%, interrupts and softirqs %.1f %%", <-sent, total, seconds, three, one, irq)
	if one == 0 || three/one < 2 || three/one > 4.5 {
		t.Errorf("three/one = %.2f, want about 3", three/one)
	}
	if irq < 1 {
		t.Errorf("%.1f %% of the time is in the interrupt goroutine under a stream of packets", irq)
	}
	// The host may have taken the machine's processor away, so less is no error
	// until it is very much less; more cannot be.
	if total < seconds/5. || total > 1.1*seconds {
		t.Errorf("%.2f s of samples in %d s", total, seconds)
	}
	if heap := get(t, port, "heap?gc=1"); len(heap) == 0 {
		t.Error("the heap profile is empty")
	}
	if text := string(get(t, port, "metrics?seconds=1")); !strings.Contains(text, "/sched/latencies:seconds") {
		t.Errorf("metrics:\n%s", text)
	}
	if text := string(get(t, port, "counters")); !strings.Contains(text, "Local timer interrupts") || !regexp.MustCompile(`(?m)^rx_queue_0_polls: [1-9]`).MatchString(text) {
		t.Errorf("counters:\n%s", text)
	}
}

// An image with the profiles linked in serves nothing unless asked.
func TestProfile_IsOffUnlessAsked(t *testing.T) {
	m := Start(t, Config{Kernel: profiled(t, guests+"split"), Append: "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off",
		NICs: []NIC{{Backend: User{Forwards: []Forward{{Proto: "tcp", GuestPort: 6060}}}}}})
	if _, err := m.Console.WaitFor("^split$", bootTime); err != nil {
		t.Fatal(err)
	}
	if out := m.Console.Output(); strings.Contains(out, "pprof") {
		t.Errorf("the console tells of profiles:\n%s", out)
	}
	port, err := m.HostPort("tcp", 6060)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "GET /debug/pprof/ HTTP/1.0\r\n\r\n")
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("the guest answers: %q", b)
	}
}
