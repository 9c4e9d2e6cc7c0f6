package vm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// after returns the values that follow each occurrence of flag.
func after(args []string, flag string) []string {
	var values []string
	for i, a := range args {
		if a == flag && i+1 < len(args) {
			values = append(values, args[i+1])
		}
	}
	return values
}

func TestArgs_zeroConfig_isAMicrovm(t *testing.T) {
	args, err := Config{Kernel: "a.elf", Accel: AccelTCG}.Args()
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{
		"-machine": "microvm,rtc=on,x-option-roms=off", "-m": "256", "-smp": "1", "-kernel": "a.elf",
		"-serial": "stdio", "-cpu": "max", "-accel": "tcg",
	} {
		if got := after(args, flag); !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", flag, got, want)
		}
	}
	if got := after(args, "-device"); !slices.Equal(got, []string{"isa-debug-exit,iobase=0xf4,iosize=0x04"}) {
		t.Errorf("devices %q", got)
	}
	if slices.Contains(args, "-append") || slices.Contains(args, "-netdev") {
		t.Errorf("arguments nobody asked for in %q", args)
	}
}

func TestArgs_nics_matchTheMachine(t *testing.T) {
	nics := []NIC{{Backend: "user,hostfwd=udp::7000-:7"}, {Backend: "user", MAC: "52:54:00:00:00:02", Options: []string{"mq=on"}}}
	for machine, want := range map[string][]string{
		Microvm: {"virtio-net-device,bus=virtio-mmio-bus.0,netdev=net0", "virtio-net-device,bus=virtio-mmio-bus.1,netdev=net1,mac=52:54:00:00:00:02,mq=on"},
		Q35: {"virtio-net-pci,disable-legacy=on,netdev=net0",
			"virtio-net-pci,disable-legacy=on,netdev=net1,mac=52:54:00:00:00:02,mq=on"},
		"q35,hpet=off": {"virtio-net-pci,disable-legacy=on,netdev=net0",
			"virtio-net-pci,disable-legacy=on,netdev=net1,mac=52:54:00:00:00:02,mq=on"},
	} {
		args, err := Config{Machine: machine, Kernel: "a.elf", NICs: nics, Accel: AccelTCG}.Args()
		if err != nil {
			t.Fatal(err)
		}
		if got := after(args, "-device")[1:]; !slices.Equal(got, want) {
			t.Errorf("%s: devices %q, want %q", machine, got, want)
		}
		if got := after(args, "-netdev"); !slices.Equal(got, []string{"user,id=net0,hostfwd=udp::7000-:7", "user,id=net1"}) {
			t.Errorf("%s: backends %q", machine, got)
		}
		if got := after(args, "-machine"); !strings.HasPrefix(got[0], machine) && machine != "q35,hpet=off" {
			t.Errorf("-machine is %q for %s", got, machine)
		}
	}
}

func TestArgs_badConfig_isRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"no image":            {},
		"unknown machine":     {Kernel: "a", Machine: "pc98"},
		"unknown accelerator": {Kernel: "a", Accel: "warp"},
		"negative memory":     {Kernel: "a", MemoryMiB: -1},
		"NIC without backend": {Kernel: "a", Accel: AccelTCG, NICs: []NIC{{}}},
	} {
		if args, err := c.Args(); err == nil {
			t.Errorf("%s gave %q", name, args)
		}
	}
}

func TestFindQEMU_missing_namesThePackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("BAREWIRE_QEMU", "")
	_, err := FindQEMU()
	if err == nil || !strings.Contains(err.Error(), "qemu-system-x86") || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("error %v does not say how to get QEMU", err)
	}
	fake := filepath.Join(t.TempDir(), "myqemu")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BAREWIRE_QEMU", fake)
	if got, err := FindQEMU(); err != nil || got != fake {
		t.Errorf("BAREWIRE_QEMU gave %q, %v", got, err)
	}
}

func TestGuestStatus_everyByte_roundTrips(t *testing.T) {
	for v := 0; v < 128; v++ {
		if got, ok := GuestStatus(v<<1 | 1); !ok || got != v {
			t.Errorf("guest status %d came back as %d, %v", v, got, ok)
		}
	}
	if got, ok := GuestStatus(0); !ok || got != 0 {
		t.Errorf("a power-off came back as %d, %v", got, ok)
	}
	for _, qemu := range []int{-1, 2, 134} {
		if got, ok := GuestStatus(qemu); ok {
			t.Errorf("QEMU status %d passed for guest status %d", qemu, got)
		}
	}
}

// A real QEMU takes the arguments on both machines, boots an image by its PVH note and brings its status back.
func TestProbe_tcg_statusComesBack(t *testing.T) {
	qemu, err := FindQEMU()
	if err != nil {
		t.Skip(err)
	}
	if err := probe(qemu, AccelTCG, "max", 30*time.Second); err != nil {
		t.Error(err)
	}
}

func TestProbe_brokenGuest_isAnError(t *testing.T) {
	qemu, err := FindQEMU()
	if err != nil {
		t.Skip(err)
	}
	if err := probe(qemu, AccelTCG, "no-such-cpu", 30*time.Second); err == nil || !strings.Contains(err.Error(), "no-such-cpu") {
		t.Errorf("a guest that cannot start gave %v", err)
	}
}

func TestProbe_slowGuest_isAnError(t *testing.T) {
	qemu, err := FindQEMU()
	if err != nil {
		t.Skip(err)
	}
	if err := probe(qemu, AccelTCG, "max", time.Millisecond); err == nil || !strings.Contains(err.Error(), "not done in 1ms") {
		t.Errorf("a guest that takes too long gave %v", err)
	}
}
