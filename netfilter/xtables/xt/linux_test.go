package xt_test

import (
	"testing"

	"barewire/netfilter/iptables/iptablestest"
)

// TestLinux_options_sameText gives every option of the extensions to the
// machine's iptables and to ours, and compares what is saved, listed and
// refused.
func TestLinux_options_sameText(t *testing.T) {
	iptablestest.CompareScripts(t, "testdata/*.sh")
}
