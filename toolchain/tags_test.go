package toolchain

import "testing"

func TestResolveTags_knownTag_isAnsweredAndTheRestStays(t *testing.T) {
	known := map[string]bool{"tamago": true, "tiny": false}
	for _, c := range []struct{ name, in, want string }{
		{"a.go", "//go:build tamago\n\npackage a\n", "\n\npackage a\n"},
		{"a.go", "//go:build !tamago\n\npackage a\n", ""},
		{"a.go", "//go:build tamago && !dhcp\n\npackage a\n", "//go:build !dhcp\n\npackage a\n"},
		{"a.go", "//go:build !tamago && dhcp\n\npackage a\n", ""},
		{"a.go", "//go:build !tamago || amd64 || tiny\n\npackage a\n", "//go:build amd64\n\npackage a\n"},
		{"a.go", "//go:build tamago || amd64\n\npackage a\n", "\n\npackage a\n"},
		{"a.go", "//go:build !(tiny || x) && (tamago && y)\npackage a\n", "//go:build !x && y\npackage a\n"},
		{"a.s", "// A comment first.\n\n//go:build tamago\nTEXT f\n", "// A comment first.\n\n\nTEXT f\n"},
		{"a.go", "package a\n\n//go:build !tamago\n", "package a\n\n//go:build !tamago\n"},
		{"a.go", "//go:build !tamago", ""},
		{"a.go", "", "\x00"}, // kept, empty
		{"a.txt", "//go:build !tamago\n", "//go:build !tamago\n"},
	} {
		got, keep, err := resolveTags(c.name, []byte(c.in), known)
		switch {
		case err != nil:
			t.Errorf("%q: %v", c.in, err)
		case keep != (c.want != ""):
			t.Errorf("%q: kept is %v", c.in, keep)
		case keep && c.want != "\x00" && string(got) != c.want:
			t.Errorf("%q became %q, want %q", c.in, got, c.want)
		}
	}
	if _, _, err := resolveTags("a.go", []byte("//go:build tamago &&\n\npackage a\n"), known); err == nil {
		t.Error("a malformed constraint was accepted")
	}
}
