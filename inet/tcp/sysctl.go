package tcp

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/napi/sysctl"
)

// conf is the settings net.ipv4.tcp_* (Linux: sysctl_tcp_* of struct
// netns_ipv4).
type conf struct {
	sack, dsack, timestamps, windowScaling, ecn, ecnFallback                atomic.Int32
	synRetries, synackRetries, synLinear, maxSynBacklog                     atomic.Int32
	somaxconn, abortOnOverflow, syncookies, fastopen                        atomic.Int32
	retries1, retries2, orphanRetries, maxOrphans, maxTW                    atomic.Int32
	keepProbes, reordering, maxReordering, recovery, frto                   atomic.Int32
	earlyRetrans, slowStartIdle, adv, moderate, workaround                  atomic.Int32
	rfc1337, twReuse, stdurg, nometrics, nossthresh, thin                   atomic.Int32
	invalidRatelimit, challengeLimit, limitOutput, minTSO                   atomic.Int32
	tsoWinDivisor, tsoRTTLog, pacingSS, pacingCA, autocork                  atomic.Int32
	minRTTWlen, pingpong, rtoMinUS, rtoMaxMS, shrink, minMSS                atomic.Int32
	mtuProbing, baseMSS, probeFloor, backlogAck, notsentLow                 atomic.Int32
	earlyDemux, appWin, retransCollapse, twReuseDelay                       atomic.Int32
	reflectTOS, fwmarkAccept, l3mdev, migrate, fack                         atomic.Int32
	ecnOption, ecnBeacon, plb, plbIdle, plbRounds                           atomic.Int32
	plbSuspend, plbThresh                                                   atomic.Int32
	compSackSlack, compSackDelay, compSackNr, probeThreshold, probeInterval atomic.Int32

	keepTime, keepIntvl, finTimeout atomic.Int64 // ns

	rmem, wmem triple
}

// triple is a minimum, a default and a maximum (Linux: tcp_rmem, tcp_wmem).
type triple [3]atomic.Int32

func (v *triple) set(a, b, c int32) {
	v[0].Store(a)
	v[1].Store(b)
	v[2].Store(c)
}

func (v *triple) entry(name string) sysctl.Entry {
	return sysctl.Entry{
		Name: name,
		Get:  func() string { return fmt.Sprintf("%d\t%d\t%d", v[0].Load(), v[1].Load(), v[2].Load()) },
		Set: func(s string) error {
			l, err := sysctl.Ints(s, 3)
			if err != nil {
				return err
			}
			for _, x := range l {
				if x < 1 || x > 1<<31-1 {
					return syscall.EINVAL
				}
			}
			v.set(int32(l[0]), int32(l[1]), int32(l[2]))
			return nil
		},
	}
}

