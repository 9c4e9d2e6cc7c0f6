// Package control runs the commands that are the kernel's own: iptables,
// iptables-save, iptables-restore and ipset. A command goes as a request into
// /proc/net/netfilter_control, and its reply is read from there.
package control

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// File is the kernel's.
const File = "/proc/net/netfilter_control"

// Do carries out a command with that standard input, and returns its exit
// status and what it prints. An error is the way's, not the command's.
func Do(argv []string, stdin []byte) (status int, stdout, stderr []byte, err error) {
	f, err := os.OpenFile(File, os.O_RDWR, 0)
	if err != nil {
		return 0, nil, nil, err
	}
	defer f.Close()
	if _, err := f.Write(request(argv, stdin)); err != nil {
		return 0, nil, nil, err
	}
	reply, err := io.ReadAll(f)
	if err != nil {
		return 0, nil, nil, err
	}
	return answer(reply)
}

// request is what the file takes: how many arguments and how many bytes of
// input there are, the arguments, each with a NUL behind it, and the input.
func request(argv []string, stdin []byte) []byte {
	b := fmt.Appendf(nil, "%d %d\n", len(argv), len(stdin))
	for _, a := range argv {
		b = append(append(b, a...), 0)
	}
	return append(b, stdin...)
}

// answer reads a reply: the exit status and the lengths of both outputs, and
// those.
func answer(reply []byte) (status int, stdout, stderr []byte, err error) {
	head, rest, ok := bytes.Cut(reply, []byte{'\n'})
	var out, warn int
	if _, err := fmt.Sscanf(string(head), "%d %d %d", &status, &out, &warn); !ok || err != nil ||
		out < 0 || warn < 0 || out > len(rest) || warn != len(rest)-out {
		return 0, nil, nil, fmt.Errorf("%s answers what is no answer", File)
	}
	return status, rest[:out], rest[out:], nil
}
