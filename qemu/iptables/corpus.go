package main

import (
	"fmt"
	"strings"

	"barewire/netfilter/iptables/iptablestest"
)

// tally counts the lines of corpora.
type tally struct{ pass, fail, unsupported int }

// verdict is what became of a line.
type verdict string

const (
	pass        verdict = "PASS"
	failed      verdict = "FAIL"
	unsupported verdict = "UNSUPPORTED"
)

// corpus judges one file.
func (j *judge) corpus(name, text string, total *tally) error {
	r, done, err := j.runner(".")
	if err != nil {
		return err
	}
	defer done()
	chains, table := []string{"INPUT"}, "filter"
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimRight(l, " \r")
		if l == "" || l[0] == '#' {
			continue
		}
		var v verdict
		var why string
		switch l[0] {
		case ':':
			chains = strings.Split(l[1:], ",")
			continue
		case '*':
			table = l[1:]
			continue
		case '%':
			v, why = command(r, "iptables "+l[1:])
		case '@':
			v, why = command(r, l[1:])
		default:
			for _, t := range strings.Split(table, ",") {
				for _, c := range chains {
					v, why = rule(r, t, c, strings.Split(l, ";"))
					if v != pass {
						why = t + " " + c + ": " + why
						break
					}
				}
				if v != pass {
					break
				}
			}
		}
		switch v {
		case pass:
			total.pass++
		case failed:
			total.fail++
		default:
			total.unsupported++
		}
		if v != pass || j.verbose {
			fmt.Fprintf(j.out, "%s %s:%d: %s", v, name, i+1, l)
			if why != "" {
				fmt.Fprintf(j.out, " (%s)", why)
			}
			fmt.Fprintln(j.out)
		}
	}
	return nil
}

// command runs a line that stands before rules.
func command(r iptablestest.Runner, line string) (verdict, string) {
	words, err := iptablestest.SplitShell(line)
	if err != nil || len(words) == 0 {
		return failed, fmt.Sprint(err)
	}
	res, err := r.Run(iptablestest.Command{Argv: words})
	switch {
	case err != nil || res.Status == 127:
		return unsupported, fmt.Sprint(err)
	case res.Status != 0:
		return failed, firstLine(res.Stderr)
	}
	return pass, ""
}

func firstLine(s string) string {
	l, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return l
}

// rule judges a line "rule;saved;OK".
func rule(r iptablestest.Runner, table, chain string, item []string) (verdict, string) {
	if len(item) < 3 {
		return failed, "a line needs three parts"
	}
	words, err := iptablestest.SplitShell(item[0])
	if err != nil {
		return failed, err.Error()
	}
	run := func(args ...string) iptablestest.Result {
		res, e := r.Run(iptablestest.Command{Argv: append([]string{"iptables", "-t", table}, args...)})
		if err == nil {
			err = e
		}
		return res
	}
	add := run(append([]string{"-A", chain}, words...)...)
	if err != nil {
		return failed, err.Error()
	}
	want := strings.TrimSpace(item[2])
	if add.Status != 0 {
		switch {
		case strings.Contains(add.Stderr, "Couldn't load"):
			return unsupported, firstLine(add.Stderr)
		case want == "OK" || want == "NOMATCH":
			return failed, fmt.Sprintf("status %d: %s", add.Status, firstLine(add.Stderr))
		}
		return pass, ""
	}
	defer run("-F", chain)
	if want == "FAIL" {
		return failed, "it was taken"
	}
	saved := item[1]
	if saved == "=" {
		saved = item[0]
	}
	text := strings.TrimRight("-A "+chain+" "+saved, " ")
	res, err := r.Run(iptablestest.Command{Argv: []string{"iptables-save", "-t", table}})
	if err != nil {
		return failed, err.Error()
	}
	if found := strings.Contains(res.Stdout, text+"\n"); found != (want == "OK") {
		have := ""
		for _, l := range strings.Split(res.Stdout, "\n") {
			if strings.HasPrefix(l, "-A ") {
				have = l
			}
		}
		return failed, fmt.Sprintf("have %q", have)
	}
	if del := run(append([]string{"-D", chain}, words...)...); del.Status != 0 {
		return failed, "cannot be deleted: " + firstLine(del.Stderr)
	}
	return pass, ""
}
