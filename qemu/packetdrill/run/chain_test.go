package run

import (
	"testing"
)

func TestUnchain(t *testing.T) {
	for in, want := range map[string]string{
		"a == 1":                             "a == 1",
		"1 <= a <= 2":                        "(1 <= a and a <= 2) ",
		"1 <= a < 2, a":                      "(1 <= a and a < 2) , a",
		"x = 1 < y < 3":                      "x = (1 < y and y < 3) ",
		"a << 2 >= b":                        "a << 2 >= b",
		"f(1 < a < 2, 'b < c < d') and q":    "f((1 < a and a < 2) , 'b < c < d') and q",
		"a == 1 and 2 < b < 3 or not c":      "a == 1 and (2 < b and b < 3)  or not c",
		"if 1 < a < 2: print(\"x < y < z\")": "if (1 < a and a < 2) : print(\"x < y < z\")",
		"(1 < a":                             "(1 < a",
	} {
		if got := unchain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestExec_chain_isPython(t *testing.T) {
	i := newInterpreter()
	vars := map[string]uint64{"a": 5}
	if err := i.exec("assert 4 < a <= 5, a\nif 1 < a < 3:\n  assert False", vars); err != nil {
		t.Error(err)
	}
	if err := i.exec("assert 5 < a <= 6, a", vars); err == nil {
		t.Error("no error")
	}
}

func FuzzUnchain(f *testing.F) {
	f.Add("a < b < (c) + [d")
	f.Add("'")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 1000 {
			unchain(s)
		}
	})
}
