package xtables_test

import (
	"strings"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/netfilter/xtables/xt"
	"barewire/skb/header"
)

func udpTo(a header.Addr, port uint16) pkt {
	return pkt{src: 1, dst: a, proto: header.ProtoUDP, dport: port, in: "eth0", out: "eth1", point: netfilter.Forward}
}

// passed sends n packets and returns how many came out.
func passed(t *testing.T, w *world, k pkt, n int) (ok int) {
	t.Helper()
	c := newCache(t)
	for range n {
		p := k
		if w.send(c, &p) {
			ok++
		}
	}
	return ok
}

func TestLimit_burstThenRate(t *testing.T) {
	w := newWorld(false)
	if err := w.Replace(config(t, "filter", "-P FORWARD DROP", "-A FORWARD -m limit --limit 10/s --limit-burst 4 -j ACCEPT")); err != nil {
		t.Fatal(err)
	}
	if n := passed(t, w, udpTo(2, 5), 10); n != 4 {
		t.Errorf("%d of a burst, want 4", n)
	}
	w.now += int64(250 * time.Millisecond)
	if n := passed(t, w, udpTo(2, 5), 10); n != 2 {
		t.Errorf("%d after 250 ms, want 2", n)
	}
	w.now += int64(time.Hour)
	if n := passed(t, w, udpTo(2, 5), 10); n != 4 {
		t.Errorf("%d after long, want 4", n)
	}
}

func TestHashlimit_eachFlowItsOwn(t *testing.T) {
	w := newWorld(false)
	err := w.Replace(config(t, "filter", "-P FORWARD DROP",
		"-A FORWARD -p udp -m hashlimit --hashlimit-upto 10/s --hashlimit-burst 3 --hashlimit-mode dstip,dstport --hashlimit-name x --hashlimit-htable-max 2 --hashlimit-htable-size 1 -j ACCEPT"))
	if err != nil {
		t.Fatal(err)
	}
	if n := passed(t, w, udpTo(2, 5), 10); n != 3 {
		t.Errorf("%d of the first flow, want 3", n)
	}
	if n := passed(t, w, udpTo(2, 6), 10); n != 3 {
		t.Errorf("%d of the second flow, want 3", n)
	}
	if n := passed(t, w, udpTo(2, 7), 10); n != 0 {
		t.Errorf("%d of a flow too many, want 0", n)
	}
	show := string(xt.HashlimitOf(w.Env()).Show(nil, "x", w.now))
	if l := strings.Split(show, "\n"); len(l) != 3 || !strings.HasPrefix(l[0], "1 0.0.0.0:0->0.0.0.2:5 0 ") {
		t.Errorf("shown: %q", show)
	}
	w.now += int64(2 * time.Second) // the idle ones are forgotten
	if n := passed(t, w, udpTo(2, 7), 10); n != 3 {
		t.Errorf("%d of it when there is room, want 3", n)
	}
}

func TestHashlimit_bytesAndWindow(t *testing.T) {
	w := newWorld(false)
	if err := w.Replace(config(t, "filter", "-P FORWARD DROP", "-A FORWARD -m hashlimit --hashlimit-upto 10kb/s --hashlimit-name b -j ACCEPT")); err != nil {
		t.Fatal(err)
	}
	k := udpTo(2, 5)
	k.size = 1024 - 28
	if n := passed(t, w, k, 30); n < 9 || n > 11 {
		t.Errorf("%d KiB at once, want 10", n)
	}
	w.now += int64(time.Second) / 2
	if n := passed(t, w, k, 30); n < 4 || n > 6 {
		t.Errorf("%d KiB after half a second, want 5", n)
	}
	if err := w.Replace(config(t, "filter", "-P FORWARD DROP", "-A FORWARD -m hashlimit --hashlimit-above 10/s --hashlimit-burst 20 --hashlimit-rate-match --hashlimit-htable-expire 5000 --hashlimit-name c -j ACCEPT")); err != nil {
		t.Fatal(err)
	}
	if n := passed(t, w, k, 30); n != 10 {
		t.Errorf("%d above a burst of 20, want 10", n)
	}
	w.now += int64(time.Second)
	if n := passed(t, w, k, 5); n != 5 {
		t.Errorf("%d in the second after, want all", n)
	}
	w.now += int64(time.Second)
	if n := passed(t, w, k, 5); n != 0 {
		t.Errorf("%d in a quiet one, want none", n)
	}
}
