package ip

import (
	"sync/atomic"
	"syscall"
	"time"

	"barewire/napi/sysctl"
)

// Conf is the settings of the IPv4 data path and of ICMP, net.ipv4.* (Linux:
// struct netns_ipv4). The meanings and defaults are those of Linux's ip-sysctl.
type Conf struct {
	DefaultTTL            atomic.Int32
	ForwardUsePMTU        atomic.Int32
	ForwardUpdatePriority atomic.Int32
	NoPMTUDisc            atomic.Int32
	FwmarkReflect         atomic.Int32
	EarlyDemux            atomic.Int32

	FragHighThresh atomic.Int64 // bytes
	FragLowThresh  atomic.Int64 // bytes; kept, as in Linux, without a use
	FragTime       atomic.Int64 // ns
	FragMaxDist    atomic.Int32 // packets of one sender
	FragSecret     atomic.Int64 // ns; kept without a use

	ICMPEchoIgnoreAll        atomic.Int32
	ICMPEchoEnableProbe      atomic.Int32
	ICMPEchoIgnoreBroadcasts atomic.Int32
	ICMPIgnoreBogusErrors    atomic.Int32
	ICMPErrorsUseInboundAddr atomic.Int32
	ICMPRateLimit            atomic.Int64 // ns between errors to one host
	ICMPRateMask             atomic.Int32 // types that count
	ICMPMsgsPerSec           atomic.Int32
	ICMPMsgsBurst            atomic.Int32

	// net.ipv4.route: what is told to senders that go a way round, or none.
	RedirectLoad    atomic.Int64 // ns
	RedirectNumber  atomic.Int32
	RedirectSilence atomic.Int64 // ns
	ErrorCost       atomic.Int64 // ns
	ErrorBurst      atomic.Int64 // ns

	PeerThreshold atomic.Int32 // inet_peer_*: kept, the table has its own bound
	PeerMinTTL    atomic.Int64
	PeerMaxTTL    atomic.Int64
}

// Linux shows the settings of net.ipv4.route in ticks; ours are of one
// millisecond, as in a kernel with HZ=1000.
const tick = time.Millisecond

func (c *Conf) setDefaults(fragMemory int64) {
	c.DefaultTTL.Store(DefaultTTL)
	c.ForwardUpdatePriority.Store(1)
	c.EarlyDemux.Store(1)
	c.FragHighThresh.Store(fragMemory)
	c.FragLowThresh.Store(fragMemory * 3 / 4)
	c.FragTime.Store(int64(fragTime))
	c.FragMaxDist.Store(64)
	c.ICMPEchoIgnoreBroadcasts.Store(1)
	c.ICMPIgnoreBogusErrors.Store(1)
	c.ICMPRateLimit.Store(int64(time.Second))
	c.ICMPRateMask.Store(0x1818) // unreachable, quench, time exceeded, parameter
	c.ICMPMsgsPerSec.Store(1000)
	c.ICMPMsgsBurst.Store(50)
	c.RedirectLoad.Store(int64(20 * tick))
	c.RedirectNumber.Store(9)
	c.RedirectSilence.Store(int64(20 * tick << 10))
	c.ErrorCost.Store(int64(time.Second))
	c.ErrorBurst.Store(int64(5 * time.Second))
	c.PeerThreshold.Store(65664)
	c.PeerMinTTL.Store(int64(120 * time.Second))
	c.PeerMaxTTL.Store(int64(600 * time.Second))
}

