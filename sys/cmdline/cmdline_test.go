package cmdline

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const ip = "192.0.2.2::192.0.2.1:255.255.255.0::eth0:off"
	for _, tc := range []struct {
		name, in string
		want     Line
	}{
		{"empty", "", nil},
		{"blanks", " \t\n", nil},
		{"value_with_colons", "ip=" + ip, Line{{"ip", ip, true}}},
		{"flag", "debug", Line{{"debug", "", false}}},
		{"empty_value", "ip=", Line{{"ip", "", true}}},
		{"stops_at_dashes", "debug -- -v ip=x", Line{{"debug", "", false}}},
		{"dashes_in_a_value", "a=-- b", Line{{"a", "--", true}, {"b", "", false}}},
		{"quoted_value", `hostname="my host" debug`, Line{{"hostname", "my host", true}, {"debug", "", false}}},
		{"quoted_word", `"hostname=my host"`, Line{{"hostname", "my host", true}}},
		{"open_quote", `hostname="my host`, Line{{"hostname", "my host", true}}},
		{"dotted", "virtio_mmio.device=512@0xfeb00e00:12", Line{{"virtio_mmio.device", "512@0xfeb00e00:12", true}}},
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

func TestAll_repeated_inOrder(t *testing.T) {
	l := Parse("ip=a quiet ip=b ip -- ip=c")
	if got := l.All("ip"); !slices.Equal(got, []string{"a", "b", ""}) {
		t.Errorf("All = %q", got)
	}
	if got := l.All("nothing"); got != nil {
		t.Errorf("All = %q", got)
	}
}

// FuzzCmdline checks that no text loses or invents words.
func FuzzCmdline(f *testing.F) {
	for _, s := range []string{"", "debug -- a", `a="b c" "d=e f`, "--", `" " = =x`, "sysctl.a=1 ip=x:y", "\x00 a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := Parse(s)
		for _, p := range l {
			if strings.Contains(p.Name, "=") || p.Value != "" && !p.HasValue || strings.Contains(p.Name+p.Value, `"`) {
				t.Errorf("Parse(%q): parameter %+v", s, p)
			}
		}
		l.Sysctls(func(name, value string) {})
		if strings.Contains(s, `"`) {
			return
		}
		// Without quotes every blank-separated word in front of "--" comes
		// out once.
		words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
		if i := slices.Index(words, "--"); i >= 0 {
			words = words[:i]
		}
		if len(l) != len(words) {
			t.Errorf("Parse(%q): %d words became %d", s, len(words), len(l))
		}
	})
}
