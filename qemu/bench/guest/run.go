package guest

import (
	"context"
	"fmt"
	"io"
	"time"

	"barewire/qemu"
	"barewire/qemu/bench/table"
)

// Boot is the time from the start of QEMU to the first answered datagram.
func (p Peer) Boot(ctx context.Context, s Setting) (ms float64, restarts int, err error) {
	r, restarts, err := p.Start(ctx, s)
	if err != nil {
		return 0, restarts, err
	}
	defer r.Close()
	c, err := r.dial("udp4", 7)
	if err != nil {
		return 0, restarts, err
	}
	defer c.Close()
	b := make([]byte, 1)
	for range 5000 {
		c.Write(b)
		c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		if _, err = c.Read(b); err == nil {
			return float64(time.Since(r.VM.Started)) / 1e6, restarts, nil
		}
	}
	return 0, restarts, err
}

// Run measures everything rounds times on each peer, the peers in turns, and
// tells say how it goes.
func Run(ctx context.Context, peers []Peer, s Setting, rounds int, each time.Duration, say io.Writer) (*table.Table, error) {
	t := table.New(fmt.Sprintf("%s, %d CPU, %d MiB, offloads %v", machineName(s.Machine), s.CPUs, s.Memory, s.Offloads))
	for round := range rounds {
		for _, p := range peers {
			ms, restarts, err := p.Boot(ctx, s)
			if err != nil {
				return nil, err
			}
			t.Add("start of QEMU to first answer", "ms", -1, p.Name, ms)
			if restarts > 0 {
				t.Note("round %d: %s needed %d starts more", round+1, p.Name, restarts)
			}
			r, restarts, err := p.Start(ctx, s)
			if err != nil {
				return nil, err
			}
			if restarts > 0 {
				t.Note("round %d: %s needed %d starts more", round+1, p.Name, restarts)
			}
			for _, l := range Loads {
				v, err := l.Run(r, each)
				if err != nil {
					t.Note("round %d: %s: %s: %v", round+1, p.Name, l.Name, err)
					fmt.Fprintf(say, "%-9s %-34s %v\n", p.Name, l.Name, err)
					continue
				}
				t.Add(l.Name, l.Unit, l.Better, p.Name, v)
				fmt.Fprintf(say, "%-9s %-34s %10.1f %s\n", p.Name, l.Name, v, l.Unit)
			}
			r.Close()
		}
	}
	return t, nil
}

func machineName(m string) string {
	if m == "" {
		return qemu.Microvm
	}
	return m
}
