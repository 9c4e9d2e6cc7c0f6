// Command iptables runs iptables, iptables-save, iptables-restore and ipset on a
// barewire image. The commands are the kernel's own; this program hands them
// over through /proc/net/netfilter_control and prints what comes back. Which
// command is meant its own name says or, if it has another, its first argument:
//
//	iptables iptables-save -c
//	iptables -A FORWARD -p tcp --dport 80 -j ACCEPT
//
// iptables-restore FILE and ipset -f FILE restore read the file here.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"barewire/apps/internal/control"
)

func main() {
	status, err := run(os.Args, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(4)
	}
	os.Exit(status)
}

// isCommand reports whether the kernel has a command of that name.
func isCommand(name string) bool {
	switch filepath.Base(name) {
	case "iptables", "iptables-save", "iptables-restore", "ipset":
		return true
	}
	return false
}

// run carries out a command line.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int, err error) {
	argv := append([]string{filepath.Base(args[0])}, args[1:]...)
	if len(args) > 1 && isCommand(args[1]) {
		argv = append([]string{filepath.Base(args[1])}, args[2:]...)
	}
	if !isCommand(argv[0]) {
		argv[0] = "iptables"
	}
	argv, input, err := takeInput(argv, stdin)
	if err != nil {
		return 0, err
	}
	status, out, warn, err := control.Do(argv, input)
	if err != nil {
		return 0, err
	}
	if _, err := stdout.Write(out); err != nil {
		return 0, err
	}
	_, err = stderr.Write(warn)
	return status, err
}

// takeInput reads what a command reads: the file it names, whose name the kernel
// need not know, or standard input.
func takeInput(argv []string, stdin io.Reader) (rest []string, input []byte, err error) {
	reads, file := argv[0] == "iptables-restore", -1
	for i := 1; i < len(argv); i++ {
		a := argv[i]
		switch {
		case argv[0] == "ipset" && (a == "-f" || a == "-file" || a == "--file") && i+1 < len(argv):
			file = i + 1
		case argv[0] == "ipset" && (a == "restore" || a == "-R" || a == "--restore"):
			reads = true
		case argv[0] == "iptables-restore" && (a == "-T" || a == "--table" || a == "-M" || a == "--modprobe"):
			i++
		case argv[0] == "iptables-restore" && !strings.HasPrefix(a, "-") && argv[i-1] != "-w" && argv[i-1] != "-W":
			file = i
		}
	}
	switch {
	case !reads:
		return argv, nil, nil
	case file < 0:
		input, err = io.ReadAll(stdin)
		return argv, input, err
	}
	if input, err = os.ReadFile(argv[file]); err != nil {
		return nil, nil, err
	}
	from := file
	if argv[0] == "ipset" {
		from--
	}
	return append(append([]string(nil), argv[:from]...), argv[file+1:]...), input, nil
}
