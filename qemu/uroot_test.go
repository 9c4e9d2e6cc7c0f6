package qemu

import (
	"regexp"
	"testing"
	"time"
)

// u-root as userland: its commands, not changed by a line, each on an image of
// its own.

const uroot = "github.com/u-root/u-root/cmds/"

func TestURoot_commands(t *testing.T) {
	for _, c := range []struct {
		command, params, args string
		want                  []string
	}{
		{"core/cat", "ip=dhcp", "/proc/net/dev /proc/net/route /etc/resolv.conf /proc/sys/net/ipv4/ip_forward", []string{
			`^Inter-\|   Receive`, `^  eth0: +[1-9]`, `^eth0\t00000000\t0202000A\t0003`, `^nameserver 10\.0\.2\.3$`, `^1$`}},
		{"core/ls", "ip=off", "-l /etc /proc/sys/net/ipv4/ip_forward", []string{
			`^/etc:$`, `^-rw-r--r-- root root \d+ .* hosts$`, `^-rw-r--r-- root root 0 .* ip_forward$`}},
		{"core/ip", "ip=dhcp", "addr", []string{
			`^1: lo: <UP,LOOPBACK> mtu 65536`, `inet 127\.0\.0\.1/8`, `^2: eth0: <UP,BROADCAST,MULTICAST> mtu 1500 state UP`,
			`link/ether 52:54:00:12:34:56`, `inet 10\.0\.2\.15/24 brd 10\.0\.2\.255 scope global eth0`}},
		{"core/netstat", "ip=dhcp", "-u -a", []string{`^Proto  Recv-Q Send-Q Local Address`}},
		{"core/dhclient", "ip=off", "-ipv6=false eth0", []string{`Configured eth0 with IPv4 DHCP Lease IP 10\.0\.2\.15/24`}},
	} {
		t.Run(c.command, func(t *testing.T) {
			m := Start(t, Config{
				Kernel: image(t, uroot+c.command),
				Append: "quiet sysctl.net.ipv4.ip_forward=1 " + c.params + " -- " + c.args,
				NICs:   []NIC{{Backend: User{}}},
			})
			code, err := m.Wait(time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			out := m.Console.Output()
			if code != 0 {
				t.Errorf("exit code %d", code)
			}
			for _, w := range c.want {
				if !regexp.MustCompile("(?m)" + w).MatchString(out) {
					t.Errorf("no line like %q in:\n%s", w, out)
				}
			}
		})
	}
}
