// Agent is the program whose network is measured: package services over package
// net, on barewire and as the init of a Linux guest, so that only what is below
// package net differs.
package main

import (
	"fmt"
	"os"

	"barewire/qemu/bench/services"
)

func main() {
	err := platform()
	if err == nil {
		err = services.Serve(services.Host{})
	}
	fmt.Fprintln(os.Stderr, "agent:", err)
	os.Exit(1)
}
