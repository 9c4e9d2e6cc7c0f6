//go:build barewire

// Probe prints what the board found: memory, clock, devices, one a line; then it echoes console lines until "quit" and
// prints the interrupt counters.
package main

import (
	"fmt"
	"strings"
	"unsafe"

	"barewire/board/microvm"
)

func main() {
	for _, r := range microvm.MemoryMap() {
		fmt.Printf("ram %#x-%#x\n", r.Lo, r.Hi)
	}
	for _, m := range microvm.Modules() {
		fmt.Printf("module %d bytes at %p %q: %.40q\n", len(m.Data), m.Data, m.CmdLine, m.Data)
	}
	hz, source := microvm.ClockSource()
	fmt.Println("clock", hz, source)
	fmt.Printf("cmdline %q\n", microvm.CommandLine())
	for _, d := range microvm.Devices() {
		switch {
		case d.MMIO != nil:
			id := *(*uint32)(unsafe.Add(d.MMIO.Regs, 8))
			fmt.Println("device", d.Name, "id", id)
		case d.PCI != nil:
			fmt.Printf("device %s %04x:%04x vectors %d\n", d.Name, d.PCI.Vendor, d.PCI.Device, d.PCI.Vectors)
			for i := range 6 {
				if p, n, err := d.PCI.MapBAR(i); err == nil {
					fmt.Printf("  bar %d at %p size %#x\n", i, p, n)
				}
			}
			if d.PCI.Vectors > 0 {
				fmt.Println("  vector:", d.PCI.RequestVector(0, 0, func() {}))
			}
		}
	}
	fmt.Println("READY")
	var line []byte
	buf := make([]byte, 64)
	for {
		for _, c := range buf[:microvm.ConsoleRead(buf)] {
			if c != '\n' && c != '\r' {
				line = append(line, c)
				continue
			}
			fmt.Println("line", string(line))
			if strings.TrimSpace(string(line)) == "quit" {
				fmt.Printf("irq %+v\n", microvm.IRQStats())
				return
			}
			line = line[:0]
		}
	}
}
