package iptables_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"barewire/netfilter/iptables/iptablestest"
)

// do runs a command line, and fails the test if its status is not the wanted one.
func do(t *testing.T, w *iptablestest.World, status int, stdin string, argv ...string) iptablestest.Result {
	t.Helper()
	r, err := w.Run(iptablestest.Command{Argv: argv, Stdin: stdin})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != status {
		t.Fatalf("%q: status %d, not %d: %s", argv, r.Status, status, r.Stderr)
	}
	return r
}

var comments = regexp.MustCompile(`(?m)^#.*\n`)

// saved is what iptables-save prints, without the dates.
func saved(t *testing.T, w *iptablestest.World) string {
	t.Helper()
	return comments.ReplaceAllString(do(t, w, 0, "", "iptables-save", "-c").Stdout, "")
}

const before = `*mangle
-A PREROUTING -i eth0 -j MARK --set-mark 1
COMMIT
*filter
:INPUT DROP [3:4]
:mine - [0:0]
[7:8] -A FORWARD -p tcp -m tcp --dport 80 -j mine
-A mine -m comment --comment "two words" -j ACCEPT
COMMIT
`

// TestRestore_anyFailure_changesNothing: whatever is wrong, and in whichever
// table of the file, all tables are as they were.
func TestRestore_anyFailure_changesNothing(t *testing.T) {
	for _, c := range []struct {
		name, text string
		status     int
		want       string // in what is said
	}{
		{"rule of the second table", "*mangle\nCOMMIT\n*filter\n-A FORWARD -p tcp --dport nosuch\nCOMMIT\n", 2, "line: 4, column: 19"},
		{"option", "*filter\n-A FORWARD -j ACCEPT\n-A FORWARD  -p tcp --nosuch 1 -j DROP\nCOMMIT\n", 2, "line: 3, column: 20"},
		{"match", "*filter\n-A FORWARD -m osf --genre Linux\nCOMMIT\n", 2, "line: 2, column: 12"},
		{"target", "*filter\n-A FORWARD -j NOSUCH\nCOMMIT\n", 2, "line: 2, column: "},
		{"address", "*filter\n[1:2] -A FORWARD -j ACCEPT -s 1.2.3.4,x.y\nCOMMIT\n", 2, "line: 2, column: 31"},
		{"chain that is not there", "*filter\n-A NOSUCH -j ACCEPT\nCOMMIT\n", 1, "line 2 failed, column 1"},
		{"table refused at the end", "*mangle\nCOMMIT\n*filter\n-A FORWARD -j ACCEPT\n  -A FORWARD -j MASQUERADE\nCOMMIT\n", 1, "line 5 failed, column 3: x_tables"},
		{"circle", "*filter\n:a - [0:0]\n:b - [0:0]\n-A FORWARD -j a\n-A a -j b\n-A b -j a\nCOMMIT\n", 1, "line 6 failed, column 1: loop"},
		{"no COMMIT", "*mangle\nCOMMIT\n*filter\n-A FORWARD -j ACCEPT\n", 1, "COMMIT expected at line 5"},
		{"COMMIT cut off", "*mangle\nCOMMIT\n*filter\n-A FORWARD -j ACCEPT\nCOMMIT", 2, "line: 5, column: 1"},
		{"quote", "*filter\n-A FORWARD -m comment --comment \"open\n-A FORWARD\nCOMMIT\n", 2, "line: 2, column: 33"},
		{"policy", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD REJECT [0:0]\nCOMMIT\n", 1, "line 3, column 10"},
		{"counters", "*filter\n:INPUT ACCEPT [0:x]\nCOMMIT\n", 2, "line: 2, column: 15"},
		{"table", "*filter\nCOMMIT\n*nosuch\nCOMMIT\n", 2, "line: 3, column: 2"},
		{"after the name of a table", "*filter now\nCOMMIT\n", 2, "line: 1, column: 9"},
		{"outside", "*filter\nCOMMIT\n-A FORWARD\n", 1, "line 3 failed"},
		{"NUL", "*filter\n-A FORWARD -i a\x00b\nCOMMIT\n", 2, "line: 2, column: 16"},
		{"rule counters", "*filter\n[1:] -A FORWARD\nCOMMIT\n", 2, "line: 2, column: 1"},
		{"long line", "*filter\n-A FORWARD -m comment --comment " + strings.Repeat("x", 2<<20) + "\nCOMMIT\n", 1, "line 2 failed"},
		{"-X in use", "*filter\n:a - [0:0]\n-A FORWARD -j a\n-X a\nCOMMIT\n", 1, "line 4 failed, column 1: Too many links"},
		{"help", "*filter\n-A FORWARD -h\nCOMMIT\n", 2, "line: 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, arg := range []string{"-c", "-n"} {
				w := iptablestest.NewWorld()
				do(t, w, 0, before, "iptables-restore", "-c")
				was := saved(t, w)
				r := do(t, w, c.status, c.text, "iptables-restore", arg)
				if !strings.Contains(r.Stderr, c.want) && arg == "-n" {
					t.Errorf("it says %q, without %q", r.Stderr, c.want)
				}
				if is := saved(t, w); is != was {
					t.Errorf("with %s it was\n%s\nand is\n%s", arg, was, is)
				}
			}
		})
	}
}