// confSysctls are the settings by the names of their files.
func (n *Net) confSysctls() []sysctl.Entry {
	const most = 1<<31 - 1
	c := &n.Conf
	icmp := func(name string, v *atomic.Int32, max int32) sysctl.Entry {
		return sysctl.Int("net.ipv4.icmp_"+name, v, 0, max)
	}
	return []sysctl.Entry{
		n.forwardSysctl("net.ipv4.ip_forward"),
		n.forwardSysctl("net.ipv4.conf.all.forwarding"),
		sysctl.Int("net.ipv4.ip_default_ttl", &c.DefaultTTL, 1, 255),
		sysctl.Int("net.ipv4.ip_early_demux", &c.EarlyDemux, 0, 255),
		sysctl.Int("net.ipv4.ip_forward_use_pmtu", &c.ForwardUsePMTU, 0, 1),
		sysctl.Int("net.ipv4.ip_forward_update_priority", &c.ForwardUpdatePriority, 0, 1),
		sysctl.Int("net.ipv4.ip_no_pmtu_disc", &c.NoPMTUDisc, 0, 3),
		sysctl.Int("net.ipv4.fwmark_reflect", &c.FwmarkReflect, 0, 1),

		n.threshSysctl("net.ipv4.ipfrag_high_thresh", &c.FragHighThresh, func(v int64) bool { return v >= c.FragLowThresh.Load() }),
		n.threshSysctl("net.ipv4.ipfrag_low_thresh", &c.FragLowThresh, func(v int64) bool { return v <= c.FragHighThresh.Load() }),
		sysctl.Duration("net.ipv4.ipfrag_time", &c.FragTime, time.Second),
		sysctl.Int("net.ipv4.ipfrag_max_dist", &c.FragMaxDist, 0, most),
		sysctl.Duration("net.ipv4.ipfrag_secret_interval", &c.FragSecret, time.Second),

		icmp("echo_ignore_all", &c.ICMPEchoIgnoreAll, 1),
		icmp("echo_enable_probe", &c.ICMPEchoEnableProbe, 1),
		icmp("echo_ignore_broadcasts", &c.ICMPEchoIgnoreBroadcasts, 1),
		icmp("ignore_bogus_error_responses", &c.ICMPIgnoreBogusErrors, 1),
		icmp("errors_use_inbound_ifaddr", &c.ICMPErrorsUseInboundAddr, 1),
		sysctl.Duration("net.ipv4.icmp_ratelimit", &c.ICMPRateLimit, time.Millisecond),
		sysctl.Int("net.ipv4.icmp_ratemask", &c.ICMPRateMask, -most-1, most),
		icmp("msgs_per_sec", &c.ICMPMsgsPerSec, most),
		icmp("msgs_burst", &c.ICMPMsgsBurst, most),

		sysctl.Duration("net.ipv4.route.redirect_load", &c.RedirectLoad, tick),
		sysctl.Int("net.ipv4.route.redirect_number", &c.RedirectNumber, 0, 30),
		sysctl.Duration("net.ipv4.route.redirect_silence", &c.RedirectSilence, tick),
		sysctl.Duration("net.ipv4.route.error_cost", &c.ErrorCost, tick),
		sysctl.Duration("net.ipv4.route.error_burst", &c.ErrorBurst, tick),

		sysctl.Int("net.ipv4.inet_peer_threshold", &c.PeerThreshold, 0, most),
		sysctl.Duration("net.ipv4.inet_peer_minttl", &c.PeerMinTTL, time.Second),
		sysctl.Duration("net.ipv4.inet_peer_maxttl", &c.PeerMaxTTL, time.Second),
	}
}

// threshSysctl is a number of bytes that must keep its place beside another.
func (n *Net) threshSysctl(name string, v *atomic.Int64, ok func(int64) bool) sysctl.Entry {
	e := sysctl.Long(name, v, 0, 1<<62)
	e.Set = func(s string) error {
		var next atomic.Int64
		if err := sysctl.Long(name, &next, 0, 1<<62).Set(s); err != nil {
			return err
		}
		if !ok(next.Load()) {
			return syscall.EINVAL
		}
		v.Store(next.Load())
		return nil
	}
	return e
}

// forwardSysctl is the switch that makes this host a router: it changes all
// devices, those there are and those to come, and with it whether redirects
// are believed (Linux: inet_forward_change).
func (n *Net) forwardSysctl(name string) sysctl.Entry {
	e := sysctl.Int(name, &n.ConfAll.Forwarding, -1<<31, 1<<31-1)
	e.Set = func(s string) error {
		var v atomic.Int32
		if err := sysctl.Int(name, &v, -1<<31, 1<<31-1).Set(s); err != nil {
			return err
		}
		n.SetForwarding(v.Load())
		return nil
	}
	return e
}

// SetForwarding is writing ip_forward: not 0 makes this host a router.
func (n *Net) SetForwarding(v int32) {
	old := n.ConfAll.Forwarding.Swap(v)
	if old == v {
		return
	}
	n.ConfDefault.Forwarding.Store(v)
	redirects := int32(1)
	if v != 0 {
		redirects = 0 // a router has its own routes (RFC 1812 section 5.2.7.2)
	}
	n.ConfAll.AcceptRedirects.Store(redirects)
	for _, d := range *n.indevs.Load() {
		if d != nil {
			d.Conf.Forwarding.Store(v)
		}
	}
	n.FIB.Bump() // decisions that were kept may be others now
}
