package qemu

import (
	"cmp"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"barewire/toolchain"
	"barewire/toolchain/vm"
)

// images builds the images the tests ask for, each once per run.
var images struct {
	sync.Mutex
	builder *toolchain.Builder
	done    map[string]built
}

type built struct {
	file string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if images.builder != nil {
		images.builder.Close()
	}
	os.Exit(code)
}

// image returns the image of a main package, "barewire/apps/echo", and skips
// the test where there is no QEMU to run it.
func image(t testing.TB, pkg string) string {
	t.Helper()
	if _, err := vm.FindQEMU(); err != nil {
		t.Skip(err)
	}
	images.Lock()
	defer images.Unlock()
	if images.done == nil {
		images.done = make(map[string]built)
	}
	b, ok := images.done[pkg]
	if !ok {
		start := time.Now()
		b = build(pkg)
		images.done[pkg] = b
		t.Logf("image of %s built in %v", pkg, time.Since(start).Round(10*time.Millisecond))
	}
	if b.err != nil {
		t.Fatalf("building %s: %v", pkg, b.err)
	}
	return b.file
}

func build(pkg string) built {
	if images.builder == nil {
		b, err := toolchain.NewBuilder()
		if err != nil {
			return built{err: err}
		}
		// Without a profile what is compiled serves the standard library's tests too, and a clean machine compiles it once.
		b.PGO = cmp.Or(os.Getenv("BAREWIRE_PGO"), "off")
		images.builder = b
	}
	root, err := ModuleRoot()
	if err != nil {
		return built{err: err}
	}
	dir := filepath.Join(root, "build", "test")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return built{err: err}
	}
	images.builder.Dir = ""
	if pkg == uroot+"core/sshd" {
		images.builder.Dir = filepath.Join(root, sshdModule)
	}
	images.builder.Tags = ""
	if strings.HasPrefix(pkg, guests) {
		images.builder.Tags = "barewire" // marks what of the guest programs runs on an image only
	}
	file := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(pkg, "barewire/"), "/", "-")+".elf")
	return built{file, images.builder.Build(pkg, file)}
}

const echoApp = "barewire/apps/echo"

// The addresses of the tests: the guest's, and those of whoever is at the other
// end (RFC 5737's TEST-NET-1).
var (
	guestIP = netip.MustParseAddr("192.0.2.2")
	hostIP  = netip.MustParseAddr("192.0.2.1")
	hostNet = netip.MustParsePrefix("192.0.2.1/24")
	peerMAC = MAC{2, 0, 0, 0, 0, 1}
	cardMAC = MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}
)

// ipParam is the kernel parameter that gives the guest its address.
const ipParam = "ip=192.0.2.2::192.0.2.1:255.255.255.0::eth0:off"

var machines = []string{Microvm, Q35}

// onEachMachine runs a subtest per machine.
func onEachMachine(t *testing.T, f func(t *testing.T, machine string)) {
	for _, m := range machines {
		t.Run(m, func(t *testing.T) { f(t, m) })
	}
}

// startWired boots an image with its card on a raw wire and returns the peer at
// the other end.
func startWired(t *testing.T, cfg Config, kind WireKind) (*VM, *Peer) {
	t.Helper()
	conn, end, err := NewWire(kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	cfg.NICs = append([]NIC{{Backend: end}}, cfg.NICs...)
	if cfg.Append == "" {
		cfg.Append = ipParam
	}
	m := Start(t, cfg)
	p := NewPeer(conn, peerMAC, hostIP)
	t.Cleanup(func() {
		if p.Damaged != 0 {
			t.Errorf("the guest sent %d damaged frames, such as one with: %v", p.Damaged, p.LastDamage)
		}
	})
	return m, p
}

// startEcho is startWired with the echo program, once that has its socket: ARP
// and ping are answered before a program has run a line.
func startEcho(t *testing.T, cfg Config, kind WireKind) (*VM, *Peer, MAC) {
	t.Helper()
	cfg.Kernel = image(t, echoApp)
	m, p := startWired(t, cfg, kind)
	if _, err := m.Console.WaitFor("^echo: listening", bootTime); err != nil {
		t.Fatal(err)
	}
	mac, err := p.Resolve(guestIP, bootTime)
	if err != nil {
		t.Fatal(err)
	}
	return m, p, mac
}

// pattern returns n bytes that depend on seq and on their place.
func pattern(seq, n int) []byte {
	b := make([]byte, n)
	x := uint32(seq)*2654435761 + 12345
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
