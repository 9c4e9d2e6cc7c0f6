//go:build tamago

package microvm

import (
	"unsafe"

	"barewire/board/cmdline"
)

// The start block of a Linux process: argv, envp and auxv, in the form execve leaves them on the stack. The
// runtime's stock code reads os.Args, os.Environ and GODEBUG from it.

const (
	maxArgs = 256
	maxEnvs = 256

	atPagesz = 6
	atSecure = 23
	atRandom = 25
)

var (
	startBlock [maxArgs + maxEnvs + 16]uintptr
	startText  [2*8192 + 64]byte
	startRand  [16]byte
)

func argsSetup() {
	w := blockWriter{}
	params, args := cmdline.Split(CommandLine())
	w.str("/init")
	argc = 1
	for {
		word, rest, ok := cmdline.Next(args)
		if !ok || argc == maxArgs {
			break
		}
		w.str(word)
		argc++
		args = rest
	}
	w.word(0)
	// As Linux gives its init; the program may well be started without a word on the command line.
	w.str("HOME=/")
	w.str("TERM=linux")
	for n := 2; n < maxEnvs; {
		word, rest, ok := cmdline.Next(params)
		if !ok {
			break
		}
		if cmdline.Variable(word) {
			w.str(word)
			n++
		}
		params = rest
	}
	w.word(0)
	Random(startRand[:])
	for _, v := range [...]uintptr{atPagesz, page, atSecure, 0, atRandom, uintptr(unsafe.Pointer(&startRand)), 0, 0} {
		w.word(v)
	}
	argv = (**byte)(unsafe.Pointer(&startBlock))
}

// A blockWriter fills startBlock. Text of pvh.MaxCmdLine bytes and a NUL for each word fits startText.
type blockWriter struct{ words, text int }

func (w *blockWriter) word(v uintptr) {
	startBlock[w.words] = v
	w.words++
}

func (w *blockWriter) str(s string) {
	w.word(uintptr(unsafe.Pointer(&startText[w.text])))
	w.text += cmdline.Unquote(startText[w.text:], s) + 1
}

// CommandLine is the kernel command line as the loader gave it.
func CommandLine() string {
	return unsafe.String(unsafe.SliceData(info.CmdLine()), len(info.CmdLine()))
}
