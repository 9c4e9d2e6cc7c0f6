package control

import "testing"

func TestRequestAnswer_form(t *testing.T) {
	if r := string(request([]string{"ipset", ""}, []byte("ab"))); r != "2 2\nipset\x00\x00ab" {
		t.Errorf("%q", r)
	}
	status, out, warn, err := answer([]byte("2 3 1\nabcd"))
	if err != nil || status != 2 || string(out) != "abc" || string(warn) != "d" {
		t.Errorf("%d %q %q %v", status, out, warn, err)
	}
	for _, bad := range []string{"", "1 2 3", "0 5 0\nabc", "0 -1 4\nabc"} {
		if _, _, _, err := answer([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
