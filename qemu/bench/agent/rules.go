package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// controlFile runs the commands that are barewire's own (see inet/nf).
const controlFile = "/proc/net/netfilter_control"

// restore puts the rules of a text of iptables-save in place: by the kernel's own
// command, or by Debian's on a Linux guest.
func restore(text string) error {
	f, err := os.OpenFile(controlFile, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		cmd := exec.Command("/usr/sbin/iptables-legacy-restore")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("iptables-legacy-restore: %w: %s", err, out)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "1 %d\niptables-restore\x00%s", len(text), text); err != nil {
		return err
	}
	reply, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	var status int
	if _, err := fmt.Sscan(string(reply), &status); err != nil || status != 0 {
		return fmt.Errorf("iptables-restore: %s", reply)
	}
	return nil
}
