//go:build tamago

package microvm

// debugExit is the port of QEMU's isa-debug-exit device: a write of v ends QEMU with status v<<1|1.
const debugExit = 0xf4

// exit ends the machine. It may run on any stack.
//
//go:nosplit
func exit(code int32) {
	cli()
	for i := 0; i < 1<<16 && uartPresent && in8(uartLSR)&(1<<6) == 0; i++ { // let the last bytes out
	}
	if in8(debugExit) != 0xff { // no device: the bus floats
		out32(debugExit, uint32(min(uint32(code), 127)))
	}
	if code != 0 {
		print("barewire: exit status ", code, "\n")
	}
	for {
		tripleFault()
	}
}

// Exit ends the machine with a status for the host, 0 to 127 (larger ones become 127).
func Exit(code int) { exit(int32(code)) }
