package guest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"barewire/qemu"
)

// noOffloads are the properties of a card without any.
const noOffloads = "csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,mrg_rxbuf=on"

// Running is a peer that serves.
type Running struct {
	Peer
	Setting Setting
	VM      *qemu.VM
	NS      *qemu.Namespace // of the host's end
	Boot    time.Duration   // from the start of QEMU to the first echo reply, where it echoes
	Lost    float64         // the share of what was offered last that did not come through
}

// A Linux guest under emulation sometimes hangs in the calibration of its clocks:
// it is started again, and counted.
const (
	bootTime = 30 * time.Second
	attempts = 4
)

// Start boots the peer with its cards on TAP devices of a new namespace. restarts
// counts the starts that came to nothing.
func (p Peer) Start(ctx context.Context, s Setting) (r *Running, restarts int, err error) {
	for ; restarts < attempts; restarts++ {
		if r, err = p.start(ctx, s, bootTime); err == nil {
			return r, restarts, nil
		}
		if ctx.Err() != nil {
			return nil, restarts, ctx.Err()
		}
	}
	return nil, restarts, fmt.Errorf("%s: %w", p.Name, err)
}

func (p Peer) start(ctx context.Context, s Setting, patience time.Duration) (r *Running, err error) {
	ns, err := qemu.NewNamespace("bench")
	if err != nil {
		return nil, err
	}
	r = &Running{Peer: p, Setting: s, NS: ns}
	defer func() {
		if err != nil {
			r.Close()
			r = nil
		}
	}()
	// A host without IPv6 is as good as one that has it switched off.
	ns.Sysctl("ipv6/conf/all/disable_ipv6", "1")
	ns.Sysctl("ipv6/conf/default/disable_ipv6", "1")
	if err := ns.Sysctl("ipv4/ip_local_port_range", "1024 65535"); err != nil {
		return r, err
	}
	cfg := p.config(s)
	cfg.CPUs, cfg.Memory = s.CPUs, s.Memory
	_, firmware := Firmware()
	cfg.Extra = append(cfg.Extra, firmware...)
	for n := range s.cards() {
		tap, err := ns.TapQueues(tapName(n), netip.PrefixFrom(hostAddr(n), 24), s.CPUs)
		if err != nil {
			return r, err
		}
		cfg.NICs = append(cfg.NICs, qemu.NIC{Backend: tap, NoPcap: true, Props: s.props()})
	}
	if r.VM, err = qemu.Launch(ctx, cfg); err != nil {
		return r, err
	}
	for n := range s.cards() {
		if err := ns.IP("link", "set", "dev", tapName(n), "txqueuelen", strconv.Itoa(tapQueue)); err != nil {
			return r, err
		}
	}
	if p.echoes != "" {
		if _, err := r.VM.Console.WaitFor(p.echoes, patience); err != nil {
			return r, err
		}
		if err := r.firstEcho(); err != nil {
			return r, err
		}
	}
	_, err = r.VM.Console.WaitFor(p.ready, patience)
	return r, err
}

// props are the properties of a card.
func (s Setting) props() string {
	var l []string
	if !s.Offloads {
		l = append(l, noOffloads)
	}
	if s.CPUs > 1 {
		l = append(l, "mq=on")
		if s.Machine == qemu.Q35 {
			l = append(l, fmt.Sprintf("vectors=%d", 2*s.CPUs+2))
		}
	}
	return strings.Join(l, ",")
}

func tapName(card int) string { return fmt.Sprintf("tap%d", card) }

// firstEcho asks until the guest answers, and notes when that was.
func (r *Running) firstEcho() error {
	c, err := r.dial("udp4", 7)
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 1)
	for range 2500 {
		c.Write(b)
		c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		if _, err = c.Read(b); err == nil {
			r.Boot = time.Since(r.VM.Started)
			return nil
		}
	}
	return fmt.Errorf("it does not echo: %w", err)
}

// dial connects to a port of the peer from the host's side.
func (r *Running) dial(network string, port int) (c net.Conn, err error) {
	err = r.NS.Do(func() error {
		c, err = net.DialTimeout(network, netip.AddrPortFrom(guestAddr(0), uint16(port)).String(), 5*time.Second)
		return err
	})
	return c, err
}

// Close ends the peer.
func (r *Running) Close() {
	if r.VM != nil {
		r.VM.Kill()
	}
	r.NS.Close()
}
