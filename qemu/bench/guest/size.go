package guest

import (
	"context"
	"fmt"
	"os"
	"sort"
	"time"

	"barewire/qemu/bench/table"
)

// Bounds of the search for the least memory, in MiB.
const (
	tooLittle = 3
	plenty    = 256
)

// sizes finds, by booting it, with how little memory each peer serves HTTP, and
// adds up what it boots from.
func (p *Plan) sizes(ctx context.Context, peers *Peers) (*table.Table, error) {
	t := table.New(table.Size, "Least memory and size of the image: the agent, 1 CPU, one card")
	t.Note("The image of gVisor's stack has barewire's in it as well, whose driver it uses: its size is not that of a TamaGo image.")
	for _, peer := range []Peer{peers.Barewire, peers.Small, peers.GVisor} {
		var bytes int64
		for _, f := range peer.files {
			info, err := os.Stat(f)
			if err != nil {
				return t, err
			}
			bytes += info.Size()
		}
		t.Add(table.ImageSize, "MB", -1, peer.Name, float64(bytes)/1e6)
		patience, err := p.servesIn(ctx, peer, plenty, bootTime)
		for range attempts {
			if err == nil || ctx.Err() != nil {
				break
			}
			patience, err = p.servesIn(ctx, peer, plenty, bootTime)
		}
		if ctx.Err() != nil {
			return t, context.Cause(ctx)
		}
		if err != nil {
			t.Note("%s does not serve with %d MiB: %v", peer.Name, plenty, err)
			continue
		}
		// A boot with little memory is slower, but not by this much.
		patience = 2*patience + 5*time.Second
		least := tooLittle + sort.Search(plenty-tooLittle, func(i int) bool {
			for range 2 { // a Linux guest that hangs does not lack memory
				if ctx.Err() != nil {
					return true
				}
				_, err := p.servesIn(ctx, peer, tooLittle+i, patience)
				fmt.Fprintf(p.Say, "%-18s %-48s %v\n", peer.Name, fmt.Sprintf("with %d MiB", tooLittle+i), outcome(err))
				if err == nil {
					return true
				}
				if peer.Name != table.Linux {
					break
				}
			}
			return false
		})
		if ctx.Err() != nil {
			return t, context.Cause(ctx)
		}
		t.Add(table.LeastMemory, "MiB", -1, peer.Name, float64(least))
	}
	return t, nil
}

func outcome(err error) string {
	if err == nil {
		return "serves"
	}
	return "does not serve"
}

// servesIn tells whether a peer with so much memory answers HTTP requests on 16
// connections for a while, and how long it took to boot.
func (p *Plan) servesIn(ctx context.Context, peer Peer, mib int, patience time.Duration) (time.Duration, error) {
	s := one(true)
	s.Memory = mib
	r, err := peer.start(ctx, s, patience)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	_, err = requests(r, 500*time.Millisecond, true)
	return r.Boot, err
}