// ints are the settings that are a plain number, with Linux's defaults and
// bounds.
func (c *conf) ints() []intSetting {
	const most = 1<<31 - 1
	return []intSetting{
		{"tcp_sack", &c.sack, 1, 0, 255}, {"tcp_dsack", &c.dsack, 1, 0, 255},
		{"tcp_timestamps", &c.timestamps, 1, 0, 255}, {"tcp_window_scaling", &c.windowScaling, 1, 0, 255},
		{"tcp_ecn", &c.ecn, ecnClassicIn, 0, ecnAccurateIn}, {"tcp_ecn_fallback", &c.ecnFallback, 1, 0, 1},
		{"tcp_syn_retries", &c.synRetries, 6, 1, 127}, {"tcp_synack_retries", &c.synackRetries, 5, 0, 255},
		{"tcp_syn_linear_timeouts", &c.synLinear, 4, 0, 127}, {"tcp_max_syn_backlog", &c.maxSynBacklog, 512, 0, most},
		{"tcp_abort_on_overflow", &c.abortOnOverflow, 0, 0, 255}, {"tcp_syncookies", &c.syncookies, 1, 0, 255},
		{"tcp_fastopen", &c.fastopen, 1, 0, most}, {"tcp_retries1", &c.retries1, 3, 0, 255},
		{"tcp_retries2", &c.retries2, 15, 0, 255}, {"tcp_orphan_retries", &c.orphanRetries, 0, 0, 255},
		{"tcp_max_orphans", &c.maxOrphans, 16384, 0, most}, {"tcp_max_tw_buckets", &c.maxTW, 16384, 0, most},
		{"tcp_keepalive_probes", &c.keepProbes, 9, 0, 255}, {"tcp_reordering", &c.reordering, 3, 1, 300},
		{"tcp_max_reordering", &c.maxReordering, 300, 1, most}, {"tcp_recovery", &c.recovery, 1, 0, 255},
		{"tcp_frto", &c.frto, 2, 0, 255}, {"tcp_early_retrans", &c.earlyRetrans, 3, 0, 4},
		{"tcp_slow_start_after_idle", &c.slowStartIdle, 1, 0, 255}, {"tcp_adv_win_scale", &c.adv, 1, -31, 31},
		{"tcp_moderate_rcvbuf", &c.moderate, 1, 0, 255}, {"tcp_workaround_signed_windows", &c.workaround, 0, 0, 255},
		{"tcp_rfc1337", &c.rfc1337, 0, 0, 255}, {"tcp_tw_reuse", &c.twReuse, 2, 0, 2},
		{"tcp_tw_reuse_delay", &c.twReuseDelay, 1000, 1, 60000},
		{"tcp_stdurg", &c.stdurg, 0, 0, 255}, {"tcp_no_metrics_save", &c.nometrics, 0, 0, 255},
		{"tcp_no_ssthresh_metrics_save", &c.nossthresh, 1, 0, 1}, {"tcp_thin_linear_timeouts", &c.thin, 0, 0, 255},
		{"tcp_invalid_ratelimit", &c.invalidRatelimit, 500, 0, most}, {"tcp_challenge_ack_limit", &c.challengeLimit, most, 0, most},
		{"tcp_limit_output_bytes", &c.limitOutput, 4 << 20, 0, most}, {"tcp_min_tso_segs", &c.minTSO, 2, 1, 255},
		{"tcp_tso_win_divisor", &c.tsoWinDivisor, 3, 0, 255}, {"tcp_tso_rtt_log", &c.tsoRTTLog, 9, 0, 255},
		{"tcp_pacing_ss_ratio", &c.pacingSS, 200, 0, 1000}, {"tcp_pacing_ca_ratio", &c.pacingCA, 120, 0, 1000},
		{"tcp_autocorking", &c.autocork, 1, 0, 1}, {"tcp_min_rtt_wlen", &c.minRTTWlen, 300, 0, 86400},
		{"tcp_pingpong_thresh", &c.pingpong, 1, 1, 255}, {"tcp_rto_min_us", &c.rtoMinUS, 200000, 1, most},
		{"tcp_rto_max_ms", &c.rtoMaxMS, 120000, 1000, 120000}, {"tcp_shrink_window", &c.shrink, 0, 0, 1},
		{"tcp_min_snd_mss", &c.minMSS, 48, 48, 65535}, {"tcp_mtu_probing", &c.mtuProbing, 0, 0, 255},
		{"tcp_base_mss", &c.baseMSS, 1024, 0, most}, {"tcp_mtu_probe_floor", &c.probeFloor, 48, 48, 65535},
		{"tcp_backlog_ack_defer", &c.backlogAck, 1, 0, 1}, {"tcp_early_demux", &c.earlyDemux, 1, 0, 255},
		{"tcp_app_win", &c.appWin, 31, 0, 31}, {"tcp_retrans_collapse", &c.retransCollapse, 1, 0, 255},
		{"tcp_comp_sack_delay_ns", &c.compSackDelay, 1000000, 0, most}, {"tcp_comp_sack_nr", &c.compSackNr, 44, 0, 255},
		{"tcp_reflect_tos", &c.reflectTOS, 0, 0, 1}, {"tcp_fwmark_accept", &c.fwmarkAccept, 0, 0, 255},
		// What these do is of other networks: virtual routing domains, flow labels,
		// options of accurate ECN; a forgotten way of counting.
		{"tcp_l3mdev_accept", &c.l3mdev, 0, 0, 1}, {"tcp_migrate_req", &c.migrate, 0, 0, 1}, {"tcp_fack", &c.fack, 0, 0, 255},
		{"tcp_ecn_option", &c.ecnOption, 2, 0, 2}, {"tcp_ecn_option_beacon", &c.ecnBeacon, 3, 0, 3},
		{"tcp_plb_enabled", &c.plb, 0, 0, 1}, {"tcp_plb_idle_rehash_rounds", &c.plbIdle, 3, 0, 31},
		{"tcp_plb_rehash_rounds", &c.plbRounds, 12, 0, 31}, {"tcp_plb_suspend_rto_sec", &c.plbSuspend, 60, 0, 255},
		{"tcp_plb_cong_thresh", &c.plbThresh, 128, 0, 256},
		{"tcp_comp_sack_slack_ns", &c.compSackSlack, 100000, 0, most}, {"tcp_probe_threshold", &c.probeThreshold, 8, 0, most}, {"tcp_probe_interval", &c.probeInterval, 600, 0, most},
	}
}

