//go:build !tamago

package start

import "barewire/sys/boot"

// System returns nil: the kernel below this program is the host's.
func System() *boot.Booted { return nil }
