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

// starts is how often each image is started to tell what packing it costs.
const starts = 5

// sizes finds, by booting it, with how little memory each peer serves HTTP, and
// adds up what it boots from. Images are packed, as Linux's kernel is; what they
// are otherwise is told, and not judged.
func (p *Plan) sizes(ctx context.Context, peers *Peers) (*table.Table, error) {
	t := table.New(table.Size, "Least memory and size of the image: the agent, packed (barewire build -z), 1 CPU, one card")
	t.Note("The image of gVisor's stack has barewire's in it as well, whose driver it uses: its size is not that of a TamaGo image.")
	for _, s := range []struct {
		figure string
		peers  []Peer
	}{
		{table.ImageSize, []Peer{peers.Packed, peers.Small, peers.PackedGVisor}},
		{table.UnpackedSize, []Peer{peers.Barewire, peers.GVisor}},
	} {
		for _, peer := range s.peers {
			bytes, err := peer.size()
			if err != nil {
				return t, err
			}
			t.Add(s.figure, "MB", -1, peer.Name, float64(bytes)/1e6)
		}
	}
	for range starts {
		for _, s := range []struct {
			figure string
			peer   Peer
		}{{table.BootPacked, peers.Packed}, {table.BootUnpacked, peers.Barewire}} {
			if ctx.Err() != nil {
				return t, context.Cause(ctx)
			}
			boot, err := p.servesIn(ctx, s.peer, plenty, bootTime)
			if err != nil {
				t.Note("%s: %v", s.figure, err)
				continue
			}
			t.Add(s.figure, "ms", -1, s.peer.Name, float64(boot)/1e6)
		}
	}
	for _, peer := range []Peer{peers.Packed, peers.Small, peers.PackedGVisor} {
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

// size is how many bytes a machine boots the peer from.
func (p Peer) size() (n int64, err error) {
	for _, f := range p.files {
		info, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, nil
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
