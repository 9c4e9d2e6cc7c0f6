package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/xtables"
)

var (
	rawOnly = []string{"raw"} // read-only

	ctTarget = &xtables.Def{ // read-only
		Name: "CT", Tables: rawOnly,
		Options: []xtables.Option{
			{Name: "notrack", ID: ctNoTrack},
			{Name: "helper", ID: ctHelper, Args: 1},
			{Name: "ctevents", ID: ctEvents, Args: 1},
			{Name: "expevents", ID: ctExpEvents, Args: 1},
			{Name: "zone", ID: ctZone, Args: 1},
			{Name: "zone-orig", ID: ctZoneOrig, Args: 1},
			{Name: "zone-reply", ID: ctZoneReply, Args: 1},
		},
		NewTarget: func() xtables.Target { return new(ctTG) },
	}
	notrackTarget = &xtables.Def{ // read-only
		Name: "NOTRACK", ListName: "CT", Tables: rawOnly,
		NewTarget: func() xtables.Target { return new(notrackTG) },
	}
)

// IDs of the options of CT.
const (
	ctNoTrack = iota
	ctHelper
	ctEvents
	ctExpEvents
	ctZone
	ctZoneOrig
	ctZoneReply
)

// ctEventNames are the events of connections, in the order of
// IPCT_*. read-only
var ctEventNames = []struct {
	name string
	bit  conntrack.Event
}{
	{"new", conntrack.EventNew}, {"related", conntrack.EventRelated}, {"destroy", conntrack.EventDestroy},
	{"reply", conntrack.EventReply}, {"assured", conntrack.EventAssured}, {"protoinfo", conntrack.EventProtoInfo},
	{"helper", conntrack.EventHelper}, {"mark", conntrack.EventMark}, {"natseqinfo", conntrack.EventSeqAdj},
	{"secmark", conntrack.EventSecMark},
}

// ctTG is the target of xt_CT: what the connection of a packet shall be, said
// before it is tracked.
type ctTG struct {
	xtables.Plain
	notrack             bool
	helper              string
	events, expEvents   uint32
	hasEvents, hasExpEv bool
	zone                conntrack.Zone

	tracked
	tmpl *conntrack.Conn
}

// Set implements xtables.Extension.
func (t *ctTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	switch id {
	case ctNoTrack:
		t.notrack = true
	case ctHelper:
		if t.helper = args[0]; len(t.helper) > 15 || !isWord(t.helper) {
			return errors.New("CT: option \"--helper\" has a bad length")
		}
	case ctEvents:
		t.hasEvents = true
	next:
		for s := range strings.SplitSeq(args[0], ",") {
			for _, e := range ctEventNames {
				if strings.EqualFold(e.name, s) {
					t.events |= uint32(e.bit)
					continue next
				}
			}
			return fmt.Errorf("Unknown event type \"%s\"", s)
		}
	case ctExpEvents:
		if !strings.EqualFold(args[0], "new") {
			return fmt.Errorf("Unknown event type \"%s\"", args[0])
		}
		t.expEvents, t.hasExpEv = uint32(conntrack.ExpectEventNew), true
	default:
		return t.setZone(id, args[0])
	}
	return nil
}

func (t *ctTG) setZone(id int, s string) error {
	dirs := uint8(0)
	switch id {
	case ctZoneOrig:
		dirs = conntrack.ZoneOrig
	case ctZoneReply:
		dirs = conntrack.ZoneReply
	}
	// There is one number; the last one counts, for all directions named.
	if dirs |= t.zone.Dirs; dirs == conntrack.ZoneOrig|conntrack.ZoneReply {
		dirs = 0
	}
	t.zone = conntrack.Zone{Dirs: dirs}
	if s == "mark" {
		t.zone.Mark = true
		return nil
	}
	n, ok := parseUint(s, 0, 65535)
	if !ok {
		return fmt.Errorf("Cannot parse %s as a zone ID", s)
	}
	t.zone.ID = uint16(n)
	return nil
}

