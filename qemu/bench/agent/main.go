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
	"strings"
	"time"

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
		cmd := exec.Command("/usr/bin/iperf3", "-s")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		return listening(5201)
	}
	return fmt.Errorf("%q is nothing to prepare", what)
}

// listening waits until somebody listens on a TCP port.
func listening(port int) error {
	want := fmt.Sprintf(":%04X ", port)
	for range 600 {
		for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			b, err := os.ReadFile(name)
			if err == nil && strings.Contains(string(b), want) {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("nobody listens on port %d", port)
}
