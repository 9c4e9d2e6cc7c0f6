//go:build tamago

package microvm

import (
	"bytes"
	"unsafe"
)

// The first serial port, a 16550 (National Semiconductor PC16550D, June 1995). Output is polled: a VM's port takes
// a byte as fast as it is written. Input comes by interrupt, see stdin.go.
//
// The FIFOs stay as they are, which is off on a machine that just started: switching them empties them, and with them what
// the host sent before we looked (a script's input, piped into QEMU). A host that fills a FIFO nobody asked for waits as well
// for one byte at a time.
const (
	uart    = 0x3f8
	uartRBR = uart + 0 // receive buffer
	uartTHR = uart + 0 // transmit holding
	uartIER = uart + 1 // interrupt enable
	uartLCR = uart + 3 // line control
	uartMCR = uart + 4 // modem control
	uartLSR = uart + 5 // line status

	lsrData  = 1 << 0 // a byte has been received
	lsrEmpty = 1 << 5 // the transmit register takes a byte
)

// uartPresent is false if nothing answers at the port: output then goes nowhere instead of waiting for ever.
var uartPresent bool

// uartPatience bounds the looks at a port that takes no byte.
var uartPatience = 1 << 24

func uartSetup() {
	out8(uartIER, 0)
	out8(uartLCR, 0x80) // divisor latch
	out8(uart+0, 1)     // 115200 baud
	out8(uart+1, 0)
	out8(uartLCR, 3)    // 8 data bits, no parity, 1 stop bit
	out8(uartMCR, 0x0b) // DTR, RTS, OUT2 (lets the interrupt through)
	uartPresent = in8(uartLSR) != 0xff
}

// printk writes one byte of the runtime's own output (panics, print). It may run on any stack.
//
//go:linkname printk runtime/goos.Printk
//go:nosplit
func printk(c byte) {
	if !uartPresent {
		return
	}
	if c == '\n' {
		putc('\r')
	}
	putc(c)
}

//go:nosplit
func putc(c byte) {
	// A port that never drains (flow control, broken device) costs output, not the machine. Patience is for seconds first,
	// because a busy host may not read for that long, and shorter for the bytes after one that was given up.
	i := 0
	for in8(uartLSR)&lsrEmpty == 0 && i < uartPatience {
		i++
	}
	if i == uartPatience {
		uartPatience = 1 << 20
	} else {
		uartPatience = 1 << 24
	}
	out8(uartTHR, c)
}

// ConsoleWrite writes p to the console, each "\n" as "\r\n" as a terminal wants it. Any goroutine, any number at
// once: lines stay together, up to 256 bytes.
func ConsoleWrite(p []byte) {
	for len(p) > 0 {
		n := bytes.IndexByte(p[:min(len(p), 256)], '\n') + 1
		if n == 0 {
			n = min(len(p), 256)
		}
		consoleWrite(unsafe.Pointer(&p[0]), int32(n))
		p = p[n:]
	}
}
