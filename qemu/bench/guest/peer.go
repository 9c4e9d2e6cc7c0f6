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
)

// Addresses of the measured network: the guest's card n is 10.77.n.1, and the
// host's end of it 10.77.n.2.
func guestAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, byte(n), 1}) }
func hostAddr(n int) netip.Addr  { return netip.AddrFrom4([4]byte{10, 77, byte(n), 2}) }

// Peer is one of those that are compared.
type Peer struct {
	Name string
	// config returns its machine with as many cards as it will get.
	config func(machine string, cards int) qemu.Config
	ready  string // what its console says when it serves
}

// Peers builds the images and returns the peers, barewire first. dir keeps what
// is built, root is the repository's folder.
func Peers(root, dir string) ([]Peer, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	module := filepath.Join(root, "qemu/bench")
	build := func(out string, args ...string) (string, error) {
		out = filepath.Join(dir, out)
		cmd := exec.Command("go", append(append([]string{}, args[:len(args)-1]...), "-o", out, args[len(args)-1])...)
		cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", args[len(args)-1], err, b)
		}
		return out, nil
	}
	image := []string{"run", "barewire/toolchain/barewire", "build"}
	own, err := build("agent.elf", append(image, "./agent")...)
	if err != nil {
		return nil, err
	}
	gvisor, err := build("gvisor.elf", append(image, "./gvisor")...)
	if err != nil {
		return nil, err
	}
	init, err := build("agent", "build", "./agent")
	if err != nil {
		return nil, err
	}
	linux, err := NewLinuxGuest(dir, init, true)
	if err != nil {
		return nil, err
	}
	return []Peer{
		{"barewire", func(machine string, cards int) qemu.Config {
			return qemu.Config{Machine: machine, Kernel: own, Append: "quiet " + ipParams(cards)}
		}, "^agent: ready"},
		{"Linux", func(_ string, cards int) qemu.Config {
			return qemu.Config{Machine: qemu.Q35, Kernel: linux.Kernel, Initrd: linux.Initrd, Append: "console=ttyS0 quiet " + ipParams(cards)}
		}, "^agent: ready"},
		{"gVisor", func(machine string, cards int) qemu.Config {
			var addrs []string
			for n := range cards {
				addrs = append(addrs, guestAddr(n).String()+"/24")
			}
			return qemu.Config{Machine: machine, Kernel: gvisor, Append: "quiet " + ipParams(cards) + " -- " + strings.Join(addrs, " ")}
		}, "^agent: ready"},
	}, nil
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

// Setting is how a peer is run.
type Setting struct {
	Machine  string // of QEMU; the Linux guest is always on q35
	CPUs     int
	Memory   int  // MiB
	Offloads bool // of the cards: checksums, segmentation both ways
}

// noOffloads are the properties of a card without any.
const noOffloads = "csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,mrg_rxbuf=on"

// Running is a peer that serves.
type Running struct {
	Peer
	VM *qemu.VM
	NS *qemu.Namespace // of the host's end
}

// bootTime is how long a peer may take. A Linux guest under emulation sometimes
// hangs in the calibration of its clocks: it is started again, and counted.
const bootTime = 60 * time.Second

// Start boots the peer with its first card on a TAP device of a new namespace.
// restarts counts the starts that came to nothing.
func (p Peer) Start(ctx context.Context, s Setting) (r *Running, restarts int, err error) {
	for ; restarts < 4; restarts++ {
		if r, err = p.start(ctx, s); err == nil {
			return r, restarts, nil
		}
	}
	return nil, restarts, fmt.Errorf("%s: %w", p.Name, err)
}

func (p Peer) start(ctx context.Context, s Setting) (*Running, error) {
	ns, err := qemu.NewNamespace("bench")
	if err != nil {
		return nil, err
	}
	r := &Running{Peer: p, NS: ns}
	tap, err := ns.Tap("tap0", netip.PrefixFrom(hostAddr(0), 24))
	if err != nil {
		ns.Close()
		return nil, err
	}
	cfg := p.config(s.Machine, 1)
	cfg.CPUs, cfg.Memory = s.CPUs, s.Memory
	nic := qemu.NIC{Backend: tap, NoPcap: true}
	if !s.Offloads {
		nic.Props = noOffloads
	}
	cfg.NICs = []qemu.NIC{nic}
	if r.VM, err = qemu.Launch(ctx, cfg); err == nil {
		if _, err = r.VM.Console.WaitFor(p.ready, bootTime); err == nil {
			return r, nil
		}
	}
	r.Close()
	return nil, err
}

// Close ends the peer.
func (r *Running) Close() {
	if r.VM != nil {
		r.VM.Kill()
	}
	r.NS.Close()
}
