package ipset_test

import (
	"os/exec"
	"testing"

	"barewire/netfilter/iptables/iptablestest"
)

// TestLinux_scripts_sameOutput runs each script of testdata line by line through
// the machine's ipset and through ours.
func TestLinux_scripts_sameOutput(t *testing.T) {
	if _, err := exec.LookPath("ipset"); err != nil {
		t.Skip(err)
	}
	iptablestest.CompareScripts(t, "testdata/*.sh")
}
