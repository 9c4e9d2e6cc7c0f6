package ipconfig

import (
	"net/netip"
	"strings"
	"testing"

	"barewire/inet"
	"barewire/napi"
	"barewire/napi/napitest"
)

func TestParse_valid_read(t *testing.T) {
	a := netip.MustParseAddr
	for _, c := range []struct {
		in   string
		want Config
	}{
		{"192.0.2.2::192.0.2.1:255.255.255.0::eth0:off", Config{Client: a("192.0.2.2"), Gateway: a("192.0.2.1"), Bits: 24, Device: "eth0", Auto: Off}},
		{"10.1.2.3", Config{Client: a("10.1.2.3"), Bits: 8}},
		{"172.16.0.9:", Config{Client: a("172.16.0.9"), Bits: 16}},
		{"192.168.1.7:::255.255.255.254", Config{Client: a("192.168.1.7"), Bits: 31}},
		{"10.0.2.15:10.0.2.2:10.0.2.2:255.255.255.0:box:eth1:none:10.0.2.3:8.8.8.8:1.2.3.4:1.2.3.5", Config{
			Client: a("10.0.2.15"), Server: a("10.0.2.2"), Gateway: a("10.0.2.2"), Bits: 24, Hostname: "box", Device: "eth1", Auto: Off,
			DNS: [2]netip.Addr{a("10.0.2.3"), a("8.8.8.8")}, NTP: [2]netip.Addr{a("1.2.3.4"), a("1.2.3.5")}}},
		{"dhcp", Config{Auto: DHCP}},
		{"on", Config{Auto: Any}},
		{"any", Config{Auto: Any}},
		{"off", Config{Auto: Off}},
		{"none", Config{Auto: Off}},
		{":::::eth0:dhcp", Config{Device: "eth0", Auto: DHCP}},
		{"", Config{}},
	} {
		got, err := Parse(c.in)
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
}

func TestParse_nonsense_namesTheField(t *testing.T) {
	for in, want := range map[string]string{
		"yes":                                   "client address",
		"192.0.2.2::192.0.3.1:255.255.255.0":    "gateway 192.0.3.1 is not another host",
		"192.0.2.2::192.0.2.2:255.255.255.0":    "gateway 192.0.2.2 is not another host",
		"192.0.2.2:::255.0.255.0":               "netmask",
		"192.0.2.2:::0.0.0.0":                   "netmask",
		"192.0.2.2:::24":                        "netmask",
		"192.0.2.2::::::maybe":                  "autoconf",
		"192.0.2.2:::::a-name-that-is-too-long": "device name",
		"224.0.0.1":                             "not a host's",
		"0.0.0.0":                               "not a host's",
		"127.0.0.1":                             "not a host's",
		"::192.0.2.1":                           "without a client",
		"fe80::1:2:3:4:5:6:7:8:9:a":             "IPv6",
		"192.0.2.2:::::::x":                     "DNS",
		strings.Repeat("1", 2000):               "longer",
	} {
		if c, err := Parse(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.40q) = %+v, %v; want an error about %q", in, c, err, want)
		}
	}
}

func newStack(t *testing.T) *inet.Net {
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inet.New(inet.Config{Net: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	for range 2 {
		d := napi.AllocNetdev("eth%d", napitest.Sink{}, 1)
		napi.EtherSetup(d)
		if err := n.RegisterNetdev(d); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

func TestApply_static_configuresTheDevice(t *testing.T) {
	n := newStack(t)
	c, err := Parse("192.0.2.2::192.0.2.1:255.255.255.0::eth1:off")
	if err != nil {
		t.Fatal(err)
	}
	dev, err := c.Apply(n)
	if err != nil || dev.Name() != "eth1" || !dev.IsUp() {
		t.Fatalf("Apply = %v, %v", dev, err)
	}
	found := false
	for _, a := range n.Addrs() {
		found = found || a.Dev == dev && a.Prefix.String() == "192.0.2.2/24" && a.Broadcast.String() == "192.0.2.255"
	}
	if !found {
		t.Errorf("addresses %+v", n.Addrs())
	}
	found = false
	for _, r := range n.Routes() {
		found = found || r.Dst.Bits() == 0 && r.Gateway.String() == "192.0.2.1" && r.Dev == dev
	}
	if !found {
		t.Errorf("routes %+v", n.Routes())
	}
}

func TestApply_noDeviceNamed_firstIsTaken(t *testing.T) {
	n := newStack(t)
	c, _ := Parse("10.9.8.7")
	dev, err := c.Apply(n)
	if err != nil || dev.Name() != "eth0" {
		t.Fatalf("Apply = %v, %v; want eth0", dev, err)
	}
}

func TestApply_impossible_says(t *testing.T) {
	n := newStack(t)
	c, _ := Parse("10.9.8.7:::::eth7:off")
	if _, err := c.Apply(n); err == nil || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("unknown device: %v", err)
	}
}

func TestDynamic_addressFromTheNetwork(t *testing.T) {
	for in, want := range map[string]bool{
		"dhcp": true, "on": true, "any": true, ":::::eth1:dhcp": true, ":::::eth1": true, "192.0.2.2::::::dhcp": true,
		"off": false, "none": false, ":::::eth1:off": false, "192.0.2.2": false, "192.0.2.2::::::any": false,
	} {
		if c, err := Parse(in); err != nil || c.Dynamic() != want {
			t.Errorf("ip=%s: Dynamic %v, %v; want %v", in, c.Dynamic(), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"192.0.2.2::192.0.2.1:255.255.255.0::eth0:off", "dhcp", ":::::eth0:any", "1.2.3.4:::255.255.255.255:::", ":", "1.2.3.4::1.2.3.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse(s)
		if err != nil {
			if c != (Config{}) {
				t.Errorf("Parse(%q) returned values with an error", s)
			}
			return
		}
		if c.Client.IsValid() != (c.Bits != 0) || c.Bits > 32 {
			t.Errorf("Parse(%q): client %v with %d bits", s, c.Client, c.Bits)
		}
		if c.Gateway.IsValid() && !netip.PrefixFrom(c.Client, c.Bits).Contains(c.Gateway) {
			t.Errorf("Parse(%q): gateway off the network", s)
		}
	})
}
