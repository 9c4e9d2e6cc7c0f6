// Router is a small network's way out: it forwards, with the rules of an
// iptables-save file, gives the hosts addresses by DHCP, answers their DNS
// questions, keeps the clock and sends its messages to a syslog server.
//
//	router [-wan eth0] [-lan eth1] [-rules file] [flags]
//
// Everything is an ordinary Linux program's doing: forwarding is a sysctl, the
// LAN's address goes in by netlink, DHCP and DNS are sockets. The rules go to
// the kernel, whose own the commands iptables, iptables-save, iptables-restore
// and ipset are; they and conntrack can be typed on the console too ("help" lists
// all).
//
// The flags may also stand in /etc/router.conf, or in a file that the host gives
// with -fw_cfg name=opt/org.barewire/router,file=...: one to a line, without the
// dash. Rules and sets are looked for in opt/org.barewire/rules and .../sets,
// then in /etc/iptables/rules.v4 and /etc/ipset.conf. Without rules the LAN is
// masqueraded behind the WAN's address and protected by a stateful filter. When
// the rules cannot be loaded, nothing is forwarded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"barewire/apps/internal/control"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &router{out: os.Stdout, kernel: control.Do, stop: stop}
	if err := r.run(ctx, os.Args[1:], os.Stdin); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "router:", err)
		os.Exit(1)
	}
}

// router is what runs.
type router struct {
	config
	kernel command
	stop   func()
	leases *leases

	mu     sync.Mutex // of out
	out    io.Writer
	syslog *syslogger
}

// log says something on the console and to the syslog server.
func (r *router) log(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.mu.Lock()
	fmt.Fprintln(r.out, "router:", line)
	r.mu.Unlock()
	if r.syslog != nil {
		r.syslog.send(facilityDaemon, severityInfo, "router", line)
	}
}

// run routes until ctx ends.
func (r *router) run(ctx context.Context, args []string, in io.Reader) error {
	if err := r.parse(args, r.out); err != nil {
		return err
	}
	self, err := r.setUp()
	if err != nil {
		return err
	}
	from, err := r.firewall(r.kernel)
	if err != nil {
		return fmt.Errorf("%w; nothing is forwarded", err)
	}
	if err := forward(); err != nil {
		return err
	}
	if r.Syslog != "" {
		if r.syslog, err = newSyslogger(r.Syslog); err != nil {
			return err
		}
		go func() {
			if err := r.syslog.kernel(ctx); err != nil {
				r.log("%v", err)
			}
		}()
	}
	if !r.NoDHCP {
		first, last, err := dhcpRange(r.Range, self)
		if err != nil {
			return err
		}
		r.leases = newLeases(first, last, self.Addr(), time.Now)
		d := &dhcpServer{self: self, domain: r.Domain, leases: r.leases, log: r.log}
		s, err := d.listen(r.LAN)
		if err != nil {
			return err
		}
		defer s.Close()
		r.log("DHCP gives %v to %v on %s", first, last, r.LAN)
	}
	if !r.NoDNS {
		f := newForwarder(r.Domain, self, r.leases, servers(r.Upstream), time.Now, r.log)
		if err := f.listen(ctx, net.JoinHostPort(self.Addr().String(), "53")); err != nil {
			return err
		}
	}
	if r.NTP != "" {
		go keepTimeBy(ctx, r.NTP, r.log)
	}
	r.log("from %s (%v) to %s by %s", r.LAN, self, r.WAN, from)
	if !r.NoShell {
		s, err := newShell(r, r.out)
		if err != nil {
			return err
		}
		go s.serve(ctx, in)
	}
	<-ctx.Done()
	return nil
}

// servers returns the function that knows the DNS servers above: those that were
// given, else those of resolv.conf, which changes with the WAN's lease.
func servers(given string) func() []string {
	if given != "" {
		var l []string
		for _, s := range strings.Split(given, ",") {
			if _, err := netip.ParseAddrPort(s); err != nil {
				s = net.JoinHostPort(s, "53")
			}
			l = append(l, s)
		}
		return func() []string { return l }
	}
	return func() []string {
		c, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil
		}
		var l []string
		for _, s := range c.Servers {
			l = append(l, net.JoinHostPort(s, c.Port))
		}
		return l
	}
}
