package boot

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"barewire/inet"
	"barewire/napi"
	"barewire/skb"
	"barewire/sys"
	"barewire/sys/cmdline"
	"barewire/sys/dropmon"
	"barewire/virtio"
	vnet "barewire/virtio/net"
)

// Machine is what a board provides.
type Machine struct {
	// CommandLine is the kernel command line as the loader gave it.
	CommandLine string
	// About describes the machine in a few words, for debug.
	About func() string
	// Console is the machine's console; kernel messages go there too.
	Console sys.Console
	// WallClock, SetWallClock, Random, Exit, PollReady, Thread, TaskStart, TaskSize and Version are
	// as in [sys.Config].
	WallClock           func() (sec int64, nsec int32)
	SetWallClock        func(sec int64, nsec int32)
	Random              func(b []byte)
	Exit                func(code int)
	PollReady           func(pd uintptr, mode int32)
	Thread              func() uint64
	TaskStart, TaskSize uintptr
	Version             string
	// Memory is the RAM in bytes. 0: unknown, nothing is scaled by it.
	Memory uint64
	// Clock is the stack's clock; nil means package time.
	Clock napi.Clock
	// CPUs is how many processors run, 0 for one, and CPU tells on which of them
	// the caller does, a hint; nil for one.
	CPUs int
	CPU  func() int
	// IRQHooks takes the functions that run before and after each round of a
	// processor's interrupt handlers. Nil: softirqs are ksoftirqd's alone.
	IRQHooks func(cpu int, enter, exit func())
	// Interrupts is as in [sys.Config].
	Interrupts func() []sys.Interrupt
	// Devices are the virtio devices that were found, unopened.
	Devices []Device
	// Map gives the device address of memory; nil means that it is the
	// virtual address.
	Map func(mem []byte) (dma uint64, err error)
	// Bells is what transmit notifications wait in; nil means that they do not.
	Bells *virtio.Bells
	// Initramfs are the loader's modules: the archives of the first file system.
	Initramfs [][]byte
	// Firmware is as in [sys.Config].
	Firmware func() (files []sys.FirmwareFile, revision uint32)
	// DHCP says that a DHCP client is linked in, which will look at
	// Booted.DHCP.
	DHCP bool
	// Stop ends the goroutines of the stack, for tests; nil runs them for ever.
	Stop <-chan struct{}
}

// Device is one place where a virtio device was found.
type Device struct {
	Name string
	// Transport looks closer. virtio.ErrNoDevice passes silently.
	Transport func() (virtio.Transport, error)
}

// Booted is a running system.
type Booted struct {
	Kernel *sys.Kernel
	Net    *napi.Net
	Inet   *inet.Net // nil when the stack could not be made
	// DHCP are the devices that wait for an address from a server.
	DHCP []*napi.NetDevice
	// DHCPWait says that the command line asked for it, so that the program
	// waits for the first lease.
	DHCPWait bool
	// Say prints a line on the console unless it is to be quiet.
	Say func(line string)
}

// booting is the state between steps.
type booting struct {
	Booted
	m        Machine
	line     cmdline.Line
	klog     *sys.KernelLog
	quiet    bool
	debug    bool
	hostname string
	devices  []*napi.NetDevice
	servers  []netip.Addr // of the DNS, from ip=
	nets     nets
}

// Start boots the system (Linux: start_kernel to run_init_process). It returns
// when system calls can be made.
func Start(m Machine) *Booted {
	b := &booting{m: m, line: cmdline.Parse(m.CommandLine)}
	b.quiet, b.debug = b.line.Flag("quiet"), b.line.Flag("debug")
	if b.m.Clock == nil {
		b.m.Clock = napi.SystemClock()
	}
	b.klog = sys.NewKernelLog(b.m.Clock)
	if b.debug {
		b.say("barewire %s, %d MiB, %s", sys.Release, m.Memory>>20, m.About())
		b.say("command line: %s", m.CommandLine)
	}
	b.Say = b.sayLine
	if b.netInit() {
		b.probe()
		b.up()
		b.configure()
	}
	if name, ok := b.line.Last("hostname"); ok {
		b.hostname = name
	}
	b.sysInit()
	b.resolver(b.servers, nil)
	b.sysctls()
	return &b.Booted
}

// say prints a line unless the console is to be quiet; warn always does. Both,
// and log, keep it for dmesg.
func (b *booting) say(format string, args ...any) { b.sayLine(fmt.Sprintf(format, args...)) }

// sayLine is say of a line as it is: of those that every start has, which package
// fmt would make longer.
func (b *booting) sayLine(line string) { b.print(sys.LevelInfo, line, !b.quiet) }

func (b *booting) warn(format string, args ...any) {
	b.print(sys.LevelErr, fmt.Sprintf(format, args...), true)
}

func (b *booting) log(line string) { b.print(sys.LevelInfo, line, true) }

