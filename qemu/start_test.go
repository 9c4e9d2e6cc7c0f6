package qemu

import (
	"regexp"
	"strconv"
	"testing"

	"barewire/toolchain/vm"
)

// Under QEMU's emulator what a start costs is the code it runs for the first time: each piece without a
// jump in it is translated, for some five microseconds, while running all of it takes a tenth of that. QEMU counts the pieces,
// so the cost of a start is a number that does not depend on the host. What makes it larger by a tenth is to be noticed.
func TestStart_translatesLittle(t *testing.T) {
	count := regexp.MustCompile(`TB count\s+(\d+)`)
	most := map[string]int{Microvm: 18000, Q35: 20500}
	onEachMachine(t, func(t *testing.T, machine string) {
		m := Start(t, Config{Machine: machine, Kernel: image(t, echoApp), CPUs: 1, Accel: vm.AccelTCG,
			Append: "quiet ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off", NICs: []NIC{{Backend: User{}}}})
		if _, err := m.Console.WaitFor("listening", bootTime); err != nil {
			t.Fatal(err)
		}
		q, err := m.QMP()
		if err != nil {
			t.Fatal(err)
		}
		text, err := q.Monitor("info jit")
		if err != nil {
			t.Fatal(err)
		}
		f := count.FindStringSubmatch(text)
		if f == nil {
			t.Skipf("this QEMU does not tell what it translates: %q", text)
		}
		n, _ := strconv.Atoi(f[1])
		t.Logf("%d pieces of code, of %d", n, most[machine])
		if n > most[machine] {
			t.Errorf("a start of %s has %d pieces of code translated, more than %d", machine, n, most[machine])
		}
	})
}
