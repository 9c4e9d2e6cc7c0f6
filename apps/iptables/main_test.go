package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTakeInput_fileNamed_readHere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		argv, rest []string
		input      string
	}{
		{[]string{"iptables", "-S"}, []string{"iptables", "-S"}, ""},
		{[]string{"iptables-restore", "-c"}, []string{"iptables-restore", "-c"}, "stdin"},
		{[]string{"iptables-restore", "-T", "nat", "-c", name}, []string{"iptables-restore", "-T", "nat", "-c"}, "text"},
		{[]string{"ipset", "-!", "restore"}, []string{"ipset", "-!", "restore"}, "stdin"},
		{[]string{"ipset", "-f", name, "restore"}, []string{"ipset", "restore"}, "text"},
	} {
		rest, input, err := takeInput(c.argv, strings.NewReader("stdin"))
		if err != nil || !slices.Equal(rest, c.rest) || string(input) != c.input {
			t.Errorf("%q: %q %q %v", c.argv, rest, input, err)
		}
	}
	if _, _, err := takeInput([]string{"iptables-restore", name + "x"}, nil); err == nil {
		t.Error("a file that is not there was read")
	}
}
