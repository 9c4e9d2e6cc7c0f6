package sys

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestSysfs_firmwareFiles(t *testing.T) {
	asked := 0
	fixed := func(s string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(s), nil } }
	tk := newTestKernel(t, func(c *Config) {
		c.Firmware = func() ([]FirmwareFile, uint32) {
			asked++
			return []FirmwareFile{
				{"opt/org.barewire", 34, 3, fixed("lost")}, // the name of a folder
				{"opt/org.barewire/rules", 33, 7, fixed("*filter")},
				{"bios", 32, 4, func() ([]byte, error) { return nil, errors.New("no device any more") }},
			}, 3
		}
	})
	const dir = "/sys/firmware/qemu_fw_cfg/"
	for name, want := range map[string]string{
		"rev":                                "3\n",
		"by_key/33/name":                     "opt/org.barewire/rules\n",
		"by_key/33/size":                     "7\n",
		"by_name/opt/org.barewire/rules/key": "33\n",
		"by_name/opt/org.barewire/rules/raw": "*filter",
		"by_key/34/raw":                      "lost",
	} {
		if s, e := tk.readString(tk.open(dir+name, 0), 100); s != want || e != 0 {
			t.Errorf("%s: %q, %v", name, s, e)
		}
	}
	if _, e := tk.readString(tk.open(dir+"by_name/bios/raw", 0), 9); e != syscall.EIO {
		t.Errorf("a file the device refuses: %v", e)
	}
	if l := strings.Join(tk.list(dir+"by_name/opt"), " "); l != "org.barewire" {
		t.Errorf("by_name/opt has %s", l)
	}
	if asked != 1 {
		t.Errorf("the device was asked %d times", asked)
	}
	bare := newTestKernel(t)
	if l := bare.list("/sys/firmware"); len(l) != 0 {
		t.Errorf("without a device: %v", l)
	}
}
