//go:build tamago

package microvm

import (
	"sync"

	"barewire/board/fwcfg"
)

// Ports of QEMU's fw_cfg on x86.
const (
	fwcfgSelect = 0x510
	fwcfgData   = 0x511
)

// fwcfgPort is the device behind the ports.
type fwcfgPort struct{}

func (fwcfgPort) Select(key uint16) { out16(fwcfgSelect, key) }

func (fwcfgPort) Read(p []byte) {
	if len(p) != 0 {
		ins8(fwcfgData, &p[0], len(p))
	}
}

// fwcfgLock keeps selecting and reading together: hardware has one selector.
var fwcfgLock sync.Mutex

// A FirmwareFile is a file that the host gave with -fw_cfg.
type FirmwareFile struct {
	Name string
	Key  uint16
	Size uint32
	Read func() ([]byte, error)
}

// FirmwareFiles returns the files of QEMU's firmware configuration device, none
// where there is no such device, and its revision.
func FirmwareFiles() (files []FirmwareFile, revision uint32) {
	if !cpu.hypervisor {
		return nil, 0 // on a machine the ports could be anything's
	}
	fwcfgLock.Lock()
	defer fwcfgLock.Unlock()
	d, err := fwcfg.Open(fwcfgPort{})
	if err != nil {
		return nil, 0
	}
	for _, f := range d.Files {
		files = append(files, FirmwareFile{Name: f.Name, Key: f.Key, Size: f.Size, Read: func() ([]byte, error) {
			fwcfgLock.Lock()
			defer fwcfgLock.Unlock()
			return d.ReadFile(f)
		}})
	}
	return files, d.Revision
}
