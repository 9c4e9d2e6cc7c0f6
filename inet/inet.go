package inet

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"barewire/inet/arp"
	"barewire/inet/fib"
	"barewire/inet/icmp"
	"barewire/inet/igmp"
	"barewire/inet/ip"
	"barewire/inet/ipmr"
	"barewire/inet/mib"
	"barewire/inet/neigh"
	"barewire/inet/packet"
	"barewire/inet/ping"
	"barewire/inet/raw"
	"barewire/inet/sock"
	"barewire/inet/tcp"
	"barewire/inet/udp"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// Config is what an Internet family is made of.
type Config struct {
	// Net is the device layer it works on. Required.
	Net *napi.Net
	// Neigh are the settings of the neighbour table; zero means Linux's
	// defaults, with the waiting packets of all neighbours bounded to 8 MiB or
	// an eighth of the page pool.
	Neigh neigh.Params
	// UDPMemory bounds the packet memory of all UDP receive queues, in bytes;
	// 0 means 24 MiB or half of the page pool, whichever is less.
	UDPMemory int64
	// TCPMemory bounds the packet memory of all TCP queues, in bytes; 0 means
	// half of the page pool.
	TCPMemory int64
	// FragMemory bounds the memory of fragments that wait for others, in
	// bytes; 0 means 4 MiB, as in Linux, or an eighth of the page pool.
	FragMemory int64
	// NoLoopback leaves out the loopback device, for a caller that brings its
	// own.
	NoLoopback bool
}

// Net is the Internet family of one namespace.
type Net struct {
	dev      *napi.Net
	mib      *mib.MIB
	ip       *ip.Net
	arp      *arp.ARP
	icmp     *icmp.ICMP
	igmp     *igmp.IGMP
	ipmr     *ipmr.Router
	nf       *Filter
	udp      *udp.UDP
	lite     *udp.UDP
	tcp      *tcp.TCP
	raw      *raw.Raw
	ping     *ping.Ping
	packet   *packet.Packet
	families sock.Families
	lo       *napi.NetDevice
	remove   []func()
}

// New wires the family together in the order of Linux's inet_init: socket
// family, protocols, ARP, IP, UDP, ICMP, and last the packet handlers, so that
// no packet meets a half-made stack. It brings up the loopback device with
// 127.0.0.1/8.
func New(c Config) (*Net, error) {
	if c.Net == nil {
		return nil, errors.New("inet: a device layer is required")
	}
	pool := c.Net.SKB().Pool()
	memory := int64(pool.MaxPages()) * int64(pool.PageSize())
	if c.Neigh == (neigh.Params{}) {
		c.Neigh = neigh.DefaultParams()
		c.Neigh.TotalQueueBytes = min(c.Neigh.TotalQueueBytes, memory/8)
	}
	if c.UDPMemory == 0 {
		c.UDPMemory = min(24<<20, memory/2)
	}
	if c.TCPMemory == 0 {
		c.TCPMemory = memory / 2
	}
	if c.FragMemory == 0 {
		c.FragMemory = min(ip.DefaultFragMemory, memory/8)
	}
	n := &Net{dev: c.Net, mib: &mib.MIB{}}
	n.families.DevIoctl = n.DevIoctl
	n.ip = ip.NewNet(c.Net, n.mib, c.FragMemory)
	var err error
	if n.icmp, err = icmp.New(n.ip); err != nil {
		return nil, fmt.Errorf("inet: icmp: %w", err)
	}
	if n.nf, err = newFilter(n.ip); err != nil {
		return nil, fmt.Errorf("inet: netfilter: %w", err)
	}
	if n.igmp, err = igmp.New(n.ip); err != nil {
		return nil, fmt.Errorf("inet: igmp: %w", err)
	}
	if n.ipmr, err = ipmr.New(n.ip); err != nil {
		return nil, fmt.Errorf("inet: %w", err)
	}
	if n.udp, err = udp.New(n.ip, c.UDPMemory); err != nil {
		return nil, fmt.Errorf("inet: udp: %w", err)
	}
	if n.lite, err = n.udp.NewLite(); err != nil {
		return nil, fmt.Errorf("inet: udplite: %w", err)
	}
	if n.tcp, err = tcp.New(n.ip, tcp.Config{Memory: c.TCPMemory}); err != nil {
		return nil, fmt.Errorf("inet: tcp: %w", err)
	}
	n.nf.SetSockets(n.tcp, n.udp)
	n.raw = raw.New(n.ip, n.udp.Memory())
	n.ping = ping.New(n.ip, n.udp.Memory())
	c.Net.Proc().Register("unix", showUnix)
	n.ip.AddSockstat(ip.SockstatSockets, func(b []byte) []byte {
		return fmt.Appendf(b, "sockets: used %d\n", n.ip.Limits.InUse())
	})
	if err = n.families.Register(syscall.AF_INET, n.create); err != nil {
		return nil, fmt.Errorf("inet: family: %w", err)
	}
	n.packet = packet.New(c.Net, n.ip.Limits, 0)
	n.remove = append(n.remove, n.packet.Close)
	if err = n.families.Register(syscall.AF_PACKET, n.packet.Create); err != nil {
		return nil, fmt.Errorf("inet: family: %w", err)
	}
	n.arp = arp.New(n.ip, c.Neigh)
	n.remove = append(n.remove, c.Net.RegisterNotifier(n.devEvent),
		c.Net.RegisterNotifier(n.arp.Event),
		c.Net.RegisterNotifier(n.igmp.Event),
		c.Net.RegisterNotifier(n.ipmr.Event))
	n.remove = append(n.remove,
		c.Net.AddPack(header.EthPARP, nil, n.arp.Rcv),
		c.Net.AddPack(header.EthPIP, nil, n.ip.Rcv))
	if !c.NoLoopback {
		if err = n.addLoopback(); err != nil {
			n.Close()
			return nil, fmt.Errorf("inet: loopback: %w", err)
		}
	}
	return n, nil
}

