package cmdline

import (
	"slices"
	"strings"
	"testing"
)

func words(line string) (ws []string) {
	for {
		w, rest, ok := Next(line)
		if !ok {
			return ws
		}
		ws, line = append(ws, w), rest
	}
}

func TestNext_quotesAndSpace_wordsAsLinuxCutsThem(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{"  \t\n", nil},
		{"a b", []string{"a", "b"}},
		{" a=\"b c\" d ", []string{"a=\"b c\"", "d"}},
		{"\"a b\"=c", []string{"\"a b\"=c"}},
		{"a=\"never closed", []string{"a=\"never closed"}},
	} {
		if got := words(c.line); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
}

func TestSplit_dashes_paramsAndArgs(t *testing.T) {
	for _, c := range []struct{ line, params, args string }{
		{"a b -- c d", "a b ", " c d"},
		{"a b", "a b", ""},
		{"-- c", "", " c"},
		{"a --", "a ", ""},
		{"a --b -- -- c", "a --b ", " -- c"},
		{"a=\"x -- y\" -- c", "a=\"x -- y\" ", " c"},
	} {
		if p, a := Split(c.line); p != c.params || a != c.args {
			t.Errorf("%q: %q and %q, want %q and %q", c.line, p, a, c.params, c.args)
		}
	}
}

func TestValue_severalTimes_lastCounts(t *testing.T) {
	if v, ok := Value("ip=1 debug ip=2 ipx=3", "ip"); v != "2" || !ok {
		t.Errorf("ip: %q %v", v, ok)
	}
	if v, ok := Value("ip=1 debug", "debug"); v != "" || !ok {
		t.Errorf("debug: %q %v", v, ok)
	}
	if _, ok := Value("ip=1", "i"); ok {
		t.Error("i: found")
	}
}

func TestVariable_params_onlyUnknownKeyValue(t *testing.T) {
	for w, want := range map[string]bool{
		"FOO=bar": true, "GODEBUG=gctrace=1": true, "foo=": true, "_x1=2": true, "ip=1.2.3.4": false, "quiet": false,
		"virtio_mmio.device=512@0": false, "sysctl.net.x=1": false, "1a=b": false, "=b": false, "a-b=c": false, "": false,
	} {
		if got := Variable(w); got != want {
			t.Errorf("%q: %v", w, got)
		}
	}
}

func TestVirtioMMIO_words_asLinuxReadsThem(t *testing.T) {
	for _, c := range []struct {
		word       string
		size, base uint64
		irq        uint32
		ok         bool
	}{
		{"virtio_mmio.device=512@0xfeb00e00:12", 512, 0xfeb00e00, 12, true},
		{"virtio_mmio.device=4K@0xd0000000:5", 4096, 0xd0000000, 5, true},
		{"virtio_mmio.device=0x200@4275044864:12:3", 512, 4275044864, 12, true}, // with an id, which is not needed
		{"virtio_mmio.device=512@0xfeb00e00", 0, 0, 0, false},
		{"virtio_mmio.device=512@0xfeb00e00:", 0, 0, 0, false},
		{"virtio_mmio.device=512@0xfeb00e00:12x", 0, 0, 0, false},
		{"virtio_mmio.device=512", 0, 0, 0, false},
		{"virtio_mmio.device=99999999999999999999@0:1", 0, 0, 0, false},
		{"virtio_mmio.device=99999999999G@0:1", 0, 0, 0, false},
		{"virtio_mmio.device=", 0, 0, 0, false},
		{"virtio_mmio=512@0:1", 0, 0, 0, false},
	} {
		size, base, irq, ok := VirtioMMIO(c.word)
		if ok != c.ok || ok && (size != c.size || base != c.base || irq != c.irq) {
			t.Errorf("%s: %d %#x %d %v", c.word, size, base, irq, ok)
		}
	}
}

func FuzzCmdline(f *testing.F) {
	f.Add("ip=\"a b\" X=1 virtio_mmio.device=512@0xfeb00e00:12 -- -x \"y z\"")
	f.Fuzz(func(t *testing.T, line string) {
		params, args := Split(line)
		if len(params)+len(args) > len(line) {
			t.Fatal("more than there was")
		}
		n := 0
		for _, w := range append(words(params), words(args)...) {
			n += len(w)
			dst := make([]byte, len(w))
			if got := string(dst[:Unquote(dst, w)]); got != strings.ReplaceAll(w, "\"", "") {
				t.Fatalf("%q unquoted: %q", w, got)
			}
			Variable(w)
			VirtioMMIO(w)
			Value(line, w)
		}
		if n > len(line) {
			t.Fatal("words longer than the line")
		}
	})
}

func TestCPUs_linuxParameters_limitThem(t *testing.T) {
	for params, want := range map[string]int{
		"": 4, "maxcpus=2": 2, "maxcpus=0": 1, "maxcpus=9": 4, "nosmp": 1, "maxcpus=2 maxcpus=3": 3, "maxcpus=2x": 4, "maxcpus": 4,
		"maxcpus=99999999999999999999": 4, "nosmpx": 4,
	} {
		if n := CPUs(params, 4); n != want {
			t.Errorf("%q: %d CPUs, want %d", params, n, want)
		}
	}
}
