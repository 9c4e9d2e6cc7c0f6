package lease

import (
	"net/netip"
	"testing"
	"time"
)

func TestResolvConf_asResolversReadIt(t *testing.T) {
	addrs := func(s ...string) (l []netip.Addr) {
		for _, a := range s {
			l = append(l, netip.MustParseAddr(a))
		}
		return l
	}
	for _, c := range []struct {
		dns    []netip.Addr
		search []string
		want   string
	}{
		{nil, nil, ""},
		{addrs("192.0.2.53"), nil, "nameserver 192.0.2.53\n"},
		{nil, []string{"example"}, "search example\n"},
		{addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"), []string{"a.example", "example"}, // the fourth is never asked
			"search a.example example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"},
	} {
		if got := string(ResolvConf(c.dns, c.search)); got != c.want {
			t.Errorf("%v, %v: %q, want %q", c.dns, c.search, got, c.want)
		}
	}
}

func TestLease_oneLine(t *testing.T) {
	l := Lease{Addr: netip.MustParsePrefix("10.0.2.15/24"), Server: netip.MustParseAddr("10.0.2.2"), Time: 24 * time.Hour}
	if got, want := l.String(), "10.0.2.15/24 from 10.0.2.2 by DHCP, lease 86400 s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	l.Time = 0
	l.Routes = []Route{{netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.0.2.9")}, {netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.2.1")}}
	if got, want := l.String(), "10.0.2.15/24 from 10.0.2.2 by DHCP, gateway 10.0.2.1, lease without end"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
