package table

import (
	"fmt"
	"slices"
)

// Groups of figures: a table has one of them.
const (
	Offloads   = "offloads"    // one card with all offloads, 1 processor
	NoOffloads = "no-offloads" // the same without any
	Forwarding = "forwarding"  // two cards, one packet after the other through both
	SMP        = "smp"         // 2 processors beside 1
	Size       = "size"        // least memory, image size
	Native     = "native"      // in a process, without QEMU
	Second     = "second"      // what other people's tools say
	Garbage    = "garbage"     // what the collector costs under the loads
	Cost       = "cost-"       // before a group: the processor time of QEMU
)

// Sides.
const (
	Barewire  = "barewire"
	Linux     = "Linux"
	GVisor    = "gVisor"
	Ring      = "ring" // the reflector
	Barewire2 = "barewire, 2 CPUs"
	Linux2    = "Linux, 2 CPUs"
	Ring2     = "ring, 2 CPUs"
)

// Figures.
const (
	Boot        = "start of QEMU to first echo reply"
	Ping        = "ping round trip, median"
	Idle        = "processor time of an idle guest"
	UDPEcho     = "UDP echo round trip, median"
	TCPIn       = "TCP host to guest"
	TCPOut      = "TCP guest to host"
	UDPIn       = "UDP 64 B received"
	UDPOut      = "UDP 64 B sent"
	HTTPKeep    = "HTTP keep-alive, 16 connections"
	HTTPPer     = "HTTP, a connection per request"
	Connects    = "TCP connects"
	Forward     = "IPv4 forwarding 64 B"
	ForwardNAT  = "IPv4 forwarding 64 B, conntrack, NAT, 100 rules"
	LeastMemory = "smallest -m that serves HTTP"
	ImageSize   = "image size, packed"

	// Told, not judged.
	UnpackedSize = "image size, not packed"
	BootPacked   = "start of QEMU to first echo reply, packed"
	BootUnpacked = "start of QEMU to first echo reply, not packed"

	NativeForward    = "forward 64 B"
	NativeForward15  = "forward 1500 B"
	NativeNAT        = "forward 64 B, NAT"
	NativeRules      = "forward 64 B, 100 rules"
	NativeNATRules   = "forward 64 B, NAT and 100 rules"
	NativeUDP        = "UDP receive 64 B"
	NativeTCP        = "TCP bulk, MTU 1500"
	NativeGSO        = "TCP bulk, GSO"
	NativeConnect    = "TCP connect and close"
	NativeIdle       = "idle TCP connection"
	NativeAllocation = "allocations: " // before the name of a task
)

// A Bar is what a figure must reach.
type Bar struct {
	Of      string `json:"of"`                // the side that must
	Against string `json:"against,omitempty"` // the side it is compared with; none when Value is the figure itself
	// Value is how many times better the one side must be than the other, or
	// what the figure must be at least, or at most where less is better.
	Value float64 `json:"value"`
}

// String says what is asked for.
func (b Bar) String() string {
	switch {
	case b.Against == "":
		return fmt.Sprintf("%.3g", b.Value)
	case b.Of == Barewire:
		return fmt.Sprintf("%.3g × %s", b.Value, b.Against)
	}
	return fmt.Sprintf("%s: %.3g × %s", b.Of, b.Value, b.Against)
}

// Bars returns what a figure must reach in a group.
func Bars(group, figure string) []Bar { return slices.Clone(bars[group][figure]) }

// EachBar calls f with every figure that has bars.
func EachBar(f func(group, figure string, l []Bar)) {
	for g, m := range bars {
		for name, l := range m {
			f(g, name, l)
		}
	}
}

func times(v float64, side string) []Bar { return []Bar{{Barewire, side, v}} }
func itself(v float64) []Bar             { return []Bar{{Barewire, "", v}} }
func twice(v float64) []Bar              { return []Bar{{Barewire2, Barewire, v}} }

// idleMost is the share of a processor of the host that an idle guest may take:
// QEMU's own timers, and no polling.
const idleMost = 3 // %

// bars is the project's list of what must be reached. read-only.
var bars = map[string]map[string][]Bar{
	Offloads: {
		Boot: times(15, Linux), Ping: times(1/0.6, Linux), Idle: itself(idleMost),
		TCPIn: times(2.5, Linux), TCPOut: times(2.5, Linux), UDPIn: times(2.5, Linux), UDPOut: times(3, Linux),
		HTTPKeep: times(2.5, Linux), HTTPPer: times(3, Linux), Connects: times(3, Linux),
	},
	NoOffloads: {TCPIn: times(2, Linux), TCPOut: times(2, Linux)},
	Forwarding: {Forward: {{Barewire, Linux, 2.5}, {Barewire, Ring, 0.6}}, ForwardNAT: times(3, Linux)},
	SMP:        {TCPIn: twice(1.7), HTTPKeep: twice(1.7), Forward: twice(1.7)},
	// An image of go-net's, gVisor's netstack on TamaGo, is 8.2 MB.
	Size: {LeastMemory: itself(32), ImageSize: itself(4.1)},
	Native: {
		NativeForward: times(10, GVisor), NativeForward15: times(10, GVisor), NativeNAT: times(10, GVisor), NativeRules: times(10, GVisor),
		NativeNATRules: times(10, GVisor), NativeUDP: times(10, GVisor),
		NativeTCP: times(5, GVisor), NativeConnect: times(5, GVisor), NativeGSO: times(2, GVisor), NativeIdle: times(2, GVisor),
		NativeAllocation + NativeForward: itself(0), NativeAllocation + NativeNATRules: itself(0), NativeAllocation + NativeUDP: itself(0),
	},
}

// Judgement is how a figure stands to a bar.
type Judgement struct {
	Bar
	Got                   float64 // in the bar's terms
	Least, Most           float64 // its spread
	Reached, Known, Close bool    // Close: the bar is within the spread
}

// Judge holds a row against its bars.
func (r *Row) Judge() []Judgement {
	var l []Judgement
	for _, b := range r.Bars {
		j := Judgement{Bar: b}
		better := 1
		if b.Against == "" {
			j.Got, j.Least, j.Most, j.Known = r.Median(b.Of)
			better = r.Better
		} else {
			j.Got, j.Least, j.Most, j.Known = r.Ratio(b.Of, b.Against)
		}
		j.Reached = j.Known && (better > 0 && j.Got >= b.Value || better < 0 && j.Got <= b.Value)
		j.Close = j.Known && j.Least <= b.Value && b.Value <= j.Most && j.Least != j.Most
		l = append(l, j)
	}
	return l
}

// String is the judgement in few words.
func (j Judgement) String() string {
	switch {
	case !j.Known:
		return "not measured"
	case j.Reached:
		return fmt.Sprintf("%.3g: reached", j.Got)
	case j.Value == 0:
		return fmt.Sprintf("**%.3g**: missed", j.Got)
	case j.Against == "":
		return fmt.Sprintf("**%.3g**: %+.0f %%", j.Got, 100*(j.Got/j.Value-1))
	}
	return fmt.Sprintf("**%.3g**: %.0f %% of the way", j.Got, 100*j.Got/j.Value)
}