func (t *ctTG) zoneOption() string {
	switch t.zone.Dirs {
	case conntrack.ZoneOrig:
		return "zone-orig"
	case conntrack.ZoneReply:
		return "zone-reply"
	}
	return "zone"
}

func (t *ctTG) text(b []byte, dashes string) []byte {
	opt := func(name string) { b = append(append(append(b, ' '), dashes...), name...) }
	if t.notrack {
		opt("notrack")
	}
	if t.helper != "" {
		opt("helper")
		b = append(append(b, ' '), t.helper...)
	}
	if t.hasEvents && t.events != 0 {
		opt("ctevents")
		sep := byte(' ')
		for _, e := range ctEventNames {
			if t.events&uint32(e.bit) != 0 {
				b = append(append(b, sep), e.name...)
				sep = ','
			}
		}
	}
	if t.hasExpEv {
		opt("expevents")
		b = append(b, " new"...)
	}
	switch {
	case t.zone.Mark:
		opt(t.zoneOption())
		b = append(b, " mark"...)
	case t.zone.ID != 0:
		opt(t.zoneOption())
		b = strconv.AppendUint(append(b, ' '), uint64(t.zone.ID), 10)
	}
	return b
}

// Save implements xtables.Extension.
func (t *ctTG) Save(b []byte) []byte { return t.text(b, "--") }

// Print implements xtables.Extension.
func (t *ctTG) Print(b []byte, _ bool) []byte { return t.text(append(b, " CT"...), "") }

// Check implements xtables.Extension (Linux: xt_ct_tg_check).
func (t *ctTG) Check(c *xtables.CheckContext) error {
	if t.notrack {
		return nil
	}
	switch {
	case c.Env.Conntrack == nil:
		return errNoConntrack
	case t.helper == "":
	case c.Proto == 0 || c.InvProto:
		return &xtables.CheckError{Errno: syscall.ENOENT, Text: "You must specify a L4 protocol and not use inversions on it"}
	case c.Env.Conntrack.HelperByName(t.helper, c.Proto) == nil:
		return &xtables.CheckError{Errno: syscall.ENOENT, Text: "No such helper \"" + t.helper + "\""}
	}
	return nil
}

// Attach implements xtables.Attacher.
func (t *ctTG) Attach(c *xtables.CheckContext) error {
	if t.notrack {
		return nil
	}
	if err := t.tracked.Attach(c); err != nil {
		return err
	}
	var pol conntrack.Policy
	if t.helper != "" {
		pol.Helper = c.Env.Conntrack.HelperByName(t.helper, c.Proto)
	}
	if t.hasEvents {
		pol.Events = &t.events
	}
	if t.hasExpEv {
		pol.ExpectEvents = &t.expEvents
	}
	t.tmpl = c.Env.Conntrack.NewTemplate(t.zone, pol)
	return nil
}

// Target implements xtables.Target (Linux: xt_ct_target).
func (t *ctTG) Target(p *xtables.Packet) xtables.Verdict {
	b := p.B
	if b.NFCT != nil || conntrack.Info(b.NFCTInfo) == conntrack.Untracked {
		return xtables.Continue // seen before, or decided
	}
	if t.tmpl == nil {
		conntrack.NoTrack(b)
	} else {
		conntrack.Set(b, t.tmpl, conntrack.New)
	}
	return xtables.Continue
}

// notrackTG is CT --notrack under its old name.
type notrackTG struct{ xtables.Plain }

// Print implements xtables.Extension.
func (*notrackTG) Print(b []byte, _ bool) []byte { return append(b, " NOTRACK"...) }

// Target implements xtables.Target.
func (*notrackTG) Target(p *xtables.Packet) xtables.Verdict {
	if p.B.NFCT == nil {
		conntrack.NoTrack(p.B)
	}
	return xtables.Continue
}
