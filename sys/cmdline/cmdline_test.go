package cmdline

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const ip = "ip=192.0.2.2::192.0.2.1:255.255.255.0::eth0:off"
	for _, tc := range []struct {
		name, in string
		want     Line
	}{
		{"empty", "", Line{}},
		{"blanks", " \t\n", Line{}},
		{"value_with_colons", ip, Line{Params: []Param{{"ip", ip[3:], true}}}},
		{"flag", "debug", Line{Params: []Param{{"debug", "", false}}}},
		{"empty_value", "ip=", Line{Params: []Param{{"ip", "", true}}}},
		{"unknown_value_goes_to_env", "GODEBUG=gctrace=1", Line{Env: []string{"GODEBUG=gctrace=1"}}},
		{"unknown_word_goes_to_args", "single", Line{Args: []string{"single"}}},
		{"args_after_dashes", "debug -- -v debug ip=x", Line{Params: []Param{{"debug", "", false}}, Args: []string{"-v", "debug", "ip=x"}}},
		{"dashes_only_as_word", "A=-- B=1", Line{Env: []string{"A=--", "B=1"}}},
		{"quoted_value", `GREET="hello world" debug`, Line{Params: []Param{{"debug", "", false}}, Env: []string{"GREET=hello world"}}},
		{"quoted_word", `"GREET=hello world"`, Line{Env: []string{"GREET=hello world"}}},
		{"quoted_arg", `-- "a b" c`, Line{Args: []string{"a b", "c"}}},
		{"open_quote", `A="x y`, Line{Env: []string{"A=x y"}}},
		{"module_parameter_kept", "virtio_mmio.device=512@0xfeb00e00:12", Line{Params: []Param{{"virtio_mmio.device", "512@0xfeb00e00:12", true}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Parse(tc.in); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("Parse(%q)\n got %+v\nwant %+v", tc.in, got, tc.want)
			}
		})
	}
}

func TestLast_repeated(t *testing.T) {
	l := Parse("ip=a ip=b")
	if v, ok := l.Last("ip"); v != "b" || !ok {
		t.Errorf("Last = %q, %v; want the later word", v, ok)
	}
	if l.Flag("debug") {
		t.Error("Flag reports a parameter that is not there")
	}
}

func TestSysctls_order(t *testing.T) {
	l := Parse("sysctl.net.ipv4.ip_forward=1 sysctl/net/core/somaxconn=8 sysctl.novalue x.y=1")
	var got []string
	l.Sysctls(func(n, v string) { got = append(got, n+"="+v) })
	if want := []string{"net.ipv4.ip_forward=1", "net.core.somaxconn=8"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// FuzzCmdline checks that no text loses or invents words, and that nothing the
// kernel keeps reaches the program.
func FuzzCmdline(f *testing.F) {
	for _, s := range []string{"", "debug -- a", `a="b c" "d=e f`, "--", `" " = =x`, "sysctl.a=1 ip=x:y", "\x00 a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := Parse(s)
		for _, e := range l.Env {
			name, _, ok := strings.Cut(e, "=")
			if !ok || Known(name) {
				t.Errorf("Parse(%q): environment word %q", s, e)
			}
		}
		for _, p := range l.Params {
			if !Known(p.Name) {
				t.Errorf("Parse(%q): unknown parameter %q", s, p.Name)
			}
		}
		if strings.ContainsAny(s, "\"\x00") {
			return
		}
		// Without quotes every blank-separated word must come out once, but
		// for the first "--".
		words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
		want := len(words)
		if slices.Contains(words, "--") {
			want--
		}
		if got := len(l.Args) + len(l.Env) + len(l.Params); got != want {
			t.Errorf("Parse(%q): %d words became %d", s, want, got)
		}
	})
}
