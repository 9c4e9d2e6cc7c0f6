//go:build tamago

package start

import (
	"fmt"
	"strconv"

	"barewire/board/microvm"
	"barewire/sys"
)

// firstMessage is the number of the first interrupt that is a message: above
// those of an I/O APIC's 24 lines, where Linux's numbers begin too.
const firstMessage = 24

// interrupts lists what the board counts, as /proc/interrupts has it.
func interrupts() []sys.Interrupt {
	cpus := microvm.CPUs()
	ticks := sys.Interrupt{Name: "LOC", Counts: make([]uint64, cpus), About: "Local timer interrupts"}
	spurious := sys.Interrupt{Name: "SPU", Counts: make([]uint64, cpus), About: "Spurious interrupts"}
	stray := sys.Interrupt{Name: "ERR", Counts: make([]uint64, 1)}
	var lines, messages []sys.Interrupt
	for cpu := range cpus {
		s := microvm.IRQStatsOf(cpu)
		ticks.Counts[cpu], spurious.Counts[cpu] = s.Ticks, s.Spurious
		stray.Counts[0] += s.Stray
		for _, l := range s.Lines {
			i := sys.Interrupt{Counts: make([]uint64, cpus)}
			i.Counts[cpu] = l.Count
			if l.Message {
				i.Name = strconv.Itoa(firstMessage + len(messages))
				i.About = fmt.Sprintf("PCI-MSIX %3d-edge", l.Vector)
				messages = append(messages, i)
				continue
			}
			mode := "level"
			if l.Source.Edge {
				mode = "edge"
			}
			i.Name = strconv.Itoa(int(l.Source.GSI))
			i.About = fmt.Sprintf("IO-APIC %3d-%s", l.Source.GSI, mode)
			if l.Off {
				i.About += " (off: nobody cared)"
			}
			lines = append(lines, i)
		}
	}
	return append(append(lines, messages...), spurious, ticks, stray)
}
