package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// told is a kernel that writes down what it was told.
type told struct {
	calls []string
	fail  string
}

func (k *told) command(argv []string, stdin []byte) (int, []byte, []byte, error) {
	call := strings.Join(argv, " ")
	if stdin != nil {
		call += " <<< " + string(stdin)
	}
	k.calls = append(k.calls, call)
	if k.fail != "" && strings.Contains(call, k.fail) {
		return 2, nil, []byte("line 3: no\n"), nil
	}
	return 0, []byte("done\n"), nil, nil
}

func TestShell_commands(t *testing.T) {
	k := &told{fail: "-j NOWHERE"}
	rules := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(rules, []byte("*filter\nCOMMIT\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	typed := strings.Join([]string{
		`iptables -A INPUT -m comment --comment "two words" -j ACCEPT`,
		`for p in 80 443; do`,
		`iptables -A INPUT -p tcp --dport $p -j ACCEPT; done`,
		`iptables -A INPUT -j NOWHERE || echo "status $?"`,
		`iptables-restore < ` + rules,
		`iptables-restore`,
		`iptables-save | cat > ` + rules,
		`reboot`,
		`help`,
		`echo $(`,
		`)`,
		`if`,
	}, "\n") + "\n"
	var out bytes.Buffer
	r := &router{kernel: k.command, out: &out}
	s, err := newShell(r, &out)
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t.Context(), strings.NewReader(typed))
	want := []string{
		"iptables -A INPUT -m comment --comment two words -j ACCEPT",
		"iptables -A INPUT -p tcp --dport 80 -j ACCEPT",
		"iptables -A INPUT -p tcp --dport 443 -j ACCEPT",
		"iptables -A INPUT -j NOWHERE",
		"iptables-restore <<< *filter\nCOMMIT\n",
		"iptables-save",
	}
	if got := strings.Join(k.calls, "|"); got != strings.Join(want, "|") {
		t.Errorf("the kernel was told %q", k.calls)
	}
	for _, want := range []string{"line 3: no\nstatus 2\n", "iptables-restore: give it a file", "reboot: not found; try help", "\nleases            the hosts the DHCP server knows\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	if b, err := os.ReadFile(rules); string(b) != "done\n" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestFirewall_sources(t *testing.T) {
	k := &told{}
	c := config{WAN: "eth0", LAN: "eth1"}
	from, err := c.firewall(k.command)
	if err != nil || from != "the built-in rules" || len(k.calls) != 1 ||
		!strings.Contains(k.calls[0], "-A FORWARD -i eth1 -o eth0 -j ACCEPT\n") || strings.ContainsAny(k.calls[0], "WL") && strings.Contains(k.calls[0], "LAN") {
		t.Errorf("%s, %v: %q", from, err, k.calls)
	}
	c.Rules = "/nowhere/rules"
	if _, err := c.firewall(k.command); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rules that are not there: %v", err)
	}
	c.Rules = ""
	k.fail = "MASQUERADE"
	if _, err := c.firewall(k.command); err == nil || !strings.Contains(err.Error(), "the built-in rules: line 3: no") {
		t.Errorf("rules that are refused: %v", err)
	}
}

func TestConfig_parse(t *testing.T) {
	var c config
	f := c.flags(io.Discard)
	if err := settings(f, "x", "# a router\nlan eth2 # the third\n no-dns\n\nno-shell false\naddress 10.1.0.1/16\n"); err != nil {
		t.Fatal(err)
	}
	if c.LAN != "eth2" || !c.NoDNS || c.NoShell || c.Address.String() != "10.1.0.1/16" {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		"lan eth2\ncolour red": `x:2: no setting is called "colour"`,
		"address 10.1.0.1":     "x:1: address:",
		"no-dns perhaps":       "x:1: no-dns:",
	} {
		if err := settings((&config{}).flags(io.Discard), "x", text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for args, want := range map[string]string{
		"-lan eth0":            "WAN and LAN are both eth0",
		"extra":                `"extra" is no flag`,
		"-address fe80::1/64":  "an IPv4 address is needed",
		"-address 10.0.0.1/33": "invalid value",
	} {
		if err := new(config).parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	for s, ok := range map[string]bool{"192.168.1.10-192.168.1.20": true, "192.168.1.20-192.168.1.10": false, "192.168.2.1-192.168.2.9": false, "x": false} {
		if _, _, err := dhcpRange(s, lan); (err == nil) != ok {
			t.Errorf("range %s: %v", s, err)
		}
	}
}

func TestConntrackFilter_lines(t *testing.T) {
	const line = "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.9 sport=2 dport=1 [ASSURED] mark=0 zone=0 use=2"
	for _, c := range []struct {
		f    conntrackFilter
		want bool
	}{
		{conntrackFilter{}, true},
		{conntrackFilter{proto: "tcp", src: "10.0.0.1", dst: "10.0.0.2", state: "ESTABLISHED"}, true},
		{conntrackFilter{proto: "udp"}, false},
		{conntrackFilter{dst: "10.0.0.9"}, false}, // the other direction's
		{conntrackFilter{state: "CLOSE"}, false},
	} {
		if c.f.matches(line) != c.want {
			t.Errorf("%+v", c.f)
		}
	}
	if (conntrackFilter{state: "X"}).matches("rubbish") {
		t.Error("rubbish")
	}
}

func TestKernelLine_severity(t *testing.T) {
	for line, want := range map[string]string{"<4>[    1.5] careful\n": "4[    1.5] careful", "plain": "6plain", "<x>y": "6<x>y"} {
		if n, s := kernelLine(line); string(rune('0'+n))+s != want {
			t.Errorf("%q: %d %q", line, n, s)
		}
	}
}
