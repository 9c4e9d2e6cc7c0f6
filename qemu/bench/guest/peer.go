package guest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"barewire/qemu"
	"barewire/qemu/bench/table"
)

// Addresses of the measured network: the guest's card n is 10.77.n.1, and the
// host's end of it 10.77.n.2.
func guestAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, byte(n), 1}) }
func hostAddr(n int) netip.Addr  { return netip.AddrFrom4([4]byte{10, 77, byte(n), 2}) }

// Peer is one of those that are compared.
type Peer struct {
	Name   string
	config func(Setting) qemu.Config
	ready  string   // what its console says when it serves
	echoes string   // what it says before, when it echoes: it serves package services; or empty
	files  []string // what a machine boots it from
}

// Setting is how a peer is run.
type Setting struct {
	Machine  string // of QEMU; the Linux guest is always on q35
	CPUs     int
	Memory   int    // MiB
	Offloads bool   // of the cards: checksums, segmentation both ways
	Cards    int    // 1 when 0; with 2 the guest forwards between them
	Args     string // of the program
}

func (s Setting) cards() int { return max(s.Cards, 1) }

// Peers are all that are measured.
type Peers struct {
	Barewire, Linux, GVisor Peer // the agent
	Packed, PackedGVisor    Peer // the same, packed: as one would ship it
	Ring                    Peer // the reflector
	Small                   Peer // the agent on Linux, with nothing but its card's modules
	Iperf                   Peer // apps/iperf on barewire
}

// Build builds the images. dir keeps them, root is the repository's folder.
func Build(ctx context.Context, root, dir string) (*Peers, error) {
	module := filepath.Join(root, "qemu/bench")
	build := func(out string, args ...string) (string, error) {
		out = filepath.Join(dir, out)
		cmd := exec.CommandContext(ctx, "go", append(append([]string{}, args[:len(args)-1]...), "-o", out, args[len(args)-1])...)
		cmd.WaitDelay = time.Second
		cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", args[len(args)-1], err, b)
		}
		return out, nil
	}
	image := func(out string, args ...string) (string, error) {
		return build(out, append([]string{"run", "barewire/toolchain/barewire", "build"}, args...)...)
	}
	own, err := image("agent.elf", "./agent")
	if err != nil {
		return nil, err
	}
	gvisor, err := image("gvisor.elf", "./gvisor")
	if err != nil {
		return nil, err
	}
	packed, err := image("agent-z.elf", "-z", "./agent")
	if err != nil {
		return nil, err
	}
	packedGVisor, err := image("gvisor-z.elf", "-z", "./gvisor")
	if err != nil {
		return nil, err
	}
	ring, err := image("reflect.elf", "./reflect")
	if err != nil {
		return nil, err
	}
	iperf, err := image("iperf.elf", "barewire/apps/iperf")
	if err != nil {
		return nil, err
	}
	init, err := build("agent", "build", "-trimpath", "-ldflags=-s -w", "./agent")
	if err != nil {
		return nil, err
	}
	linux, err := NewLinuxGuest(dir, init, true)
	if err != nil {
		return nil, err
	}
	small, err := NewLinuxGuest(dir, init, false)
	if err != nil {
		return nil, err
	}
	program := func(s Setting) string { return s.Args }
	addresses := func(s Setting) string {
		args := s.Args
		for n := range s.cards() {
			args += " " + guestAddr(n).String() + "/24"
		}
		return args
	}
	return &Peers{
		Barewire:     imagePeer(table.Barewire, own, "^agent: ready", program),
		Packed:       imagePeer(table.Barewire, packed, "^agent: ready", program),
		Linux:        linuxPeer(linux),
		GVisor:       imagePeer(table.GVisor, gvisor, "^agent: ready", addresses),
		PackedGVisor: imagePeer(table.GVisor, packedGVisor, "^agent: ready", addresses),
		Ring:         imagePeer(table.Ring, ring, "^reflect: ready", func(Setting) string { return "" }),
		Small:        linuxPeer(small),
		Iperf:        imagePeer(table.Barewire, iperf, "iperf: listening", func(Setting) string { return "" }),
	}, nil
}

// imagePeer is one that runs on barewire's board. args are its program's.
func imagePeer(name, file, ready string, args func(Setting) string) Peer {
	p := Peer{Name: name, ready: ready, files: []string{file}, config: func(s Setting) qemu.Config {
		return qemu.Config{Machine: s.Machine, Kernel: file, Append: "quiet " + ipParams(s.cards()) + " -- " + args(s)}
	}}
	if ready == agentReady {
		p.echoes = agentEchoes
	}
	return p
}

// What the agent says: that it echoes, and later that everything is open.
const (
	agentEchoes = "^agent: echoes"
	agentReady  = "^agent: ready"
)

func linuxPeer(g *LinuxGuest) Peer {
	return Peer{Name: table.Linux, ready: agentReady, echoes: agentEchoes, files: []string{g.Kernel, g.Initrd}, config: func(s Setting) qemu.Config {
		return qemu.Config{Machine: qemu.Q35, Kernel: g.Kernel, Initrd: g.Initrd, Append: "console=ttyS0 quiet panic=-1 " + ipParams(s.cards()) + " -- " + s.Args}
	}}
}

// ipParams are the kernel parameters for the cards' addresses, and forwarding
// between several.
func ipParams(cards int) string {
	var l []string
	for n := range cards {
		l = append(l, fmt.Sprintf("ip=%v:::255.255.255.0::eth%d:off", guestAddr(n), n))
	}
	if cards > 1 {
		l = append(l, "sysctl.net.ipv4.ip_forward=1")
	}
	return strings.Join(l, " ")
}