type intSetting struct {
	name        string
	v           *atomic.Int32
	dflt        int32
	least, most int32
}

func (c *conf) setDefaults() {
	for _, s := range c.ints() {
		s.v.Store(s.dflt)
	}
	c.somaxconn.Store(4096)
	c.notsentLow.Store(-1)
	c.keepTime.Store(7200 * sec)
	c.keepIntvl.Store(75 * sec)
	c.finTimeout.Store(60 * sec)
	c.rmem.set(4096, 131072, 6291456)
	c.wmem.set(4096, 16384, 4194304)
}

const memPage = 4096 // the unit of tcp_mem and of sockstat's mem

// register enters the settings and files of TCP.
func (t *TCP) register() {
	t.dev.Sysctl().RegisterFunc(t.settings)
	t.dev.Proc().Register("tcp", t.show)
	t.registerSockstat()
	t.registerFastOpen()
}

func (t *TCP) settings() []sysctl.Entry {
	c := &t.conf
	l := []sysctl.Entry{
		sysctl.Int("net.core.somaxconn", &c.somaxconn, 0, 1<<31-1),
		sysctl.Duration("net.ipv4.tcp_keepalive_time", &c.keepTime, time.Second),
		sysctl.Duration("net.ipv4.tcp_keepalive_intvl", &c.keepIntvl, time.Second),
		sysctl.Duration("net.ipv4.tcp_fin_timeout", &c.finTimeout, time.Second),
		c.rmem.entry("net.ipv4.tcp_rmem"),
		c.wmem.entry("net.ipv4.tcp_wmem"),
		sysctl.Entry{
			Name: "net.ipv4.tcp_notsent_lowat", // unsigned
			Get:  func() string { return fmt.Sprint(uint32(c.notsentLow.Load())) },
			Set: func(s string) error {
				l, err := sysctl.Ints(s, 1)
				if err != nil || l[0] < 0 || l[0] > 1<<32-1 {
					return syscall.EINVAL
				}
				c.notsentLow.Store(int32(uint32(l[0])))
				return nil
			},
		},
		t.memEntry(),
		sysctl.Entry{
			Name: "net.ipv4.tcp_congestion_control",
			Get:  func() string { return t.congDflt.Load().name },
			Set: func(s string) error {
				ops := t.congByName(s)
				if ops == nil {
					return syscall.ENOENT
				}
				t.congDflt.Store(ops)
				return nil
			},
		},
		sysctl.Const("net.ipv4.tcp_available_ulp", func() string { return "" }),
		sysctl.Const("net.ipv4.tcp_ehash_entries", func() string { return "0" }), // it grows
		sysctl.Const("net.ipv4.tcp_child_ehash_entries", func() string { return "0" }),
		sysctl.Const("net.ipv4.tcp_available_congestion_control", t.congNames),
		sysctl.Const("net.ipv4.tcp_allowed_congestion_control", t.congNames),
	}
	for _, s := range c.ints() {
		l = append(l, sysctl.Int("net.ipv4."+s.name, s.v, s.least, s.most))
	}
	return l
}

func (t *TCP) congByName(name string) *congOps {
	for _, o := range t.cong {
		if o.name == name {
			return o
		}
	}
	return nil
}

func (t *TCP) congNames() string {
	var l []string
	for _, o := range t.cong {
		l = append(l, o.name)
	}
	return strings.Join(l, " ")
}
