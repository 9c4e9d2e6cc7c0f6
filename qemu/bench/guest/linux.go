package guest

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// LinuxGuest is Debian's cloud kernel with an initial file system that holds the
// agent as its init and the modules it needs.
type LinuxGuest struct {
	Kernel  string // file of the kernel
	Initrd  string // file of the initial file system
	Version string // of the kernel, such as "6.1.0-56-cloud-amd64"
}

// Modules that a guest needs for its network cards, and those for a router with
// address translation. What they depend on comes by itself.
var (
	cardModules   = []string{"virtio_pci", "virtio_mmio", "virtio_net"}                                                                                // read-only
	routerModules = []string{"ip_tables", "iptable_filter", "iptable_nat", "xt_MASQUERADE", "xt_conntrack", "nf_conntrack", "xt_tcpudp", "xt_comment"} // read-only
)

// NewLinuxGuest makes a guest below dir from an agent: with router what filters and
// translates, and iperf3, from this machine's Debian, otherwise nothing but its
// card. The kernel's package comes
// from Debian's archive by apt-get, once; it is unpacked, not installed.
func NewLinuxGuest(dir, agent string, router bool) (*LinuxGuest, error) {
	root := filepath.Join(dir, "linux")
	version, err := unpackKernel(root)
	if err != nil {
		return nil, err
	}
	wanted := cardModules
	if router {
		wanted = append(append([]string(nil), wanted...), routerModules...)
	}
	modules, err := inOrder(filepath.Join(root, "lib/modules", version), wanted)
	if err != nil {
		return nil, err
	}
	g := &LinuxGuest{Kernel: filepath.Join(root, "boot/vmlinuz-"+version), Initrd: filepath.Join(dir, "linux.cpio"), Version: version}
	var programs []string
	if router {
		g.Initrd = filepath.Join(dir, "linux-router.cpio")
		if programs, err = programFiles(); err != nil {
			return nil, err
		}
	}
	return g, writeInitrd(g.Initrd, agent, modules, programs)
}

// unpackKernel sees to it that the kernel's package is unpacked at root, and
// returns its version.
func unpackKernel(root string) (version string, err error) {
	find := func() string {
		if l, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*")); len(l) > 0 {
			return strings.TrimPrefix(filepath.Base(l[0]), "vmlinuz-")
		}
		return ""
	}
	if v := find(); v != "" {
		return v, nil
	}
	out, err := exec.Command("apt-cache", "depends", "linux-image-cloud-amd64").Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends linux-image-cloud-amd64: %w (a Debian host is needed for the Linux guest)", err)
	}
	pkg := ""
	for line := range strings.Lines(string(out)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			pkg = "linux-image-" + p
			break
		}
	}
	if pkg == "" {
		return "", errors.New("linux-image-cloud-amd64 depends on no kernel; is apt-get update needed?")
	}
	tmp, err := os.MkdirTemp("", "barewire-kernel-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	get := exec.Command("apt-get", "download", pkg)
	get.Dir = tmp
	if out, err := get.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apt-get download %s: %w\n%s", pkg, err, out)
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages", pkg, len(debs))
	}
	if out, err := exec.Command("dpkg-deb", "-x", debs[0], root).CombinedOutput(); err != nil {
		return "", fmt.Errorf("dpkg-deb -x: %w\n%s", err, out)
	}
	if v := find(); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("%s has no kernel", pkg)
}

// module is a kernel module's file and what must be loaded before it.
type module struct {
	file    string
	depends []string
}

// inOrder returns the files of modules and of all they depend on, dependencies
// first.
func inOrder(root string, wanted []string) (files []string, err error) {
	all := map[string]module{}
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ko") {
			all[moduleName(strings.TrimSuffix(d.Name(), ".ko"))] = module{file: path}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		m, ok := all[name]
		if done[name] {
			return nil
		}
		done[name] = true
		if !ok {
			return fmt.Errorf("no module %s in %s", name, root)
		}
		deps, err := dependencies(m.file)
		if err != nil {
			return err
		}
		for _, d := range deps {
			if err := visit(d); err != nil {
				return err
			}
		}
		files = append(files, m.file)
		return nil
	}
	for _, name := range wanted {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// dependencies reads the names of the modules that a module says it needs: the
// word after "depends=" in its .modinfo section.
func dependencies(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("%s has no .modinfo", file)
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	var l []string
	for word := range bytes.SplitSeq(info, []byte{0}) {
		if d, ok := bytes.CutPrefix(word, []byte("depends=")); ok && len(d) > 0 {
			for _, name := range strings.Split(string(d), ",") {
				l = append(l, moduleName(name))
			}
		}
	}
	sort.Strings(l)
	return l, nil
}