// TestRestore_test_changesNothing: --test only looks.
func TestRestore_test_changesNothing(t *testing.T) {
	w := iptablestest.NewWorld()
	do(t, w, 0, before, "iptables-restore", "-c")
	was := saved(t, w)
	do(t, w, 0, "*filter\nCOMMIT\n", "iptables-restore", "--test")
	if is := saved(t, w); is != was {
		t.Errorf("it was\n%s\nand is\n%s", was, is)
	}
}

// TestRestore_saved_stable: what was saved is restored as it was, and saved as it
// was.
func TestRestore_saved_stable(t *testing.T) {
	w := iptablestest.NewWorld()
	do(t, w, 0, before, "iptables-restore", "-c")
	do(t, w, 0, "", "iptables", "-P", "INPUT", "DROP", "-c", "3", "4")
	was := saved(t, w)
	if !strings.Contains(was, ":INPUT DROP [3:4]\n") || !strings.Contains(was, "[7:8] -A FORWARD -p tcp -m tcp --dport 80 -j mine\n") ||
		!strings.Contains(was, "--comment \"two words\"") {
		t.Fatalf("%s", was)
	}
	again := iptablestest.NewWorld()
	do(t, again, 0, was, "iptables-restore", "-c")
	if is := saved(t, again); is != was {
		t.Errorf("it was\n%s\nand is\n%s", was, is)
	}
}

// TestRestore_twice_oneTable: a table may come more than once in a file.
func TestRestore_twice_oneTable(t *testing.T) {
	w := iptablestest.NewWorld()
	do(t, w, 0, "*filter\n-A INPUT -s 1.1.1.1\nCOMMIT\n*nat\nCOMMIT\n*filter\n-A INPUT -s 2.2.2.2\nCOMMIT\n", "iptables-restore", "-n")
	if got := do(t, w, 0, "", "iptables", "-S", "INPUT").Stdout; got != "-P INPUT ACCEPT\n-A INPUT -s 1.1.1.1/32\n-A INPUT -s 2.2.2.2/32\n" {
		t.Error(got)
	}
}

// TestRestore_manyRules_notQuadratic: a large file is read in one pass.
func TestRestore_manyRules_notQuadratic(t *testing.T) {
	var b strings.Builder
	b.WriteString("*filter\n")
	for i := range 20000 {
		fmt.Fprintf(&b, ":c%05d - [0:0]\n-A c%05d -s 10.%d.%d.%d -j ACCEPT\n", i, i, i>>16, i>>8&255, i&255)
	}
	b.WriteString("COMMIT\n")
	w := iptablestest.NewWorld()
	do(t, w, 0, b.String(), "iptables-restore")
	if n := len(w.Tables.Get("filter").Chains); n != 20003 {
		t.Error(n, "chains")
	}
}

// TestRename_jumps_follow: renaming a chain in place does not change the rules
// packets may be walking, but makes others.
func TestRename_jumps_follow(t *testing.T) {
	w := iptablestest.NewWorld()
	do(t, w, 0, before, "iptables-restore", "-c")
	old := w.Tables.Get("filter").Chain("FORWARD").Rules[0]
	do(t, w, 0, "", "iptables", "-E", "mine", "yours")
	if old.Jump != "mine" {
		t.Error("a rule in place was changed")
	}
	if s := saved(t, w); !strings.Contains(s, "[7:8] -A FORWARD -p tcp -m tcp --dport 80 -j yours\n-A") && !strings.Contains(s, "-j yours\n[0:0] -A yours") {
		t.Error(s)
	}
	do(t, w, 1, "", "iptables", "-X", "yours")
	do(t, w, 0, "", "iptables", "-F")
	do(t, w, 0, "", "iptables", "-X", "yours")
}

// TestCommand_argumentInOneWord_taken: as newer versions of iptables do.
func TestCommand_argumentInOneWord_taken(t *testing.T) {
	w := iptablestest.NewWorld()
	do(t, w, 0, "", "iptables", "-AFORWARD", "-ptcp", "-s1.2.3.4", "-d5.6.7.8/32", "-ieth0", "-oeth1", "-jACCEPT")
	do(t, w, 0, "", "iptables", "--append=FORWARD", "--protocol=tcp", "--source=1.2.3.4", "--dst=5.6.7.8/32", "--in-interface=eth0", "--out-interface=eth1", "--jump=ACCEPT")
	want := "-A FORWARD -s 1.2.3.4/32 -d 5.6.7.8/32 -i eth0 -o eth1 -p tcp -j ACCEPT\n"
	if got := do(t, w, 0, "", "iptables", "-SFORWARD").Stdout; got != "-P FORWARD ACCEPT\n"+want+want {
		t.Error(got)
	}
}
