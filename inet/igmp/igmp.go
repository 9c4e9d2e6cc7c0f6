package igmp

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/napi/sysctl"
	"barewire/skb"
	"barewire/skb/header"
)

// Filter modes (Linux: MCAST_EXCLUDE, MCAST_INCLUDE).
const (
	exclude = 0
	include = 1
)

// Timer values of RFC 3376 section 8 that no setting changes.
const (
	queryInterval         = int64(125 * time.Second)
	queryResponseInterval = int64(10 * time.Second)
	defaultQRV            = 2
)

// allRouters hear leaves of version 2, reporters of version 3 the reports.
const (
	allRouters     header.Addr = 0xe0000002 // 224.0.0.2
	allV3Reporters header.Addr = 0xe0000016 // 224.0.0.22
)

// IGMP is the protocol of one stack.
type IGMP struct {
	ip    *ip.Net
	net   *napi.Net
	clock napi.Clock

	// Notify hears of each group a device joins and leaves (Linux:
	// inet_ifmcaddr_notify). It must not block, and is set before devices come
	// up. May be nil.
	Notify func(g Group, joined bool)

	maxMemberships atomic.Int32 // net.ipv4.igmp_max_memberships
	maxMSF         atomic.Int32 // net.ipv4.igmp_max_msf
	qrv            atomic.Int32 // net.ipv4.igmp_qrv
	linkLocal      atomic.Int32 // net.ipv4.igmp_link_local_mcast_reports

	devs  atomic.Pointer[[]*device] // by ifindex
	socks sync.Map                  // *ip.Sock to *sockState

	cfg sync.Mutex // changes of membership, one at a time (Linux: RTNL)
	mu  sync.Mutex // what timers and packets share with them; inside cfg
}

// New makes the protocol, registers it with the IP layer and becomes its
// Multicast (Linux: igmp_net_init, ip_mc_init). The caller registers Event.
func New(n *ip.Net) (*IGMP, error) {
	m := &IGMP{ip: n, net: n.Dev, clock: n.Dev.Clock()}
	m.maxMemberships.Store(20)
	m.maxMSF.Store(10)
	m.qrv.Store(defaultQRV)
	m.linkLocal.Store(1)
	m.devs.Store(&[]*device{})
	const most = 1<<31 - 1
	n.Dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Int("net.ipv4.igmp_max_memberships", &m.maxMemberships, -most, most),
			sysctl.Int("net.ipv4.igmp_max_msf", &m.maxMSF, -most, most),
			sysctl.Int("net.ipv4.igmp_qrv", &m.qrv, 1, most),
			sysctl.Int("net.ipv4.igmp_link_local_mcast_reports", &m.linkLocal, -most, most),
		}
	})
	n.Dev.Proc().Register("igmp", m.showGroups)
	n.Dev.Proc().Register("mcfilter", m.showFilters)
	n.MC = m
	return m, n.AddProtocol(header.ProtoIGMP, &ip.Protocol{Handler: m.rcv})
}

// Close stops the timers; for the end of a namespace.
func (m *IGMP) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range *m.devs.Load() {
		if d != nil {
			m.stop(d)
		}
	}
	m.devs.Store(&[]*device{})
}

// Event follows the devices (Linux: the ip_mc_* calls of inetdev_event).
func (m *IGMP) Event(ev napi.Event, dev *napi.NetDevice) {
	switch ev {
	case napi.EventRegister:
		m.add(dev)
	case napi.EventUp:
		m.add(dev)
		m.up(dev)
	case napi.EventDown:
		m.down(dev)
	case napi.EventUnregister:
		m.remove(dev)
	}
}

// device is the membership of one device (Linux: the mc_* and mr_* fields of
// struct in_device).
type device struct {
	dev  *napi.NetDevice
	conf *ip.DevConf

	snap atomic.Pointer[map[header.Addr]*group] // for Check

	// Under IGMP.mu.
	groups []*group // newest first
	left   []*group // left and not reported often enough (Linux: mc_tomb)
	up     bool
	dead   bool

	v1Until, v2Until int64 // an older querier is believed until then; 0 none
	qrv              int
	qi, qri          int64
	maxDelay         int64

	changes     int // change reports still to be sent (mr_ifc_count)
	changeTimer napi.Timer
	general     bool // an answer to a general query is due
	generalTime int64
	generalTmr  napi.Timer
}

// device returns the membership of the device with an index, nil if there is
// none.
func (m *IGMP) device(ifindex int32) *device {
	t := *m.devs.Load()
	if ifindex < 0 || int(ifindex) >= len(t) {
		return nil
	}
	return t[ifindex]
}

func (m *IGMP) setDevice(ifindex int32, d *device) {
	old := *m.devs.Load()
	t := make([]*device, max(len(old), int(ifindex)+1))
	copy(t, old)
	t[ifindex] = d
	m.devs.Store(&t)
}

