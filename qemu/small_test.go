package qemu

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"barewire/toolchain/pack"
)

// packed returns the image of a program, packed. Packing takes seconds, so it is done once.
func packed(t *testing.T, pkg string) string {
	t.Helper()
	name := image(t, pkg)
	once, _ := packedImages.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return pack.Image(data)
	}))
	data, err := once.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return write(t, data)
}

var packedImages sync.Map // of an unpacked one's name to how it is packed

func write(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image.elf")
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// A packed image finds the machine as one that is not packed does: memory, command line, modules, devices.
func TestPacked_BootsAsUnpacked(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		m := Start(t, Config{Machine: machine, Kernel: packed(t, guests+"probe"), Memory: 64, CPUs: 2,
			Initrd: write(t, []byte("an initial file system")), Append: "one two", NICs: []NIC{{Backend: User{}}}})
		if _, err := m.Console.WaitFor("^READY$", bootTime); err != nil {
			t.Fatal(err)
		}
		out := m.Console.Output()
		for _, want := range []string{`cmdline "one two"`, `module 22 bytes .*an initial file system`, `^clock [1-9]`, `^ram 0x`} {
			if !regexp.MustCompile("(?m)" + want).MatchString(out) {
				t.Errorf("no line like %q in:\n%s", want, out)
			}
		}
	})
}

// What keeps a packed image from being unpacked is said on the console.
func TestPacked_CannotBoot_says(t *testing.T) {
	good := packed(t, echoApp)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"damaged", Config{Kernel: write(t, data), Memory: 64}, "is damaged"},
		{"small", Config{Kernel: good, Memory: 8}, "memory is too small"},
		{"in the way", Config{Kernel: good, Memory: 16, Initrd: write(t, make([]byte, 8<<20))}, "in this image's place"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Start(t, c.cfg)
			code, err := m.Wait(bootTime)
			if out := m.Console.Output(); err != nil || code != 2 || !strings.Contains(out, c.want) {
				t.Errorf("code %d, %v, console %q; want code 2 and %q", code, err, out, c.want)
			}
		})
	}
}

// The sizes of images are kept: what makes one larger by a tenth is to be noticed.
func TestImageSize_withinLimits(t *testing.T) {
	for pkg, most := range map[string]struct{ file, packed int }{ // KiB
		echoApp:             {9500, 3000},
		"barewire/apps/web": {13400, 4200},
	} {
		for i, name := range []string{image(t, pkg), packed(t, pkg)} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			limit := [...]int{most.file, most.packed}[i]
			t.Logf("%s: %d KiB of %d", pkg, info.Size()>>10, limit)
			if info.Size()>>10 > int64(limit) {
				t.Errorf("%s has %d KiB, more than %d", pkg, info.Size()>>10, limit)
			}
		}
	}
}

// Without what the tags leave out an image is smaller by a sixth, and the program finds everything else.
func TestImage_withoutFilterAndDHCP(t *testing.T) {
	whole, err := os.Stat(image(t, echoApp)) // makes the builder
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "small.elf")
	images.Lock()
	images.builder.Tags = "nonetfilter,nodhcp"
	err = images.builder.Build(echoApp, name)
	images.builder.Tags = ""
	images.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	small, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d KiB, %d KiB with both", small.Size()>>10, whole.Size()>>10)
	if small.Size() > whole.Size()*5/6 {
		t.Error("it is no smaller")
	}
	m, p := startWired(t, Config{Kernel: name, Memory: 32, CPUs: 2}, Dgram)
	if _, err := m.Console.WaitFor("^echo: listening", bootTime); err != nil {
		t.Fatal(err)
	}
	mac, err := p.Resolve(guestIP, bootTime)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ping(mac, guestIP, 1, 1, pattern(1, 56), bootTime); err != nil {
		t.Error(err)
	}
}

// The stock net/http serves 16 connections at once in 24 MiB, and on four processors, of which each has stores of free memory and
// of packets of its own, in 32.
func TestSmallestMemory_serves(t *testing.T) {
	for _, c := range []struct{ cpus, mebibytes int }{{1, 24}, {4, 32}} {
		t.Run(fmt.Sprint(c.cpus), func(t *testing.T) { servesIn(t, c.cpus, c.mebibytes) })
	}
}

func servesIn(t *testing.T, cpus, mebibytes int) {
	m := Start(t, Config{Kernel: image(t, "barewire/apps/web"), CPUs: cpus, Memory: mebibytes, Append: "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off",
		NICs: []NIC{{Backend: User{Forwards: []Forward{{Proto: "tcp", GuestPort: 80}}}}}})
	if _, err := m.Console.WaitFor("^web: http", bootTime); err != nil {
		t.Fatal(err)
	}
	port, err := m.HostPort("tcp", 80)
	if err != nil {
		t.Fatal(err)
	}
	const conns, requests = 16, 30
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns}}
	defer client.CloseIdleConnections()
	get := func() error {
		r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/status", port))
		if err != nil {
			return err
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err == nil && (r.StatusCode != 200 || len(body) == 0) {
			err = fmt.Errorf("status %d, %d bytes", r.StatusCode, len(body))
		}
		return err
	}
	var group sync.WaitGroup
	for range conns {
		group.Go(func() {
			for range requests {
				if err := get(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
