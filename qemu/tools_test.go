package qemu

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// times are what differs from one run of a tool to the next: times, sequence numbers of seconds, MAC addresses.
var times = regexp.MustCompile(`\d+(\.\d+)? ?(ms|msec|usec|s)\b|time[ =]\d+(\.\d+)?( (msec|usec|ms))?|rtt .*|, time \d+ms|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|TS:.*|\d+ absolute|-?\d+(\n|$)`)

// What the usual tools print about the image as a router and a host is what they print about Linux.
func TestTools_seeTheImageAsLinux(t *testing.T) {
	left, right, middle, image := routedBeside(t)
	for name, v := range map[string]string{"icmp_ratelimit": "0", "icmp_msgs_per_sec": "100000", "icmp_msgs_burst": "100000"} {
		must(t, middle.Sysctl("ipv4/"+name, v), right.Sysctl("ipv4/"+name, v))
		image("write file=/proc/sys/net/ipv4/%s value=%s", name, v)
	}
	for _, c := range []string{
		"ping -n -c 2 -i 0.1 ROUTER", "ping -n -c 2 -i 0.1 FAR",
		"ping -n -c 1 -R FAR", "ping -n -c 1 -R ROUTER",
		"ping -n -c 1 -T tsonly FAR", "ping -n -c 1 -T tsandaddr FAR", "ping -n -c 1 -T tsprespec ROUTER FAR FAR", "ping -n -c 1 -T tsandaddr ROUTER",
		"ping -n -c 1 -W 1 -t 1 FAR", "ping -n -c 1 -t 2 FAR", "ping -n -c 1 -W 1 -t 1 ROUTER",
		"ping -n -c 1 -Q 0xb8 FAR", "ping -n -c 1 -s 20000 FAR", "ping -n -c 1 -s 65507 ROUTER", "ping -n -c 1 -s 1473 -M do FAR", "ping -n -c 1 -s 1472 -M probe FAR",
		"ping -n -c 1 -W 1 NET.77", "ping -n -c 1 -W 1 -b LINK.255", "ping -n -c 1 -W 1 224.0.0.1 -I DEV",
		"traceroute -n -q 1 -w 1 FAR", "traceroute -n -q 1 -w 1 -I FAR", "traceroute -n -q 1 -w 1 -U FAR", "traceroute -n -q 1 -w 1 -F FAR 1500", "traceroute -n -q 1 -w 1 FAR 4000",
		"traceroute -n -q 1 -w 1 ROUTER", "traceroute -n -q 1 -w 1 --mtu FAR", "traceroute -n -q 1 -w 8 -m 2 NET.77", "traceroute -n -q 1 -w 1 -P 200 FAR", "traceroute -n -q 1 -w 1 -t 16 FAR",
		"arping -c 1 -w 1 -I DEV ROUTER", "arping -c 1 -w 1 -i DEV ROUTER", "arping -D -c 1 -w 1 -I DEV ROUTER",
	} {
		words := strings.Fields(c)
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("no %s here", words[0])
			continue
		}
		var got [2]string
		var both sync.WaitGroup
		for i, r := range []*strings.Replacer{
			strings.NewReplacer("ROUTER", "10.1.0.1", "FAR", "10.2.0.2", "NET", "10.2.0", "LINK", "10.1.0", "DEV", "tap0"),
			strings.NewReplacer("ROUTER", "10.3.0.1", "FAR", "10.4.0.2", "NET", "10.4.0", "LINK", "10.3.0", "DEV", "a"),
		} {
			args := strings.Fields(r.Replace(c))
			both.Go(func() {
				out, err := left.Run(20*time.Second, args[0], args[1:]...)
				if err != nil {
					out += fmt.Sprintln(strings.SplitN(err.Error(), "\n", 2)[0])
				}
				out = strings.NewReplacer("10.1.0.", "10.3.0.", "10.2.0.", "10.4.0.", "tap0", "a").Replace(out)
				got[i] = times.ReplaceAllString(out, "_")
			})
		}
		both.Wait()
		if got[0] != got[1] {
			t.Errorf("%s\nthrough the image:\n%s\nthrough Linux:\n%s", c, got[0], got[1])
		}
	}
}
