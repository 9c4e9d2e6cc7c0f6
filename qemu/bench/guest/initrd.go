package guest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// programs are those of the machine that a Linux guest has under the same names,
// and what they load at run time. read-only.
var (
	programs  = []string{"/usr/sbin/iptables-legacy-restore", "/usr/bin/iperf3"}
	libraries = []string{"libxt_standard.so", "libxt_conntrack.so", "libxt_MASQUERADE.so"}
)

// programFiles returns the files of the programs, with the libraries they need.
func programFiles() (files []string, err error) {
	for _, p := range programs {
		if _, err := os.Stat(p); err != nil {
			return nil, fmt.Errorf("%w (the Linux guest has iptables and iperf3 from this machine: apt-get install iptables iperf3)", err)
		}
		out, err := exec.Command("ldd", p).Output()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w", p, err)
		}
		files = append(append(files, p), libraryFiles(string(out))...)
	}
	for _, l := range libraries {
		found, _ := filepath.Glob("/usr/lib/*/xtables/" + l)
		if len(found) == 0 {
			return nil, fmt.Errorf("no %s: apt-get install iptables", l)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

var libraryFile = regexp.MustCompile(`(?m)(?:=> |^\s+)(/\S+) \(0x`)

// libraryFiles are the files in what ldd prints.
func libraryFiles(out string) (l []string) {
	for _, m := range libraryFile.FindAllStringSubmatch(out, -1) {
		l = append(l, m[1])
	}
	return l
}

// writeInitrd writes an initial file system with the agent as /init, the modules
// in /modules, the order to load them in, and files of this machine.
func writeInitrd(file, agent string, modules, files []string) error {
	init, err := os.ReadFile(agent)
	if err != nil {
		return err
	}
	records := []cpio.Record{cpio.CharDev("dev/console", 0o600, 5, 1), cpio.StaticFile("init", string(init), 0o755)}
	folders := []string{"dev", "modules", "proc", "sys", "tmp", "run"}
	var order strings.Builder
	for _, m := range modules {
		b, err := os.ReadFile(m)
		if err != nil {
			return err
		}
		fmt.Fprintln(&order, filepath.Base(m))
		records = append(records, cpio.StaticFile("modules/"+filepath.Base(m), string(b), 0o644))
	}
	records = append(records, cpio.StaticFile("modules.order", order.String(), 0o644))
	for _, f := range files {
		b, err := os.ReadFile(f) // what a link points to, under the link's name
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(f, "/")
		records = append(records, cpio.StaticFile(name, string(b), 0o755))
		for d := filepath.Dir(name); d != "."; d = filepath.Dir(d) {
			folders = append(folders, d)
		}
	}
	slices.Sort(folders) // a folder before what is in it
	var all []cpio.Record
	for _, d := range slices.Compact(folders) {
		all = append(all, cpio.Directory(d, 0o755))
	}
	var b bytes.Buffer
	w := cpio.Newc.Writer(&b)
	if err := cpio.WriteRecords(w, append(all, records...)); err != nil {
		return err
	}
	if err := cpio.WriteTrailer(w); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
