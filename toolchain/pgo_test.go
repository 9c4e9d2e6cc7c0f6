package toolchain

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPGOFlags_whoseProfile(t *testing.T) {
	root := writeTree(t, map[string]string{KernelProfile: "the kernel's"})
	own := writeTree(t, map[string]string{"default.pgo": "the program's"})
	none := t.TempDir()
	kernels, programs := "-pgo="+filepath.Join(root, KernelProfile), "-pgo="+filepath.Join(own, "default.pgo")
	for _, c := range []struct{ wish, root, dir, verb, want string }{
		{"", root, none, "build", kernels},
		{"auto", root, none, "build", kernels},
		{"", root, own, "build", programs},
		{"", none, none, "build", "-pgo=off"}, // of a source without one
		{"off", root, own, "build", "-pgo=off"},
		{"/x/mine.pgo", root, own, "build", "-pgo=/x/mine.pgo"},
		{"", root, own, "test", "-pgo=off"},
		{"/x/mine.pgo", root, own, "test", "-pgo=/x/mine.pgo"},
	} {
		b := &Builder{Source: &Source{Root: c.root}, PGO: c.wish}
		if got := b.pgoFlags(&listed{Dir: c.dir}, c.verb); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// The profile in the checkout is one of the kernel, and says nothing of the machine it was taken on.
func TestKernelProfile_isOfTheKernelAndOfNoMachine(t *testing.T) {
	s, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(s.Root, KernelProfile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"barewire/inet/tcp.(*Sock).transmit", "barewire/inet/ip.(*Net).Rcv", "barewire/napi.(*NAPI).poll"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("it does not know %s", want)
		}
	}
	for _, bad := range []string{"/home/", "/root/", "/tmp/", "/work/", "/usr/"} {
		if bytes.Contains(text, []byte(bad)) {
			t.Errorf("it has a path with %s", bad)
		}
	}
}
