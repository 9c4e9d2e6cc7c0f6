package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// defaultRules are a home router's: what the LAN begins passes and leaves with
// the WAN's address, the LAN may talk to the router, and from outside only
// answers and pings come in.
const defaultRules = `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o WAN -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -i lo -j ACCEPT
-A INPUT -i LAN -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i LAN -o WAN -j ACCEPT
-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
COMMIT
`

// command is one of the kernel's own: iptables, iptables-save,
// iptables-restore or ipset, with what it reads and what came of it.
type command func(argv []string, stdin []byte) (status int, stdout, stderr []byte, err error)

// firewall loads the sets and the rules, and returns where the rules come from.
// Rules that cannot be loaded are an error, not a router without rules.
func (c *config) firewall(run command) (from string, err error) {
	load := func(name string, text []byte, argv ...string) error {
		status, _, stderr, err := run(argv, text)
		if err == nil && status != 0 {
			err = fmt.Errorf("%s", strings.TrimSpace(string(stderr)))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	name, sets, err := firstFile(c.Sets, firmware+"sets/raw", "/etc/ipset.conf")
	if err != nil {
		return "", err
	}
	if sets != nil {
		if err := load(name, sets, "ipset", "restore"); err != nil {
			return "", err
		}
	}
	name, rules, err := firstFile(c.Rules, firmware+"rules/raw", rulesFile)
	if err != nil {
		return "", err
	}
	if rules == nil {
		name = "the built-in rules"
		rules = bytes.ReplaceAll([]byte(defaultRules), []byte("WAN"), []byte(c.WAN))
		rules = bytes.ReplaceAll(rules, []byte("LAN"), []byte(c.LAN))
	}
	return name, load(name, rules, "iptables-restore")
}

// forward switches forwarding on. It comes after the rules, so that no packet
// passes without them.
func forward() error {
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0o644)
}
