// Command barewire makes bootable images of pure-Go Linux programs and runs them in QEMU.
//
//	barewire build [-o file] PKG              make an image
//	barewire run [flags] PKG [-- app args]    make an image and boot it
//	barewire test [flags] PKG [-- test flags] run a package's own tests in QEMU
//	barewire std [flags] [PKG...]             run the standard library's own tests in QEMU
//	barewire profile [flags] HOST:PORT        say where a running image's time and memory go
//	barewire doctor                           say what is missing and how to get it
//
// PKG is a package as the go command names it: ./apps/echo, or an import path from the module graph. "barewire COMMAND -h" lists
// the flags of a command. The exit status is 0 on success, the guest's own for run and test, 2 for wrong usage, and 1
// otherwise.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// commands are the words that may follow barewire. args are those after the word.
var commands = map[string]func(args []string, io streams) error{
	"build":  build,
	"run":    run,
	"test":   test,
	"std":    std,
	"doctor": doctor,

	"profile": profile,
}

const usage = `usage: barewire COMMAND

  build [-o file] PKG               make a bootable image of a pure-Go Linux program
  run [flags] PKG [-- app args]     make an image and boot it in QEMU
  test [flags] PKG [-- test flags]  run a package's own tests in QEMU
  std [flags] [PKG...]              run the standard library's own tests in QEMU
  profile [flags] HOST:PORT         say where a running image's time and memory go
  profile -run [flags] PKG          the same of a program booted in QEMU
  doctor                            say what is missing and how to get it

PKG is ./apps/echo, github.com/u-root/u-root/cmds/core/netcat, ...
"barewire COMMAND -h" lists a command's flags.
`

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exitStatus is an error that only carries a status; its story has been told already.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is a wrong command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func main() { os.Exit(barewire(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})) }

// barewire runs one command line and returns the exit status.
func barewire(args []string, io streams) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(io.err, usage)
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	command := commands[args[0]]
	if command == nil {
		fmt.Fprintf(io.err, "barewire: no such command: %q\n%s", args[0], usage)
		return 2
	}
	err := command(args[1:], io)
	var (
		status exitStatus
		wrong  usageError
	)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &wrong):
		if wrong != "" {
			fmt.Fprintln(io.err, "barewire:", wrong)
		}
		return 2
	}
	fmt.Fprintln(io.err, "barewire:", err)
	return 1
}

// newFlags returns a flag set whose usage line is line.
func newFlags(name, line string, io streams) *flag.FlagSet {
	fl := flag.NewFlagSet(name, flag.ContinueOnError)
	fl.SetOutput(io.err)
	fl.Usage = func() {
		fmt.Fprintf(io.err, "usage: barewire %s\n", line)
		fl.PrintDefaults()
	}
	return fl
}

// parse parses args; what follows "--" is returned apart. The flag package has already told about a wrong flag.
func parse(fl *flag.FlagSet, args []string) (rest []string, err error) {
	for i, a := range args {
		if a == "--" {
			args, rest = args[:i], args[i+1:]
			break
		}
	}
	switch err = fl.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, usageError("")
	}
	return rest, nil
}
