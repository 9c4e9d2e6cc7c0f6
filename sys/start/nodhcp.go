//go:build tamago && nodhcp

package start

import "barewire/sys/boot"

const haveDHCP = false

func startDHCP(*boot.Booted) {}
