// Agent is the program whose network is measured: package services over package
// net, on barewire and as the init of a Linux guest, so that only what is below
// package net differs. Its arguments say what else it does first:
//
//	rules   filter and translate addresses as package rules says
//	iperf   start the iperf3 server that a Linux guest has
package main

import (
	"fmt"
	"os"
	"os/exec"

	"barewire/qemu/bench/rules"
	"barewire/qemu/bench/services"
)

func main() {
	err := platform()
	for _, arg := range os.Args[1:] {
		if err == nil {
			err = prepare(arg)
		}
	}
	if err == nil {
		err = services.Serve(services.Host{})
	}
	fmt.Fprintln(os.Stderr, "agent:", err)
	os.Exit(1)
}

func prepare(what string) error {
	switch what {
	case "rules":
		return restore(rules.Save())
	case "iperf":
		return exec.Command("/usr/bin/iperf3", "-s").Start()
	}
	return fmt.Errorf("%q is nothing to prepare", what)
}