func (b *booting) print(level int, line string, console bool) {
	if b.klog.Print(level, line) && console && b.m.Console != nil {
		b.m.Console.Write([]byte(line + "\n"))
	}
}

// The stack's memory is an eighth of the machine's: packets first, then
// receive queues within it.
const (
	minPages     = 512 // one ring and some traffic
	maxPages     = 16384
	maxUDPMemory = 24 << 20
)

// netInit makes the stack (Linux: net_dev_init, inet_init).
func (b *booting) netInit() bool {
	pages, udpMem := maxPages, int64(maxUDPMemory)
	if b.m.Memory != 0 {
		share := b.m.Memory / 8
		pages = int(min(max(share/skb.DefaultPageSize, minPages), maxPages))
		udpMem = min(int64(pages)*skb.DefaultPageSize/2, maxUDPMemory)
	}
	var err error
	b.Net, err = napi.New(napi.Config{
		Clock: b.m.Clock,
		Rand:  b.m.Random,
		Log:   b.log,
		CPUs:  min(b.m.CPUs, napi.MaxCPUs),
		CPU:   b.m.CPU,
		Pages: skb.PageConfig{MaxPages: pages, Map: b.m.Map},
	})
	if err != nil {
		b.warn("no network: %v", err)
		return false
	}
	for cpu := range b.Net.CPUs() {
		soft := b.Net.SoftNetOf(cpu)
		go soft.Run(b.m.Stop)
		if b.m.IRQHooks != nil {
			b.m.IRQHooks(cpu, soft.IRQEnter, soft.DoSoftirq)
		}
	}
	if b.Inet, err = inet.New(inet.Config{Net: b.Net, UDPMemory: udpMem}); err != nil {
		b.warn("no network: %v", err)
		return false
	}
	b.Inet.NF().SetLog(func(level int, line string) { b.print(level, line, true) })
	if err := b.netlink(); err != nil {
		b.warn("no netlink: %v", err)
	}
	return true
}

// netlink makes the sockets of AF_NETLINK: configuration, and the families of
// generic netlink.
func (b *booting) netlink() error {
	_, g, _, err := b.route(b.Inet)
	if err != nil {
		return err
	}
	_, err = dropmon.New(g, dropmon.Config{Net: b.Net, WallClock: b.m.WallClock})
	return err
}

// probe finds the network devices.
func (b *booting) probe() {
	for _, d := range b.m.Devices {
		t, err := d.Transport()
		if err != nil {
			if !errors.Is(err, virtio.ErrNoDevice) {
				b.warn("%v", err)
			}
			continue
		}
		if t.DeviceID() != virtio.IDNet {
			if b.debug {
				b.say("%s: virtio device type %d is not driven", d.Name, t.DeviceID())
			}
			continue
		}
		dev, err := vnet.Probe(t, b.Net, vnet.Options{Map: b.m.Map, Bells: b.m.Bells})
		if err != nil {
			b.warn("%v", err)
			continue
		}
		b.devices = append(b.devices, dev.NetDevice())
	}
}

// up opens the interfaces, so that a program that brings its own addresses
// finds them running.
func (b *booting) up() {
	for _, dev := range b.devices {
		if err := dev.Open(); err != nil {
			b.warn("%s: does not come up: %v", dev.Name(), err)
			continue
		}
		link := "up"
		if !dev.CarrierOK() {
			link = "down"
		}
		a := dev.HardwareAddr()
		b.sayLine(dev.Name() + ": virtio-net, " + etherString(a) + ", mtu " + strconv.Itoa(dev.MTU()) + ", link " + link)
	}
}

// etherString is an Ethernet address in the usual form.
func etherString(a [6]byte) string {
	const hex = "0123456789abcdef"
	var b []byte
	for i, v := range a {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, hex[v>>4], hex[v&15])
	}
	return string(b)
}

// sysInit makes the system-call interface.
func (b *booting) sysInit() {
	cfg := sys.Config{
		Console:      b.m.Console,
		Clock:        b.m.Clock,
		WallClock:    b.m.WallClock,
		SetWallClock: b.m.SetWallClock,
		Random:       b.m.Random,
		Exit:         b.m.Exit,
		PollReady:    b.m.PollReady,
		Hostname:     b.hostname,
		Version:      b.m.Version,
		MemTotal:     b.m.Memory,
		TaskStart:    b.m.TaskStart,
		TaskSize:     b.m.TaskSize,
		Log:          b.log,
		KernelLog:    b.klog,
		Debug:        b.debug,

		Initramfs:   b.m.Initramfs,
		Firmware:    b.m.Firmware,
		Interrupts:  b.m.Interrupts,
		CommandLine: b.m.CommandLine,
		Net:         b.Net,
		NewNet:      b.newNet,
		Thread:      b.m.Thread,
	}
	if b.Inet != nil {
		cfg.SockCreate = b.Inet.SockCreate
	}
	b.Kernel = sys.New(cfg)
}
