package ip

import (
	"sync/atomic"

	"barewire/napi/sysctl"
)

// DevConf is the settings of one device, net.ipv4.conf.NAME.* (Linux: struct
// ipv4_devconf). Every namespace has two more of them: "all", which is combined
// with the device's own by the rule of each setting, and "default", which a new
// device starts from. The meanings are those of Linux's ip-sysctl.
type DevConf struct {
	Forwarding           atomic.Int32
	McForwarding         atomic.Int32
	BcForwarding         atomic.Int32
	ProxyARP             atomic.Int32
	ProxyARPPVLAN        atomic.Int32
	AcceptRedirects      atomic.Int32
	SecureRedirects      atomic.Int32
	SendRedirects        atomic.Int32
	SharedMedia          atomic.Int32
	RPFilter             atomic.Int32
	SrcValidMark         atomic.Int32
	AcceptSourceRoute    atomic.Int32
	AcceptLocal          atomic.Int32
	RouteLocalnet        atomic.Int32
	BootpRelay           atomic.Int32
	LogMartians          atomic.Int32
	Tag                  atomic.Int32
	MediumID             atomic.Int32
	ArpFilter            atomic.Int32
	ArpAnnounce          atomic.Int32
	ArpIgnore            atomic.Int32
	ArpAccept            atomic.Int32
	ArpNotify            atomic.Int32
	ArpEvictNoCarrier    atomic.Int32
	DropGratuitousARP    atomic.Int32
	PromoteSecondaries   atomic.Int32
	ForceIGMPVersion     atomic.Int32
	IGMPv2ReportInterval atomic.Int32 // ms
	IGMPv3ReportInterval atomic.Int32 // ms
	IgnoreLinkdown       atomic.Int32
	DropUnicastInL2Mcast atomic.Int32

	// written has a bit per field of fields that was set for this device: those
	// no longer follow "default" (Linux: ipv4_devconf.state).
	written atomic.Uint64
}

// setDefaults are Linux's, those that "all" and "default" share (ipv4_devconf,
// ipv4_devconf_dflt).
func (c *DevConf) setDefaults() {
	c.AcceptRedirects.Store(1)
	c.SecureRedirects.Store(1)
	c.SendRedirects.Store(1)
	c.SharedMedia.Store(1)
	c.ArpEvictNoCarrier.Store(1)
	c.IGMPv2ReportInterval.Store(10000)
	c.IGMPv3ReportInterval.Store(1000)
}

// copyFrom gives a new device the settings of "default".
func (c *DevConf) copyFrom(d *DevConf) {
	from := d.fields()
	for i, f := range c.fields() {
		f.v.Store(from[i].v.Load())
	}
	c.written.Store(d.written.Load())
}

// settle ends following "default": a device that got an address is configured
// (Linux: ipv4_devconf_setall).
func (c *DevConf) settle() { c.written.Store(1<<len(c.fields()) - 1) }

type confField struct {
	name     string
	v        *atomic.Int32
	min, max int32
}

// fields lists the settings by the names of their files.
func (c *DevConf) fields() []confField {
	const most = 1<<31 - 1
	return []confField{
		{"forwarding", &c.Forwarding, -most, most},
		{"bc_forwarding", &c.BcForwarding, -most, most},
		{"proxy_arp", &c.ProxyARP, -most, most},
		{"proxy_arp_pvlan", &c.ProxyARPPVLAN, -most, most},
		{"accept_redirects", &c.AcceptRedirects, -most, most},
		{"secure_redirects", &c.SecureRedirects, -most, most},
		{"send_redirects", &c.SendRedirects, -most, most},
		{"shared_media", &c.SharedMedia, -most, most},
		{"rp_filter", &c.RPFilter, -most, most},
		{"src_valid_mark", &c.SrcValidMark, -most, most},
		{"accept_source_route", &c.AcceptSourceRoute, -most, most},
		{"accept_local", &c.AcceptLocal, -most, most},
		{"route_localnet", &c.RouteLocalnet, -most, most},
		{"bootp_relay", &c.BootpRelay, -most, most},
		{"log_martians", &c.LogMartians, -most, most},
		{"tag", &c.Tag, -most, most},
		{"medium_id", &c.MediumID, -most, most},
		{"arp_filter", &c.ArpFilter, -most, most},
		{"arp_announce", &c.ArpAnnounce, -most, most},
		{"arp_ignore", &c.ArpIgnore, -most, most},
		{"arp_accept", &c.ArpAccept, -most, most},
		{"arp_notify", &c.ArpNotify, -most, most},
		{"arp_evict_nocarrier", &c.ArpEvictNoCarrier, -most, most},
		{"drop_gratuitous_arp", &c.DropGratuitousARP, -most, most},
		{"promote_secondaries", &c.PromoteSecondaries, -most, most},
		{"force_igmp_version", &c.ForceIGMPVersion, -most, most},
		{"igmpv2_unsolicited_report_interval", &c.IGMPv2ReportInterval, -most, most},
		{"igmpv3_unsolicited_report_interval", &c.IGMPv3ReportInterval, -most, most},
		{"ignore_routes_with_linkdown", &c.IgnoreLinkdown, -most, most},
		{"drop_unicast_in_l2_multicast", &c.DropUnicastInL2Mcast, -most, most},
	}
}

// registerConf enters the settings of a device, of "all" or of "default".
func (n *Net) registerConf(c *DevConf, name string) {
	n.Dev.Sysctl().RegisterFunc(func() []sysctl.Entry { return n.confEntries(c, name) })
}

// confEntries are the sysctls of c; name is the device's, "all" or "default".
func (n *Net) confEntries(c *DevConf, name string) []sysctl.Entry {
	prefix := "net.ipv4.conf." + name + "."
	l := []sysctl.Entry{sysctl.Const(prefix+"mc_forwarding", sysctl.Int("", &c.McForwarding, 0, 1).Get)}
	for i, f := range c.fields() {
		e := sysctl.Int(prefix+f.name, f.v, f.min, f.max)
		write := e.Set
		e.Set = func(v string) error {
			if err := write(v); err != nil {
				return err
			}
			n.confWritten(c, i)
			return nil
		}
		l = append(l, e)
	}
	return l
}

// confWritten follows the writing of a field (Linux: devinet_conf_proc). What is
// written to "default" goes to the devices that never got a value of their own
// too, but for forwarding, which has its own switch.
func (n *Net) confWritten(c *DevConf, field int) {
	bit := uint64(1) << field
	c.written.Or(bit)
	if d := &n.ConfDefault; c == d && d.fields()[field].v != &d.Forwarding {
		for _, in := range *n.indevs.Load() {
			if in != nil && in.Conf.written.Load()&bit == 0 {
				in.Conf.fields()[field].v.Store(d.fields()[field].v.Load())
			}
		}
	}
	n.FIB.Bump() // decisions that were kept may be others now
}

// Combinations of "all" and a device's own setting (Linux: IN_DEV_ORCONF,
// IN_DEV_ANDCONF, IN_DEV_MAXCONF).

// OrConf reports whether a setting is on for all devices or for this one.
func OrConf(all, dev *atomic.Int32) bool { return all.Load() != 0 || dev.Load() != 0 }

// AndConf reports whether a setting is on for all devices and for this one.
func AndConf(all, dev *atomic.Int32) bool { return all.Load() != 0 && dev.Load() != 0 }

// MaxConf returns the greater of the two.
func MaxConf(all, dev *atomic.Int32) int32 { return max(all.Load(), dev.Load()) }
