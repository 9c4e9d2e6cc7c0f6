//go:build tamago

package start

import (
	"fmt"
	"runtime/debug"
	"syscall"
	_ "unsafe" // for go:linkname

	"barewire/board/microvm"
	"barewire/sys"
	"barewire/sys/boot"
	"barewire/virtio"
)

// The runtime port's hooks; toolchain/port/_src says what each means.

//go:linkname syscallHook internal/runtime/syscall/linux.Hook
var syscallHook func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

//go:linkname pollOpenHook runtime.pollOpenHook
var pollOpenHook func(fd uintptr, pd uintptr) int32

//go:linkname pollCloseHook runtime.pollCloseHook
var pollCloseHook func(fd uintptr) int32

//go:linkname pollReady runtime.barewire_pollReady
func pollReady(pd uintptr, mode int32)

//go:linkname thread runtime.barewire_thread
func thread() uint64

// console is the board's console.
type console struct{}

func (console) Read(p []byte) int { return microvm.ConsoleRead(p) }
func (console) Write(p []byte)    { microvm.ConsoleWrite(p) }

// system is what runs on this machine, of which there is one.
var system *boot.Booted // read-only once init has run

// System returns the kernel that runs below this program, for one that works
// beside or instead of its sockets, such as a stack of its own. It is no part of
// the Linux ABI.
func System() *boot.Booted { return system }

func init() {
	var memory, top uint64
	for _, r := range microvm.MemoryMap() {
		memory += r.Size()
		top = max(top, r.Hi)
	}
	limitHeap(microvm.HeapLimit())
	b := boot.Start(boot.Machine{
		CommandLine:  microvm.CommandLine(),
		About:        about,
		Console:      console{},
		WallClock:    microvm.WallClock,
		SetWallClock: microvm.SetWallClock,
		Random:       microvm.Random,
		Exit:         microvm.Exit,
		PollReady:    pollReady,
		Thread:       thread,
		TaskStart:    imageStart,
		TaskSize:     uintptr(top),
		Memory:       memory,
		CPUs:         microvm.CPUs(),
		CPU:          microvm.CPU,
		IRQHooks:     microvm.IRQHooks,
		Interrupts:   interrupts,
		Devices:      devices(),
		Bells:        bells(),
		Initramfs:    modules(),
		Firmware:     firmware,
		DHCP:         haveDHCP,
	})
	system = b
	syscallHook = b.Kernel.Syscall
	pollOpenHook = b.Kernel.PollOpen
	pollCloseHook = b.Kernel.PollClose
	startDHCP(b) // above the system calls, which work from here on
}

// about describes the machine.
func about() string {
	hz, source := microvm.ClockSource()
	random := "random numbers from timing jitter only"
	if microvm.RandomGood() {
		random = "random numbers from the processor"
	}
	return fmt.Sprintf("clock %d.%03d MHz (%s), %s", hz/1e6, hz/1e3%1e3, source, random)
}

// bells has notifications wait for a pause of the scheduler.
func bells() *virtio.Bells {
	s := virtio.NewBells(virtio.Pauses{Now: microvm.Nanotime, TurnBy: microvm.TickBy})
	microvm.OnPause(s.Idle, s.Turn)
	return s
}

// modules returns what the loader brought: the initial file systems.
func modules() [][]byte {
	var l [][]byte
	for _, m := range microvm.Modules() {
		l = append(l, m.Data)
	}
	return l
}

// firmware returns what the host gave beside the image.
func firmware() ([]sys.FirmwareFile, uint32) {
	files, revision := microvm.FirmwareFiles()
	var l []sys.FirmwareFile
	for _, f := range files {
		l = append(l, sys.FirmwareFile(f))
	}
	return l, revision
}

// imageStart is below everything a program can point to: what lies lower is
// the firmware's and the loader's.
const imageStart = 0x200000

// limitHeap makes the collector work harder before memory runs out, which on
// a machine without swap or overcommit is the end. A part is kept for what is
// allocated while it works. GOMEMLIMIT has precedence.
func limitHeap(most uint64) {
	if _, set := syscall.Getenv("GOMEMLIMIT"); !set && most != 0 {
		debug.SetMemoryLimit(int64(most - most/10))
	}
}

// devices makes transports of what the board found.
func devices() []boot.Device {
	var l []boot.Device
	for _, d := range microvm.Devices() {
		switch {
		case d.MMIO != nil:
			l = append(l, boot.Device{Name: d.Name, Transport: func() (virtio.Transport, error) { return mmio(d.Name, d.MMIO) }})
		case d.PCI != nil:
			l = append(l, boot.Device{Name: d.Name, Transport: func() (virtio.Transport, error) { return pci(d.Name, d.PCI) }})
		}
	}
	return l
}

func mmio(name string, d *microvm.MMIODevice) (virtio.Transport, error) {
	t, err := virtio.NewMMIO(virtio.MMIOConfig{
		Name:       name,
		Regs:       virtio.NewMemRegs(d.Regs, d.Size),
		RequestIRQ: d.RequestIRQ,
		Barrier:    microvm.DeviceBarrier(),
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func pci(name string, d *microvm.PCIDevice) (virtio.Transport, error) {
	t, err := virtio.NewPCI(virtio.PCIConfig{
		Name:        name,
		ReadConfig:  d.ReadConfig,
		WriteConfig: d.WriteConfig,
		MapBAR: func(i int) (virtio.Regs, error) {
			regs, size, err := d.MapBAR(i)
			if err != nil {
				return nil, err
			}
			return virtio.NewMemRegs(regs, size), nil
		},
		Vectors:       d.Vectors,
		RequestVector: d.RequestVector,
		Barrier:       microvm.DeviceBarrier(),
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}
