package inet_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinux_settings_presentOrExplained: every setting that the Linux kernel
// has for IPv4 below TCP is here too, or package ip says why not.
func TestLinux_settings_presentOrExplained(t *testing.T) {
	const root = "/proc/sys/net/ipv4"
	if _, err := os.Stat(root); err != nil {
		t.Skip(err)
	}
	doc, err := os.ReadFile("ip/doc.go")
	check(t, err)
	h := newHost(t)
	check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a device may go meanwhile
		}
		name := strings.ReplaceAll(strings.TrimPrefix(path, root+"/"), "/", ".")
		part := strings.Split(name, ".")
		if strings.HasPrefix(name, "tcp_") || len(part) == 3 && part[1] != "all" && part[1] != "default" {
			return nil
		}
		word := part[len(part)-1]
		if part[0] == "route" {
			word = name
		}
		if _, ok := h.net.Sysctl().Lookup("net.ipv4." + name); !ok && !strings.Contains(string(doc), word) &&
			!strings.HasPrefix(name, "cipso_") {
			t.Errorf("net.ipv4.%s is neither here nor explained", name)
		}
		return nil
	}))
}

// Defaults that differ from Linux's would surprise.
func TestLinux_settings_sameDefaults(t *testing.T) {
	l := newLinux(t) // its namespace has the defaults but for rp_filter and icmp_ratelimit
	h := newHost(t)
	sizes := "ipfrag_high_thresh ipfrag_low_thresh igmp_link_local_mcast_reports ip_local_reserved_ports udp_mem icmp_ratelimit " +
		"conf.all.rp_filter conf.default.rp_filter conf.tap0.rp_filter conf.default.accept_source_route fib_multipath_hash_seed ping_group_range"
	n := 0
	for _, name := range h.net.Sysctl().Names() {
		short, ok := strings.CutPrefix(name, "net.ipv4.")
		if !ok || strings.Contains(short, "eth0") || strings.Contains(sizes, short) || strings.HasPrefix(short, "neigh.") || strings.HasPrefix(short, "tcp_") {
			continue
		}
		var want string
		check(t, l.ns.Do(func() error {
			b, err := os.ReadFile("/proc/sys/net/ipv4/" + strings.ReplaceAll(short, ".", "/"))
			want = strings.TrimSpace(string(b))
			return nilIfAbsent(err)
		}))
		got, err := h.net.Sysctl().Get(name)
		if want == "" || err != nil {
			continue
		}
		n++
		if strings.TrimSpace(got) != want {
			t.Errorf("%s is %q, in Linux %q", name, strings.TrimSpace(got), want)
		}
	}
	if n < 60 {
		t.Errorf("only %d settings compared", n)
	}
}

// nilIfAbsent ignores what a namespace of Linux does not have, or does not
// show.
func nilIfAbsent(err error) error {
	if os.IsNotExist(err) || os.IsPermission(err) {
		return nil
	}
	return err
}
