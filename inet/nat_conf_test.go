package inet_test

import "testing"

// TestHelperPorts_setting_namesForRules: a helper for another port is there for
// rules once the setting says so.
func TestHelperPorts_setting_namesForRules(t *testing.T) {
	h := newHost(t)
	rule := "*raw\n-A PREROUTING -p tcp --dport 2121 -j CT --helper ftp-2121\nCOMMIT\n"
	if status, _, _ := h.NF().Run([]string{"iptables-restore"}, []byte(rule)); status == 0 {
		t.Error("a helper nobody registered")
	}
	const name = "net.netfilter.nf_conntrack_ftp_ports"
	check(t, h.net.Sysctl().Set(name, "21,2121"))
	if v, err := h.net.Sysctl().Get(name); err != nil || v != "21,2121" {
		t.Errorf("%q, %v", v, err)
	}
	if status, _, stderr := h.NF().Run([]string{"iptables-restore"}, []byte(rule)); status != 0 {
		t.Errorf("%s", stderr)
	}
	for _, bad := range []string{"", "0", "x", "21 22", "65536"} {
		if h.net.Sysctl().Set(name, bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
