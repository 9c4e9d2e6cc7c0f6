package sys

import (
	"fmt"
	"runtime"
)

// Interrupt is one line of /proc/interrupts.
type Interrupt struct {
	Name   string   // its number, or three letters for those of the processors themselves
	Counts []uint64 // by processor; those that are not told are 0
	About  string   // the controller, the kind
}

// procInterrupts is /proc/interrupts (Linux: show_interrupts): a column for each
// processor.
func (k *Kernel) procInterrupts() string {
	cpus := runtime.NumCPU()
	b := fmt.Appendf(nil, "%*s", 5, "")
	for i := range cpus {
		b = fmt.Appendf(b, "%-11s", fmt.Sprintf("CPU%d", i))
	}
	b = append(b, '\n')
	for _, l := range k.interrupts() {
		b = fmt.Appendf(b, "%3s:", l.Name)
		for i := range cpus {
			n := uint64(0)
			if i < len(l.Counts) {
				n = l.Counts[i]
			}
			b = fmt.Appendf(b, " %10d", n)
		}
		b = fmt.Appendf(b, "  %s\n", l.About)
	}
	return string(b)
}

func (k *Kernel) interrupts() []Interrupt {
	if k.cfg.Interrupts == nil {
		return nil
	}
	return k.cfg.Interrupts()
}

// interruptSum is how many interrupts there were, for /proc/stat.
func (k *Kernel) interruptSum() (sum uint64) {
	for _, l := range k.interrupts() {
		for _, n := range l.Counts {
			sum += n
		}
	}
	return sum
}