func (m *IGMP) add(dev *napi.NetDevice) {
	m.cfg.Lock()
	defer m.cfg.Unlock()
	in := m.ip.InDev(dev.Ifindex())
	if in == nil || m.device(dev.Ifindex()) != nil {
		return
	}
	d := &device{dev: dev, conf: in.Conf, qrv: int(m.qrv.Load()), qi: queryInterval, qri: queryResponseInterval}
	d.snap.Store(&map[header.Addr]*group{})
	d.changeTimer.Init(m.net.Timers(), func(*napi.Timer) { m.changeExpired(d) })
	d.generalTmr.Init(m.net.Timers(), func(*napi.Timer) { m.generalExpired(d) })
	m.setDevice(dev.Ifindex(), d)
}

// up is ip_mc_up: every host is in 224.0.0.1, and the groups joined before are
// reported anew.
func (m *IGMP) up(dev *napi.NetDevice) {
	m.cfg.Lock()
	defer m.cfg.Unlock()
	d := m.device(dev.Ifindex())
	if d == nil {
		return
	}
	m.mu.Lock()
	if d.up {
		m.mu.Unlock()
		return
	}
	d.up = true
	d.qrv, d.qi, d.qri = int(m.qrv.Load()), queryInterval, queryResponseInterval
	groups := append([]*group(nil), d.groups...)
	m.mu.Unlock()
	m.join(d, header.AddrAllHosts, exclude)
	for _, g := range groups {
		m.mu.Lock()
		m.undelete(d, g)
		m.mu.Unlock()
		m.added(d, g)
	}
}

// down is ip_mc_down.
func (m *IGMP) down(dev *napi.NetDevice) {
	m.cfg.Lock()
	defer m.cfg.Unlock()
	d := m.device(dev.Ifindex())
	if d == nil {
		return
	}
	m.mu.Lock()
	was := d.up
	d.up = false
	groups := append([]*group(nil), d.groups...)
	m.mu.Unlock()
	if !was {
		return
	}
	for _, g := range groups {
		m.dropped(d, g)
	}
	m.mu.Lock()
	m.stop(d)
	m.mu.Unlock()
	m.leave(d, header.AddrAllHosts)
}

// stop stops every timer of d; mu is held.
func (m *IGMP) stop(d *device) {
	d.changes = 0
	d.changeTimer.Del()
	d.general = false
	d.generalTmr.Del()
	for _, g := range d.groups {
		g.stopTimer()
	}
}

// remove is ip_mc_destroy_dev. Sockets keep their membership of a device that
// is no more; it only counts.
func (m *IGMP) remove(dev *napi.NetDevice) {
	m.down(dev)
	m.cfg.Lock()
	defer m.cfg.Unlock()
	d := m.device(dev.Ifindex())
	if d == nil {
		return
	}
	m.mu.Lock()
	d.dead = true
	m.stop(d)
	d.left = nil
	m.mu.Unlock()
	m.setDevice(dev.Ifindex(), nil)
}

// linkAddr is the Ethernet address of a group (RFC 1112 section 6.4; Linux:
// ip_eth_mc_map).
func linkAddr(group header.Addr) [6]byte {
	return [6]byte{0x01, 0x00, 0x5e, byte(group>>16) & 0x7f, byte(group >> 8), byte(group)}
}

// Check implements ip.Multicast. IGMP itself is received from anybody.
func (m *IGMP) Check(in *ip.InDev, dst, src header.Addr, proto uint8) bool {
	d := m.device(in.Dev.Ifindex())
	if d == nil {
		return false
	}
	g := (*d.snap.Load())[dst]
	if g == nil {
		return false
	}
	return proto == header.ProtoIGMP || src == 0 || g.filter.Load().allows(src)
}

// v1 reports whether version 1 is to be spoken (Linux: IGMP_V1_SEEN); mu is
// held, as for v2.
func (m *IGMP) v1(d *device, now int64) bool {
	return m.ip.ConfAll.ForceIGMPVersion.Load() == 1 || d.conf.ForceIGMPVersion.Load() == 1 || now < d.v1Until
}

func (m *IGMP) v2(d *device, now int64) bool {
	return m.ip.ConfAll.ForceIGMPVersion.Load() == 2 || d.conf.ForceIGMPVersion.Load() == 2 || now < d.v2Until
}

// reported reports whether membership of a group is told to routers.
func (m *IGMP) reported(group header.Addr) bool {
	return group != header.AddrAllHosts && (!group.IsLocalMulticast() || m.linkLocal.Load() != 0)
}

// random returns a time from 0 to below limit.
func (m *IGMP) random(limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	var r [8]byte
	m.net.Rand(r[:])
	x := uint64(0)
	for _, c := range r {
		x = x<<8 | uint64(c)
	}
	hi, _ := bits.Mul64(x, uint64(limit))
	return int64(hi)
}

// reportInterval is the longest time between two reports of a change (Linux:
// unsolicited_report_interval).
func (m *IGMP) reportInterval(d *device, now int64) int64 {
	v := &d.conf.IGMPv3ReportInterval
	if m.v1(d, now) || m.v2(d, now) {
		v = &d.conf.IGMPv2ReportInterval
	}
	return max(int64(v.Load()), 1) * int64(time.Millisecond)
}

// drop ends a packet that is of no use.
func drop(b *skb.Buff, r skb.Reason) { b.Free(r) }
