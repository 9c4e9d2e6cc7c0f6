package qemu

import (
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"barewire/board/hosted"
)

// An impairment is what a bad cable does to frames, as Linux's netem has it,
// which few machines have.
type impairment struct {
	loss    float64       // share of frames lost
	delay   time.Duration // of the others
	reorder float64       // share of frames that are not delayed, and so overtake
	seed    uint64
}

// badCable makes a TAP device in the namespace and a cable from it to an image.
// Offloads end at it, as at a real cable: every frame is at most an MTU.
func (ns *Namespace) badCable(t *testing.T, name string, addr netip.Prefix, bad impairment) Backend {
	t.Helper()
	for _, args := range [][]string{
		{"tuntap", "add", "dev", name, "mode", "tap"}, {"addr", "add", addr.String(), "dev", name}, {"link", "set", name, "up"},
	} {
		if err := ns.IP(args...); err != nil {
			t.Skip(err)
		}
	}
	var tap interface {
		Read([]byte) (int, error)
		Write([]byte) (int, error)
		Close() error
	}
	if err := ns.Do(func() (err error) {
		tap, err = hosted.OpenTap(name, false)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	conn, end, err := NewWire(Dgram)
	if err != nil {
		t.Fatal(err)
	}
	var lost, overtook atomic.Int64
	t.Cleanup(func() {
		conn.Close()
		tap.Close()
		t.Logf("the cable lost %d frames; %d overtook others", lost.Load(), overtook.Load())
	})
	toTap := func(frame []byte) error { _, err := tap.Write(frame); return err }
	run := func(seed uint64, read func([]byte) (int, error), write func([]byte) error) {
		type late struct {
			due   time.Time
			frame []byte
		}
		queue := make(chan late, 1000)
		go func() {
			for f := range queue {
				time.Sleep(time.Until(f.due))
				write(f.frame)
			}
		}()
		defer close(queue)
		r := rand.New(rand.NewPCG(bad.seed, seed))
		for {
			frame := make([]byte, 2048)
			n, err := read(frame)
			if err != nil {
				return
			}
			switch x := r.Float64(); {
			case x < bad.loss:
				lost.Add(1)
			case x < bad.loss+bad.reorder:
				overtook.Add(1)
				write(frame[:n])
			default:
				select {
				case queue <- late{time.Now().Add(bad.delay), frame[:n]}:
				default: // as long as netem's
					lost.Add(1)
				}
			}
		}
	}
	go run(1, tap.Read, conn.WriteFrame)
	go run(2, conn.ReadFrame, toTap)
	return end
}
