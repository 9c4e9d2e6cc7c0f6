package sys

import (
	"strings"
	"syscall"
	"testing"

	"barewire/napi"
	"barewire/napi/napitest"
	"barewire/skb"
)

// newSysfs makes a Kernel over a stack with lo and a dummy device.
func newSysfs(t *testing.T) (*testKernel, *napi.NetDevice) {
	n, err := napi.New(napi.Config{Pages: skb.PageConfig{MaxPages: 16}})
	if err != nil {
		t.Fatal(err)
	}
	lo := napi.AllocNetdev("lo", napitest.Sink{}, 1)
	napi.EtherSetup(lo)
	lo.Type, lo.Broadcast, lo.MaxMTU = napi.ARPHRD_LOOPBACK, [6]byte{}, 65536
	lo.SetFlags(napi.IFF_LOOPBACK, napi.IFF_BROADCAST|napi.IFF_MULTICAST)
	if err := lo.SetMTU(65536); err != nil {
		t.Fatal(err)
	}
	if err := n.RegisterNetdev(lo); err != nil {
		t.Fatal(err)
	}
	if err := lo.Open(); err != nil {
		t.Fatal(err)
	}
	d, err := napi.NewDummy(n, "dummy0")
	if err != nil {
		t.Fatal(err)
	}
	return newTestKernel(t, func(c *Config) { c.Net = n }), d
}

func TestSysfs_linksAndChanges(t *testing.T) {
	tk, d := newSysfs(t)
	if l := strings.Join(tk.list("/sys/class/net"), " "); l != "dummy0 lo" {
		t.Errorf("/sys/class/net has %s", l)
	}
	buf := make([]byte, 100)
	n := tk.must(syscall.SYS_READLINK, ptr(cstr("/sys/class/net/dummy0")), ptr(&buf[0]), 100)
	if string(buf[:n]) != "../../devices/virtual/net/dummy0" {
		t.Errorf("link %q", buf[:n])
	}
	tk.must(syscall.SYS_CHDIR, ptr(cstr("/sys/class/net/dummy0/subsystem/lo/queues")))
	if l := strings.Join(tk.list("."), " "); l != "rx-0 tx-0" {
		t.Errorf("queues %s", l)
	}
	fd := tk.open("/sys/class/net/dummy0/carrier", 0)
	if _, e := tk.readString(fd, 9); e != syscall.EINVAL {
		t.Errorf("carrier of a device that is down: %v", e)
	}
	set := func(file, v string) Errno {
		_, e := tk.writeString(tk.open("/sys/class/net/dummy0/"+file, syscall.O_WRONLY), v)
		return e
	}
	if e := set("flags", "0x83\n"); e != 0 || !d.IsUp() || d.Flags()&napi.IFF_NOARP == 0 {
		t.Errorf("flags 0x83: %v, device has %#x", e, d.Flags())
	}
	if e := set("mtu", "9000\n"); e != 0 || d.MTU() != 9000 || tk.read("/sys/class/net/dummy0/mtu") != "9000\n" {
		t.Errorf("mtu 9000: %v, device has %d", e, d.MTU())
	}
	if e := set("mtu", "-1"); e != syscall.EINVAL {
		t.Errorf("mtu -1: %v", e)
	}
	if e := set("mtu", "many"); e != syscall.EINVAL {
		t.Errorf("mtu many: %v", e)
	}
	if e := set("tx_queue_len", "55"); e != 0 || d.QueueLen() != 55 {
		t.Errorf("tx_queue_len: %v, %d", e, d.QueueLen())
	}
	tk.fails(syscall.EACCES, syscall.SYS_OPEN, ptr(cstr("/sys/class/net/lo/address")), syscall.O_WRONLY)
	tk.fails(syscall.ENOENT, syscall.SYS_OPEN, ptr(cstr("/sys/class/net/eth9/address")), 0)
}
