//go:build tamago

package microvm

// DeviceBarrier returns what a driver calls between a store and a later load that a device's threads must see in this order,
// or nil where the CPU's own locked instructions do.
//
// They do everywhere but on QEMU's TCG with a single CPU: there it leaves out the barriers and the locks of the guest's
// instructions, as if nobody else were there, although devices run on threads of their own (QEMU changed this after 7.2). The
// store may then be seen after the load, and driver and device each miss the other's last word. INVLPG makes TCG take a lock
// of its own, which is a full barrier of the host; the address is one of the upper half, which nothing maps.
func DeviceBarrier() func() {
	const tcg = 0x54474354 // "TCGT" of TCGTCGTCGTCG
	if !cpu.hypervisor {
		return nil
	}
	if _, b, _, _ := cpuid(0x40000000, 0); b != tcg {
		return nil
	}
	if len(platform.CPUs()) > 1 {
		return nil // TCG goes by the CPUs of the machine, whether or not we run on them
	}
	return func() { invlpg(0xffff_ff00_0000_0000) }
}
