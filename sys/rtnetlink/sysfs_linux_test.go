package rtnetlink_test

import (
	"fmt"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"barewire/qemu"
)

// The script prints every file below the directories of two devices: its name,
// its mode, and its contents or that it cannot be read.
const sysfsScript = `ip link set lo up; ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up alias first
while [ "$(cat /sys/class/net/d0/operstate)" != up ]; do sleep 0.01; done
ip link set d1 down; sleep 0.05; ip link set d1 up
while [ "$(cat /sys/class/net/d0/carrier_changes)" != 4 ]; do sleep 0.01; done
for d in lo d0 d1; do cd /sys/class/net/$d/
for f in $(find . -type f | sort); do printf "%s/%s %s " $d $f $(stat -c %a $f); v=$(cat $f 2>/dev/null) && echo "=$v" | tr '\n' ';' || printf none; echo; done; done`

// files lists what is below a directory, as the script does.
func (e *end) files(dir, name string, out *[]string) {
	p := append([]byte(dir), 0)
	fd, errno := e.syscall(syscall.SYS_OPEN, addrOf(p), syscall.O_DIRECTORY, 0, 0, 0, 0)
	e.check(dir, errno)
	defer e.syscall(syscall.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
	b := make([]byte, 1<<15)
	var names []string
	for {
		n, errno := e.syscall(syscall.SYS_GETDENTS64, fd, addrOf(b), uintptr(len(b)), 0, 0, 0)
		e.check("getdents64", errno)
		if n == 0 {
			break
		}
		_, _, names = syscall.ParseDirent(b[:n], -1, names)
	}
	for _, f := range names {
		path := dir + "/" + f
		p := append([]byte(path), 0)
		var buf [unsafe.Sizeof(syscall.Stat_t{})]byte
		_, errno := e.syscall(syscall.SYS_LSTAT, addrOf(p), addrOf(buf[:]), 0, 0, 0, 0)
		e.check(path, errno)
		st := (*syscall.Stat_t)(unsafe.Pointer(&buf))
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			e.files(path, name+"/"+f, out)
		case syscall.S_IFREG:
			v := "none"
			if s, errno := e.read(path); errno == 0 {
				v = "=" + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", ";") + ";"
			}
			*out = append(*out, fmt.Sprintf("%s/%s %o %s", name, f, st.Mode&0o777, v))
		}
	}
}

// The directories of a pair and of lo in /sys/class/net have the files, the
// modes and the contents that Linux has after the same.
func TestSysClassNet_asLinux(t *testing.T) {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := qemu.NewNamespace("sysfs")
	if err != nil {
		t.Skip(err)
	}
	defer ns.Close()
	text, err := ns.Run(20*time.Second, "sh", "-c", sysfsScript)
	if err != nil {
		t.Fatal(err, text)
	}
	x, _ := ours(t)
	for _, s := range []step{
		addVeth("d0", "d1"), setLink("up", "d0", 1, 1),
		setLink("up", "d1", 1, 1, attr(syscall.IFLA_IFALIAS, str("first"))),
		setLink("down", "d1", 0, 1), setLink("up again", "d1", 1, 1),
	} {
		x.links()
		errno, words, _ := x.do(s.req(x))
		if errno != 0 {
			t.Fatal(s.name, errno, words)
		}
	}
	var got []string
	for _, d := range []string{"lo", "d0", "d1"} {
		x.files("/sys/class/net/"+d, d+"/.", &got)
	}
	sort.Strings(got)
	want := strings.Split(strings.TrimSpace(text), "\n")
	sort.Strings(want)
	// Numbers that this run of Linux chose, and what a device with several
	// queues has.
	skip := func(s string) bool {
		for _, w := range []string{"/address ", "/ifindex ", "/iflink ", "/uevent ", "_bytes ", "_packets ", "tx_dropped ", "/multicast ", "traffic_class ", "xps_", "queues/rx-1", "queues/tx-1"} {
			if strings.Contains(s, w) {
				return true
			}
		}
		return false
	}
	missing := map[string]string{}
	for _, s := range want {
		if !skip(s) {
			missing[strings.Fields(s)[0]] = s
		}
	}
	for _, s := range got {
		if skip(s) {
			continue
		}
		name := strings.Fields(s)[0]
		if missing[name] != s {
			t.Errorf("here  %s\n Linux %s", s, missing[name])
		}
		delete(missing, name)
	}
	for _, s := range missing {
		t.Errorf("only in Linux: %s", s)
	}
}
