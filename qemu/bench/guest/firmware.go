package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"barewire/toolchain/vm"
)

// qboot is the firmware that QEMU has for its own kernels: it hands over to them at once. SeaBIOS looks for
// disks, cards' ROMs and keys first, which takes an image half of its start and Linux a twentieth.
const qboot = "qboot.rom"

// Firmware is what every machine starts with, the Linux guest's too: QEMU's qboot where it is
// installed, otherwise none is asked for and the name is that of QEMU's own choice.
func Firmware() (name string, args []string) {
	binary, err := vm.FindQEMU()
	if err != nil {
		return "SeaBIOS", nil
	}
	folders, _ := exec.Command(binary, "-L", "help").Output()
	for dir := range strings.Lines(string(folders)) {
		if _, err := os.Stat(filepath.Join(strings.TrimSpace(dir), qboot)); err == nil {
			return "qboot", []string{"-bios", qboot}
		}
	}
	return "SeaBIOS", nil
}
