package embed_test

import (
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"barewire/board/hosted"
	"barewire/sys/embed"
)

// control has the instance's process run a command through the control file.
func control(t *testing.T, in *embed.Instance, request string) string {
	t.Helper()
	path := append([]byte("/proc/net/netfilter_control"), 0)
	cwd := -100
	fd, e := in.Syscall(syscall.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(&path[0])), syscall.O_RDWR, 0, 0, 0)
	if e != 0 {
		t.Fatal(e)
	}
	defer in.Sys.Close(int(fd))
	if _, err := in.Sys.Write(int(fd), []byte(request)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		b := make([]byte, 100)
		n, err := in.Sys.Read(int(fd), b)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return string(got)
		}
		got = append(got, b[:n]...)
	}
}

func TestRun_commandsAndControlFile_oneFilter(t *testing.T) {
	in, err := embed.New(embed.Config{Clock: hosted.NewVirtualClock()})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	status, _, warn := in.Run([]string{"ipset", "create", "s", "hash:ip"}, nil)
	if status != 0 {
		t.Fatalf("%d %s", status, warn)
	}
	status, _, warn = in.Run([]string{"iptables-restore"}, []byte("*filter\n-A FORWARD -p udp -m udp --dport 53 -j DROP\nCOMMIT\n"))
	if status != 0 {
		t.Fatalf("%d %s", status, warn)
	}
	got := control(t, in, "3 0\niptables\x00-S\x00FORWARD\x00")
	want := "-P FORWARD ACCEPT\n-A FORWARD -p udp -m udp --dport 53 -j DROP\n"
	if !strings.HasPrefix(got, "0 ") || !strings.HasSuffix(got, "\n"+want) {
		t.Errorf("%q", got)
	}
	if got := control(t, in, "3 0\nipset\x00list\x00-n\x00"); got != "0 2 0\ns\n" {
		t.Errorf("%q", got)
	}
	got = control(t, in, "2 14\niptables-restore\x00-n\x00*filter\n-A X\n\n")
	if !strings.HasPrefix(got, "1 0 ") || !strings.Contains(got, "line 2 failed, column 1: No chain") {
		t.Errorf("%q", got)
	}
}
