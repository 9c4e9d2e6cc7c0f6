package dropmon

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"syscall"

	"barewire/sys/genl"
	"barewire/sys/netlink"
)

// Commands and attributes of NET_DM (Linux: include/uapi/linux/net_dropmon.h).
const (
	cmdAlert       = 1
	cmdConfig      = 2
	cmdStart       = 3
	cmdStop        = 4
	cmdPacketAlert = 5
	cmdConfigGet   = 6
	cmdConfigNew   = 7
	cmdStatsGet    = 8
	cmdStatsNew    = 9

	attrPoints    = 0 // the alert message of a summary has no type
	attrAlertMode = 1
	attrPC        = 2
	attrSymbol    = 3
	attrInPort    = 4
	attrTimestamp = 5
	attrProto     = 6
	attrPayload   = 7
	attrTruncLen  = 9
	attrOrigLen   = 10
	attrQueueLen  = 11
	attrStats     = 12
	attrHWStats   = 13
	attrOrigin    = 14
	attrSWDrops   = 20
	attrHWDrops   = 21
	attrReason    = 23
	attrMax       = 23

	portIndex    = 0
	portName     = 1
	statsDropped = 0
	originSW     = 0
)

// policy is net_dm_nl_policy.
var policy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	attrAlertMode: {Kind: netlink.U8},
	attrTruncLen:  {Kind: netlink.U32},
	attrQueueLen:  {Kind: netlink.U32},
	attrSWDrops:   {Kind: netlink.Flag},
	attrHWDrops:   {Kind: netlink.Flag},
}}

// messages makes the family.
func (m *Monitor) messages() *genl.Family {
	return &genl.Family{
		Name: "NET_DM", Version: 2, MaxAttr: attrMax, Groups: []string{"events"}, FirstGroup: 1,
		Ops: []genl.Op{
			{Cmd: cmdConfig, Policy: &policy, Do: m.config, Admin: true},
			{Cmd: cmdStart, Policy: &policy, Do: m.trace},
			{Cmd: cmdStop, Policy: &policy, Do: m.trace},
			{Cmd: cmdConfigGet, Policy: &policy, Do: m.configGet},
			{Cmd: cmdStatsGet, Policy: &policy, Do: m.statsGet},
		},
	}
}

// active reports whether something is monitored.
func (m *Monitor) active() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on || m.hardware
}

// config is net_dm_cmd_config. EBUSY while something is monitored.
func (m *Monitor) config(r *genl.Request) error {
	if m.active() {
		return r.Ack.Fail(syscall.EBUSY, "drop_monitor: Cannot configure drop monitor during monitoring")
	}
	if r.Attrs.Has(attrAlertMode) {
		v := mode(r.Attrs.U8(attrAlertMode))
		if v > modePacket {
			return r.Ack.Fail(syscall.EINVAL, "drop_monitor: Invalid alert mode")
		}
		m.mode = v
	}
	if r.Attrs.Has(attrTruncLen) {
		m.truncLen = r.Attrs.U32(attrTruncLen)
	}
	if r.Attrs.Has(attrQueueLen) {
		m.queueLen = r.Attrs.U32(attrQueueLen)
	}
	return nil
}

// trace is net_dm_cmd_trace: START and STOP. EAGAIN when it is so already.
func (m *Monitor) trace(r *genl.Request) error {
	software, hardware := r.Attrs.Has(attrSWDrops), r.Attrs.Has(attrHWDrops)
	if !software && !hardware {
		software = true // before there were flags
	}
	start := r.Cmd == cmdStart
	if software {
		m.mu.Lock()
		on := m.on
		m.mu.Unlock()
		switch {
		case on == start:
			return r.Ack.Fail(syscall.EAGAIN, "drop_monitor: Trace state already set to requested state")
		case start:
			m.enable()
		default:
			m.disable()
		}
	}
	if hardware {
		if m.hardware == start {
			what := "Hardware drop monitor is already disabled"
			if start {
				what = "Hardware drop monitor is already enabled"
				if software {
					m.disable()
				}
			}
			return r.Ack.Fail(syscall.EAGAIN, "drop_monitor: "+what)
		}
		m.hardware = start
	}
	return nil
}

// configGet is net_dm_cmd_config_get.
func (m *Monitor) configGet(r *genl.Request) error {
	return r.Answer(cmdConfigNew, func(b *netlink.Builder) {
		b.AttrU8(attrAlertMode, uint8(m.mode))
		b.AttrU32(attrTruncLen, m.truncLen)
		b.AttrU32(attrQueueLen, m.queueLen)
	})
}

// statsGet is net_dm_cmd_stats_get: how many drops were not told of.
func (m *Monitor) statsGet(r *genl.Request) error {
	m.mu.Lock()
	lost := m.lost
	m.mu.Unlock()
	return r.Answer(cmdStatsNew, func(b *netlink.Builder) {
		for i, n := range []uint64{lost, 0} {
			s := b.Nest(uint16(attrStats+i), true)
			b.AttrU64(statsDropped, n)
			b.EndNest(s)
		}
	})
}

// tellPacket sends the alert of one packet (Linux:
// net_dm_packet_report_fill).
func (m *Monitor) tellPacket(n *note) {
	m.family.Multicast(alertGroup, cmdPacketAlert, func(b *netlink.Builder) {
		b.AttrU16(attrOrigin, originSW)
		b.AttrU64(attrPC, uint64(n.pc))
		b.AttrString(attrReason, n.reason.String())
		b.AttrString(attrSymbol, symbol(n.pc))
		if n.index != 0 {
			p := b.Nest(attrInPort, true)
			b.AttrU32(portIndex, uint32(n.index))
			b.AttrString(portName, n.port)
			b.EndNest(p)
		}
		b.AttrU64(attrTimestamp, uint64(n.when))
		b.AttrU32(attrOrigLen, uint32(n.origLen))
		if len(n.payload) > 0 {
			b.AttrU16(attrProto, n.proto)
			b.Attr(attrPayload, n.payload...)
		}
	})
}

// tellSummary sends what was counted: a struct net_dm_alert_msg (Linux:
// send_dm_alert).
func (m *Monitor) tellSummary(hits map[uintptr]uint32) {
	p := binary.NativeEndian.AppendUint32(nil, uint32(len(hits)))
	for pc, n := range hits {
		p = binary.NativeEndian.AppendUint64(p, uint64(pc))
		p = binary.NativeEndian.AppendUint32(p, n)
	}
	m.family.Multicast(alertGroup, cmdAlert, func(b *netlink.Builder) { b.Attr(attrPoints, p...) })
}

// symbol names a place as %pS does, without the function's size, which the
// runtime does not tell.
func symbol(pc uintptr) string {
	f := runtime.FuncForPC(pc)
	if f == nil {
		return fmt.Sprintf("0x%x", pc)
	}
	return fmt.Sprintf("%s+0x%x", f.Name(), pc-f.Entry())
}
