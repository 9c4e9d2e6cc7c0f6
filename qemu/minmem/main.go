// Command minmem finds out, by booting it, with how little memory an image
// comes up.
//
//	minmem build/echo.elf
//
// An image is up when it has printed something, still runs a while later or has
// ended with exit code 0, and has not complained of a lack of memory.
package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"time"

	"barewire/qemu"
)

// The sizes between which the answer is looked for, in MiB.
const (
	tooLittle = 1
	plenty    = 512
)

const (
	patience = 5 * time.Second        // for the first output
	settle   = 600 * time.Millisecond // after it
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "minmem:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: minmem IMAGE.elf")
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return err
	}
	least, err := search(tooLittle, plenty, func(mib int) error { return boots(args[0], mib) })
	if err != nil {
		return fmt.Errorf("%s does not come up with %d MiB: %w", args[0], plenty, err)
	}
	fmt.Printf("%s: %.1f MiB, boots with %d MiB of memory or more\n", args[0], float64(info.Size())/(1<<20), least)
	return nil
}

// search returns the least n in (low, high] for which try succeeds, given that
// it keeps succeeding above that. The error is that of high.
func search(low, high int, try func(n int) error) (int, error) {
	if err := try(high); err != nil {
		return 0, err
	}
	for high-low > 1 {
		// The answer is nearer to low than to high: images are small.
		if mid := low + max(1, (high-low)/3); try(mid) == nil {
			high = mid
		} else {
			low = mid
		}
	}
	return high, nil
}

var complaint = regexp.MustCompile(`(?i)out of memory|cannot allocate|not enough memory`)

// boots tries one size.
func boots(image string, mib int) error {
	conn, end, err := qemu.NewWire(qemu.Dgram)
	if err != nil {
		return err
	}
	defer conn.Close()
	vm, err := qemu.Launch(context.Background(), qemu.Config{
		Kernel: image, Memory: mib, NICs: []qemu.NIC{{Backend: end}},
		Append: "ip=192.0.2.2::192.0.2.1:255.255.255.0::eth0:off",
	})
	if err != nil {
		return err
	}
	defer vm.Kill()
	if _, err := vm.Console.WaitFor(`\S`, patience); err != nil {
		return err
	}
	if code, err := vm.Wait(settle); !vm.Running() && (err != nil || code != 0) {
		return fmt.Errorf("ended with code %d, %v:\n%s", code, err, vm.Console.Tail(5))
	}
	if m := complaint.FindString(vm.Console.Output()); m != "" {
		return fmt.Errorf("it says %q", m)
	}
	return nil
}
