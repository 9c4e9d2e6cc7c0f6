package sys

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"barewire/sys/vfs"
)

// /sys/firmware/qemu_fw_cfg (Linux: drivers/firmware/qemu_fw_cfg.c): the files
// that the host gave with QEMU's -fw_cfg. by_key has a directory for each,
// by_name has links to those, in directories as the names have slashes.

// FirmwareFile is one such file.
type FirmwareFile struct {
	Name string // with slashes, such as "opt/org.barewire/rules"
	Key  uint16 // the device's number for it
	Size uint32 // in bytes
	Read func() ([]byte, error)
}

// firmwareDir is /sys/firmware. The device is read when somebody looks, which
// most programs never do.
type firmwareDir struct{ tree func() vfs.Tree }

func newFirmwareDir(read func() ([]FirmwareFile, uint32)) firmwareDir {
	return firmwareDir{sync.OnceValue(func() vfs.Tree {
		if read == nil {
			return vfs.Tree{}
		}
		files, revision := read()
		if len(files) == 0 {
			return vfs.Tree{}
		}
		return vfs.Tree{"qemu_fw_cfg": {Dir: firmwareTree(files, revision)}}
	})}
}

// Lookup implements vfs.Dir.
func (d firmwareDir) Lookup(name string) (vfs.Node, bool) { return d.tree().Lookup(name) }

// Names implements vfs.Dir.
func (d firmwareDir) Names() []string { return d.tree().Names() }

func firmwareTree(files []FirmwareFile, revision uint32) vfs.Tree {
	byKey, byName := vfs.Tree{}, vfs.Tree{}
	// A name that is another's folder gives way, whatever the order is.
	files = append([]FirmwareFile(nil), files...)
	sort.SliceStable(files, func(i, j int) bool { return len(files[i].Name) > len(files[j].Name) })
	for _, f := range files {
		key := strconv.Itoa(int(f.Key))
		byKey[key] = vfs.Node{Dir: vfs.Tree{
			"key":  constant(key + "\n"),
			"name": constant(f.Name + "\n"),
			"size": constant(fmt.Sprintf("%d\n", f.Size)),
			"raw": {Mode: 0o400, Text: func(b []byte) ([]byte, Errno) {
				data, err := f.Read()
				if err != nil {
					return b, syscall.EIO
				}
				return append(b, data...), 0
			}},
		}}
		parts := strings.Split(f.Name, "/")
		dir := byName
		for _, p := range parts[:len(parts)-1] {
			n, ok := dir[p]
			if !ok {
				n = vfs.Node{Dir: vfs.Tree{}}
				dir[p] = n
			}
			dir = n.Dir.(vfs.Tree) // no link: longer names come first
		}
		if last := parts[len(parts)-1]; dir[last].Dir == nil {
			dir[last] = link(strings.Repeat("../", len(parts)) + "by_key/" + key)
		}
	}
	return vfs.Tree{
		"rev":     constant(fmt.Sprintf("%d\n", revision)),
		"by_key":  {Dir: byKey},
		"by_name": {Dir: byName},
	}
}