// Close ends the family: no packet is taken any more, what waits is dropped.
// Sockets must have been released.
func (n *Net) Close() {
	for _, f := range n.remove {
		f()
	}
	n.remove = nil
	if n.lo != nil {
		n.dev.UnregisterNetdev(n.lo)
	}
	n.dev.Synchronize()
	n.nf.Close()
	n.ipmr.Close()
	n.tcp.Close()
	n.igmp.Close()
	n.arp.Close()
	n.ip.Neigh.Close()
	n.ip.Close()
}

// devEvent follows the devices (Linux: inetdev_event, arp_netdev_event).
func (n *Net) devEvent(ev napi.Event, dev *napi.NetDevice) {
	switch ev {
	case napi.EventRegister:
		n.ip.AddDevice(dev)
	case napi.EventUnregister:
		n.ip.RemoveDevice(dev)
	case napi.EventUp:
		n.ip.AddDevice(dev)
		if dev.Flags()&napi.IFF_LOOPBACK != 0 {
			// EEXIST when it goes up again.
			n.ip.AddAddr(dev, netip.PrefixFrom(header.AddrLoopback.Netip(), 8))
		}
	}
	n.ip.DevEvent(ev, dev)
}

// SockCreate makes a socket (Linux: sock_create). typ is without SOCK_NONBLOCK
// and SOCK_CLOEXEC. Errors are syscall.Errno as socket(2) gives them:
// EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EINVAL.
func (n *Net) SockCreate(family, typ, protocol int) (*sock.Socket, error) {
	return n.families.Create(family, typ, protocol)
}

// SockRegister enters another address family, netlink or packet or unix, in
// the namespace's table (Linux: sock_register).
func (n *Net) SockRegister(family int, create sock.CreateFunc) error {
	return n.families.Register(family, create)
}

// Dev returns the device layer.
func (n *Net) Dev() *napi.Net { return n.dev }

// IP returns the IP layer: hooks, routes, addresses, neighbours.
func (n *Net) IP() *ip.Net { return n.ip }

// IGMP returns the membership of groups.
func (n *Net) IGMP() *igmp.IGMP { return n.igmp }

// MRoute returns the multicast routing.
func (n *Net) MRoute() *ipmr.Router { return n.ipmr }

// Hooks returns the netfilter hook points.
func (n *Net) Hooks() *netfilter.Hooks { return &n.ip.Hooks }

// NF returns the packet filter.
func (n *Net) NF() *Filter { return n.nf }

// MIB returns the counters.
func (n *Net) MIB() *mib.MIB { return n.mib }

// Drops returns how many packets of the namespace were dropped for a reason.
func (n *Net) Drops(r skb.Reason) uint64 { return n.dev.SKB().Drops(r) }

