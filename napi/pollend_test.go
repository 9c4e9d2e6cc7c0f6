package napi_test

import (
	"slices"
	"testing"

	"barewire/napi"
	"barewire/skb"
)

// TestAtPollEnd_manyPackets_oncePerPoll: work that every packet asks for is done
// once, behind all packets of the poll, in the order of asking; work asked for
// by such work is done too; and the next poll begins anew.
func TestAtPollEnd_manyPackets_oncePerPoll(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	var log []string
	var a, b, more napi.PollEnd
	more.Init(func() { log = append(log, "more") })
	a.Init(func() {
		log = append(log, "a")
		n.SoftNet().AtPollEnd(&more)
	})
	b.Init(func() { log = append(log, "b") })
	n.AddPack(napi.ETH_P_IP, nil, func(p *skb.Buff, _ *napi.NetDevice) {
		log = append(log, "packet")
		n.SoftNet().AtPollEnd(&a)
		n.SoftNet().AtPollEnd(&b)
		if !a.Queued() {
			t.Error("not queued")
		}
		p.Consume()
	})
	if err := c.dev.Open(); err != nil {
		t.Fatal(err)
	}
	defer c.dev.Close()
	for range 2 {
		log = nil
		c.arrive(c.frame(napi.ETH_P_IP, 1), c.frame(napi.ETH_P_IP, 2), c.frame(napi.ETH_P_IP, 3))
		n.SoftNet().DoSoftirq()
		if want := []string{"packet", "packet", "packet", "a", "b", "more"}; !slices.Equal(log, want) {
			t.Errorf("%v, want %v", log, want)
		}
	}
}
