// Package qemu is the harness that shows barewire images working: it launches
// QEMU, reads the guest's console, speaks QMP, plugs the guest's network card
// into a peer, and always cleans up after itself. The integration tests beside
// it use nothing else.
//
// # A run
//
// [Launch] starts one QEMU process from a [Config] and returns a [VM]. The
// process is in its own process group, dies with its parent, and is killed by
// [VM.Kill] (which [Start] registers as a test clean-up). What a run leaves
// behind is in Config.Dir: console.txt, qemu.txt (the command line and QEMU's
// own messages) and one pcap file per network card.
//
// # Exit status
//
// The image reports its exit code through QEMU's isa-debug-exit device: a
// guest that writes v ends QEMU with the status (v<<1)|1. [VM.Wait] maps that
// back. A guest that ends in a triple fault or a power-off ends QEMU with 0
// and counts as exit code 0.
//
// # Peers
//
// There are three things to plug a card into, each a [Backend]:
//
//   - [NewWire]: raw Ethernet frames over a Unix socket pair, to a [Peer] in the
//     test. Needs no privilege. Its frame builder and parser (frame.go) share
//     no code with the stack, so they serve as a second opinion on it.
//   - [NewNamespace] and [Namespace.Tap]: a TAP device in a network namespace, so
//     that the other end is the host's Linux kernel. Needs CAP_NET_ADMIN and
//     CAP_SYS_ADMIN (root, in practice) and /dev/net/tun.
//   - [User]: QEMU's own user-mode network, with forwarded ports.
//
// # Accelerators
//
// KVM is used only where a guest truly runs under it; everywhere else the
// guest is emulated (TCG), and time limits in the tests are chosen for that.
package qemu
