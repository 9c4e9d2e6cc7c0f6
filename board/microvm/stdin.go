//go:build tamago

package microvm

import "sync"

// input holds what the serial port received and nobody has read yet.
var input struct {
	mu    sync.Mutex
	ready sync.Cond
	buf   [4096]byte
	r, n  int
	lost  uint64
}

func stdinSetup() {
	input.ready.L = &input.mu
	if !uartPresent {
		return
	}
	gsi, flags := platform.ISA(4)
	if err := RequestIRQ(IRQ{GSI: gsi, Edge: flags>>2&3 != 3, Low: flags&3 == 3}, uartInterrupt); err != nil {
		return // no I/O APIC: output still works
	}
	out8(uartIER, 1) // received data
}

// uartInterrupt takes what the port received. What does not fit is lost, as on any serial port.
func uartInterrupt() bool {
	input.mu.Lock()
	got := false
	for in8(uartLSR)&lsrData != 0 {
		c := in8(uartRBR)
		got = true
		if input.n == len(input.buf) {
			input.lost++
			continue
		}
		input.buf[(input.r+input.n)%len(input.buf)] = c
		input.n++
	}
	input.mu.Unlock()
	if got {
		input.ready.Broadcast()
	}
	return got
}

// ConsoleRead waits for input and returns what there is, at least one byte, at most len(p). It returns 0 if p is empty. Bytes are
// those of the serial line: no echo, no editing, a line ends in "\r".
func ConsoleRead(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	input.mu.Lock()
	defer input.mu.Unlock()
	for input.n == 0 {
		input.ready.Wait()
	}
	return inputTake(p)
}

// ConsolePoll is ConsoleRead that does not wait: 0 if there is no input.
func ConsolePoll(p []byte) int {
	input.mu.Lock()
	defer input.mu.Unlock()
	return inputTake(p)
}

func inputTake(p []byte) (n int) {
	for n < len(p) && input.n > 0 {
		p[n] = input.buf[input.r]
		input.r = (input.r + 1) % len(input.buf)
		input.n--
		n++
	}
	return n
}
