package iptables_test

import (
	"testing"

	"barewire/netfilter/iptables/iptablestest"
)

// TestLinux_scripts_sameOutput runs each script of testdata line by line through
// the machine's iptables and through ours.
func TestLinux_scripts_sameOutput(t *testing.T) {
	iptablestest.CompareScripts(t, "testdata/*.sh")
}