// SNMP returns the counters as the text of /proc/net/snmp.
func (n *Net) SNMP() []byte { return n.ip.SNMP(nil) }

// Netstat returns the counters as the text of /proc/net/netstat.
func (n *Net) Netstat() []byte { return n.ip.Netstat(nil) }

// FlushTCPMetrics forgets what TCP knows of its peers from connections that are
// over, Fast Open cookies included (ip tcp_metrics flush all).
func (n *Net) FlushTCPMetrics() { n.tcp.FlushMetrics() }

// AddAddr gives dev an IPv4 address with its subnet and the routes that follow
// (ip address add). EINVAL, EEXIST, ENODEV.
func (n *Net) AddAddr(dev *napi.NetDevice, p netip.Prefix) error { return n.ip.AddAddr(dev, p) }

// DelAddr removes an address (ip address del). EADDRNOTAVAIL when it is not
// there.
func (n *Net) DelAddr(dev *napi.NetDevice, p netip.Prefix) error { return n.ip.DelAddr(dev, p) }

// AddRoute adds a route to dst through gw; the zero gw means that dst is on the
// link of dev. dev may be nil with a gateway. ENETUNREACH when the gateway is
// on no link.
func (n *Net) AddRoute(dst netip.Prefix, gw netip.Addr, dev *napi.NetDevice) error {
	return n.ip.AddRoute(dst, gw, dev, netip.Addr{}, 0)
}

// AddDefaultRoute adds the route to everywhere through gw. dev may be nil.
func (n *Net) AddDefaultRoute(gw netip.Addr, dev *napi.NetDevice) error {
	return n.AddRoute(netip.PrefixFrom(netip.IPv4Unspecified(), 0), gw, dev)
}

// Addr is one configured address.
type Addr struct {
	Dev       *napi.NetDevice
	Prefix    netip.Prefix // address and prefix length
	Broadcast netip.Addr   // the zero Addr if there is none
	Secondary bool
}

// Addrs lists the addresses of all devices by ifindex.
func (n *Net) Addrs() []Addr {
	var out []Addr
	for _, dev := range n.dev.Devs() {
		d := n.ip.InDev(dev.Ifindex())
		if d == nil {
			continue
		}
		for _, a := range d.Addrs() {
			e := Addr{Dev: dev, Prefix: netip.PrefixFrom(a.Local.Netip(), a.Bits), Secondary: a.Secondary}
			if a.Broadcast != 0 {
				e.Broadcast = a.Broadcast.Netip()
			}
			out = append(out, e)
		}
	}
	return out
}

// Route is one configured route.
type Route struct {
	Dst     netip.Prefix
	Gateway netip.Addr // the zero Addr if the destination is on the link
	PrefSrc netip.Addr // the zero Addr if there is none
	Dev     *napi.NetDevice
	Table   uint32 // fib.TableMain, fib.TableLocal or another
	Type    fib.Type
	Metric  uint32
}

// Routes lists all routes, those of the local table first.
func (n *Net) Routes() []Route {
	var out []Route
	for _, r := range n.ip.FIB.Routes() {
		e := Route{Dst: netip.PrefixFrom(r.Dst.Netip(), r.Bits), Dev: r.Dev(), Table: r.Table, Type: r.Type, Metric: r.Priority}
		if gw := r.Gateway(); gw != 0 {
			e.Gateway = gw.Netip()
		}
		if r.PrefSrc != 0 {
			e.PrefSrc = r.PrefSrc.Netip()
		}
		out = append(out, e)
	}
	return out
}

// Announce tells the link all addresses of dev by gratuitous ARP, as a device
// asks for after it was moved (VIRTIO_NET_F_GUEST_ANNOUNCE).
func (n *Net) Announce(dev *napi.NetDevice) { n.arp.Announce(dev) }

// ProbeAddr asks whether somebody else on the link of dev has the address (RFC
// 5227; it takes 800 ms). EADDRINUSE if so.
func (n *Net) ProbeAddr(dev *napi.NetDevice, a netip.Addr) error {
	addr, ok := header.AddrFrom(a)
	if !ok {
		return syscall.EINVAL
	}
	return n.arp.Probe(dev, addr)
}

// Neighbours lists the neighbour table, oldest entry first.
func (n *Net) Neighbours() []neigh.Entry { return n.ip.Neigh.Entries() }
