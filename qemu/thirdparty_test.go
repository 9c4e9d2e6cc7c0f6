package qemu

import (
	"net/netip"
	"testing"
	"time"
)

// A program of somebody else's, from the module graph and not changed by a
// line: u-root's netcat. What is typed on the console goes out as datagrams,
// and what comes back is printed.
func TestThirdParty_URootNetcat(t *testing.T) {
	m, p := startWired(t, Config{
		Kernel: image(t, "github.com/u-root/u-root/cmds/core/netcat"),
		Append: ipParam + " -- -u 192.0.2.1 9000",
	}, Dgram)
	if _, err := p.Resolve(guestIP, bootTime); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // until it reads its input
	for _, line := range []string{"first line", "second"} {
		if err := m.Console.Type(line + "\n"); err != nil {
			t.Fatal(err)
		}
		f, err := p.Expect(5*time.Second, func(f *Frame) bool { return f.UDP != nil && f.UDP.Dst == 9000 })
		if err != nil {
			t.Fatalf("no datagram: %v", err)
		}
		if string(f.UDP.Payload) != line+"\n" {
			t.Fatalf("typed %q, sent %q", line, f.UDP.Payload)
		}
		back := "answer to " + line
		if err := p.SendUDP(f.Src, netip.AddrPortFrom(guestIP, f.UDP.Src), 9000, []byte(back+"\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Console.WaitFor("^"+back+"$", 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
}
