package main

import (
	"strings"
	"testing"

	"barewire/qemu/bench/guest"
	"barewire/qemu/bench/native"
	"barewire/qemu/bench/table"
)

// wanted is the project's list of what must be reached, as it was written down,
// with where each line of it is measured here.
var wanted = []struct {
	line   string
	group  string
	figure string
	bars   []table.Bar
}{
	{"start of QEMU to first echo reply: <= 1/15 of Linux", table.Offloads, table.Boot, bar(15, table.Linux)},
	{"ping round trip, median: <= 0.6 x Linux", table.Offloads, table.Ping, bar(1/0.6, table.Linux)},
	{"and the idle CPU stays idle", table.Offloads, table.Idle, bar(3, "")},
	{"TCP host to guest, MTU 1500, all offloads: >= 2.5 x Linux", table.Offloads, table.TCPIn, bar(2.5, table.Linux)},
	{"TCP guest to host: >= 2.5 x Linux", table.Offloads, table.TCPOut, bar(2.5, table.Linux)},
	{"the same with every offload off: >= 2 x Linux", table.NoOffloads, table.TCPIn, bar(2, table.Linux)},
	{"the same with every offload off: >= 2 x Linux", table.NoOffloads, table.TCPOut, bar(2, table.Linux)},
	{"UDP 64 B received by a socket: >= 2.5 x Linux", table.Offloads, table.UDPIn, bar(2.5, table.Linux)},
	{"UDP 64 B sent: >= 3 x Linux", table.Offloads, table.UDPOut, bar(3, table.Linux)},
	{"net/http keep-alive, 16 connections: >= 2.5 x Linux", table.Offloads, table.HTTPKeep, bar(2.5, table.Linux)},
	{"net/http, a connection per request: >= 3 x Linux", table.Offloads, table.HTTPPer, bar(3, table.Linux)},
	{"TCP connects: >= 3 x Linux", table.Offloads, table.Connects, bar(3, table.Linux)},
	{"IPv4 forwarding 64 B, NIC to NIC: >= 2.5 x Linux, >= 60 % of the ring ceiling", table.Forwarding, table.Forward, append(bar(2.5, table.Linux), bar(0.6, table.Ring)...)},
	{"the same with conntrack, NAT and 100 rules: >= 3 x Linux", table.Forwarding, table.ForwardNAT, bar(3, table.Linux)},
	{"smallest -m that serves HTTP: <= 32 MB", table.Size, table.LeastMemory, bar(32, "")},
	{"image size: <= 1/2 of go-net's, 8.2 MB", table.Size, table.ImageSize, bar(4.1, "")},
	{"2 vCPUs, TCP in: >= 1.7 x our own 1 vCPU", table.SMP, table.TCPIn, bar2(1.7)},
	{"2 vCPUs, HTTP: >= 1.7 x our own 1 vCPU", table.SMP, table.HTTPKeep, bar2(1.7)},
	{"2 vCPUs, forwarding: >= 1.7 x our own 1 vCPU", table.SMP, table.Forward, bar2(1.7)},
	{"native: >= 10 x on forwarding", table.Native, table.NativeForward, bar(10, table.GVisor)},
	{"native: >= 10 x on forwarding", table.Native, table.NativeForward15, bar(10, table.GVisor)},
	{"native: >= 10 x on NAT", table.Native, table.NativeNAT, bar(10, table.GVisor)},
	{"native: >= 10 x on rules", table.Native, table.NativeRules, bar(10, table.GVisor)},
	{"native: >= 10 x on NAT and rules", table.Native, table.NativeNATRules, bar(10, table.GVisor)},
	{"native: >= 10 x on UDP", table.Native, table.NativeUDP, bar(10, table.GVisor)},
	{"native: >= 5 x on TCP at MTU 1500", table.Native, table.NativeTCP, bar(5, table.GVisor)},
	{"native: >= 5 x on connects", table.Native, table.NativeConnect, bar(5, table.GVisor)},
	{"native: >= 2 x with GSO", table.Native, table.NativeGSO, bar(2, table.GVisor)},
	{"native: <= 1/2 of the memory", table.Native, table.NativeIdle, bar(2, table.GVisor)},
	{"native: no allocation per packet", table.Native, table.NativeAllocation + table.NativeForward, bar(0, "")},
	{"native: no allocation per packet", table.Native, table.NativeAllocation + table.NativeNATRules, bar(0, "")},
	{"native: no allocation per packet", table.Native, table.NativeAllocation + table.NativeUDP, bar(0, "")},
}

func bar(v float64, side string) []table.Bar {
	return []table.Bar{{Of: table.Barewire, Against: side, Value: v}}
}

func bar2(v float64) []table.Bar {
	return []table.Bar{{Of: table.Barewire2, Against: table.Barewire, Value: v}}
}

func TestBars_areTheWantedOnes(t *testing.T) {
	listed := map[[2]string]bool{}
	for _, w := range wanted {
		listed[[2]string{w.group, w.figure}] = true
		got := table.Bars(w.group, w.figure)
		if len(got) != len(w.bars) {
			t.Errorf("%s: bars %v, want %v", w.line, got, w.bars)
			continue
		}
		for i := range got {
			if got[i] != w.bars[i] {
				t.Errorf("%s: bar %v, want %v", w.line, got[i], w.bars[i])
			}
		}
	}
	table.EachBar(func(group, figure string, _ []table.Bar) {
		if !listed[[2]string{group, figure}] {
			t.Errorf("%s: %s has a bar that is not in the list", group, figure)
		}
	})
}

func TestBars_areMeasured(t *testing.T) {
	table.EachBar(func(group, figure string, _ []table.Bar) {
		measured := guest.Measures(group, figure)
		if group == table.Native {
			for _, p := range native.Pairs {
				measured = measured || p.Task == figure || p.Unit == "ns/op" && p.Task == strings.TrimPrefix(figure, table.NativeAllocation)
			}
		}
		if !measured {
			t.Errorf("%s: nothing measures %q", group, figure)
		}
	})
	for _, g := range groups() {
		if g != table.Native && g != table.Second && g != table.Size && !guest.Measures(g, table.TCPIn) && !guest.Measures(g, table.Forward) {
			t.Errorf("group %s measures nothing", g)
		}
	}
}
