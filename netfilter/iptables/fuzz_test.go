package iptables_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"barewire/netfilter/iptables/iptablestest"
)

// FuzzRestore: any file is either refused, and changes nothing, or what is saved
// afterwards is restored and saved as it is.
func FuzzRestore(f *testing.F) {
	f.Add(before)
	f.Add("*filter\n-A FORWARD -p tcp --dport 80 \"-j\" ACCEPT -c 1 2\n-D FORWARD 1\n-E x y\n-Z\n-P INPUT DROP\nCOMMIT\n")
	f.Add("*nat\n:x - [0:0]\n-I PREROUTING 1 -m string --algo bm --hex-string \"|de ad|a\\|\" -j DNAT --to 1.2.3.4\nCOMMIT\n")
	f.Add("*raw\n-A PREROUTING -m u32 --u32 \"0>>22&0x3c@4=1:2,3\" -m time --weekdays Mo -m recent --set -j NOTRACK\nCOMMIT\n")
	f.Add("*filter\n-A INPUT ! -p sctp -m bpf --bytecode \"1,6 0 0 1\" -m statistic --mode nth --every 3 --packet 1 -s 1.2.3.4/9,5.6.7.8 -g x\nCOMMIT\n")
	f.Fuzz(func(t *testing.T, text string) {
		w := iptablestest.NewWorld()
		do(t, w, 0, before, "iptables-restore", "-c")
		was := saved(t, w)
		r, err := w.Run(iptablestest.Command{Argv: []string{"iptables-restore", "-c", "-n"}, Stdin: text})
		if err != nil {
			t.Fatal(err)
		}
		is := saved(t, w)
		if r.Status != 0 {
			if is != was {
				t.Fatalf("refused with %q, and changed:\n%s", r.Stderr, is)
			}
			if r.Stderr == "" {
				t.Fatal("refused without a word")
			}
			return
		}
		again := iptablestest.NewWorld()
		r, _ = again.Run(iptablestest.Command{Argv: []string{"iptables-restore", "-c"}, Stdin: is})
		if r.Status != 0 {
			if !stable(is) {
				return
			}
			t.Fatalf("what was saved is refused: %s\n%s", r.Stderr, is)
		}
		if s := saved(t, again); s != is && stable(is) {
			t.Fatalf("it was\n%s\nand is\n%s", is, s)
		}
	})
}

// stable tells texts with names that iptables-save does not put in quotes though
// they would need them: those of devices, chains and lists.
func stable(s string) bool {
	for _, opt := range []string{" -i ", " -o ", "--name ", "\n:", " -j ", " -g "} {
		for rest := s; ; {
			i := strings.Index(rest, opt)
			if i < 0 {
				break
			}
			rest = rest[i+len(opt):]
			word, after, _ := strings.Cut(rest, " ")
			word, _, _ = strings.Cut(word, "\n")
			if strings.ContainsAny(word, "\"'\\!\t\r") || strings.HasPrefix(word, "-") || word == "" || strings.HasPrefix(after, " ") {
				return false
			}
		}
	}
	return !strings.ContainsAny(s, "\r\x0b\x0c\x00")
}

// FuzzCommand: any command line is carried out or refused with a status and a
// word about it.
func FuzzCommand(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.sh")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		cmds, err := iptablestest.ParseScript(string(text))
		if err != nil {
			f.Fatal(err)
		}
		for i, c := range cmds {
			if i%7 == 0 && c.Argv[0] == "iptables" {
				f.Add(strings.Join(c.Argv[1:], "\x00"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, args string) {
		w := iptablestest.NewWorld()
		do(t, w, 0, before, "iptables-restore", "-c")
		r, err := w.Run(iptablestest.Command{Argv: append([]string{"iptables"}, strings.Split(args, "\x00")...)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Status < 0 || r.Status > 4 || r.Status != 0 && r.Stderr == "" {
			t.Fatalf("status %d, %q", r.Status, r.Stderr)
		}
		saved(t, w)
	})
}

// FuzzScript: the scripts of tests are read without a crash.
func FuzzScript(f *testing.F) {
	f.Add("a 'b c' \"d\\\"\" \\\n e <<X\nin\nX\n# no\n")
	f.Fuzz(func(t *testing.T, text string) {
		cmds, err := iptablestest.ParseScript(text)
		if err != nil {
			return
		}
		for _, c := range cmds {
			words, err := iptablestest.SplitShell(c.String())
			if err != nil || len(words) != len(c.Argv) && len(c.Argv) > 0 {
				t.Fatalf("%q became %q, %v", c.Argv, words, err)
			}
		}
	})
}
