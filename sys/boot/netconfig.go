package boot

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"barewire/inet/ipconfig"
	"barewire/napi"
	"barewire/sys/lease"
)

// example is an ip= that works in QEMU's user network.
const example = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off"

// configure gives interfaces their addresses (Linux: ip_auto_config): each ip=
// to the device it names, and without any the first device by DHCP.
func (b *booting) configure() {
	values := b.line.All("ip")
	if len(values) == 0 {
		b.dhcpDefault()
		return
	}
	for _, value := range values {
		if err := b.configureOne(value); err != nil {
			b.warn("%v", err)
		}
	}
}

// dhcpDefault is what happens without ip=. The program does not wait: it may
// need no network.
func (b *booting) dhcpDefault() {
	for i, dev := range b.devices {
		if i == 0 && b.m.DHCP {
			b.DHCP = append(b.DHCP, dev)
			continue
		}
		b.say("%s: no address; the kernel parameter ip= gives one, as in %s", dev.Name(), example)
	}
}

func (b *booting) configureOne(value string) error {
	c, err := ipconfig.Parse(value)
	if err != nil {
		return fmt.Errorf("%w; want ip=client::gateway:netmask:hostname:device:off, as in %s", err, example)
	}
	if c.Hostname != "" {
		b.hostname = c.Hostname
	}
	b.servers = append(b.servers, c.Servers()...)
	if c.Auto == ipconfig.Off && !c.Client.IsValid() {
		return nil
	}
	if len(b.devices) == 0 {
		return fmt.Errorf("ip=%s: there is no network device", value)
	}
	if c.Dynamic() {
		if !b.m.DHCP {
			return fmt.Errorf("ip=%s: this image was built without the DHCP client; give the address: ip=<client>::<gateway>:<netmask>::<device>:off", value)
		}
		dev, err := c.FindDevice(b.Net)
		if err != nil {
			return err
		}
		for _, d := range b.DHCP {
			if d == dev {
				return nil
			}
		}
		b.DHCP, b.DHCPWait = append(b.DHCP, dev), true
		return nil
	}
	dev, err := c.Apply(b.Inet)
	if err != nil {
		return err
	}
	line := dev.Name() + ": " + netip.PrefixFrom(c.Client, c.Bits).String()
	if c.Gateway.IsValid() {
		line += ", gateway " + c.Gateway.String()
	}
	b.sayLine(line)
	return nil
}

// resolver writes what names are resolved with. A file that the initial file
// system brought stays when there is nothing to say.
func (b *Booted) resolver(dns []netip.Addr, search []string) error {
	if len(dns)+len(search) == 0 {
		return nil
	}
	return b.Kernel.WriteFile("/etc/resolv.conf", lease.ResolvConf(dns, search), 0o644)
}

// SetLease makes dev's configuration that of lease to instead of from; nil is
// none. The resolver's file follows the newest lease, and the host's name too
// when it has none yet.
func (b *Booted) SetLease(dev *napi.NetDevice, from, to *lease.Lease) error {
	err := setLease(b.Inet, dev, from, to)
	if to == nil {
		return err
	}
	if to.Hostname != "" && b.Kernel.Hostname() == "(none)" {
		err = errors.Join(err, b.Kernel.WriteFile("/proc/sys/kernel/hostname", []byte(to.Hostname), 0o644))
	}
	return errors.Join(err, b.resolver(to.DNS, to.Search))
}

// sysctls sets what sysctl.NAME=VALUE says, last of all as Linux does, when
// every device is there to be set (Linux: do_sysctl_args).
func (b *booting) sysctls() {
	b.line.Sysctls(func(name, value string) {
		if b.Net == nil {
			b.warn("sysctl.%s=%s: there is no network", name, value)
			return
		}
		table := b.Net.Sysctl()
		switch err := table.Set(name, value); err {
		case nil:
		case syscall.ENOENT:
			b.warn("sysctl.%s=%s: there is no such setting", name, value)
		case syscall.EACCES:
			b.warn("sysctl.%s=%s: the setting is read-only", name, value)
		case syscall.EINVAL:
			now, _ := table.Get(name)
			b.warn("sysctl.%s=%s: the setting does not take this value; it stays %q", name, value, now)
		default:
			b.warn("sysctl.%s=%s: %v", name, value, err)
		}
	})
}
