// Package cmdline splits a Linux kernel command line the way Linux does for init (Documentation/admin-guide/kernel-parameters):
// words before "--" are parameters, words after it are the program's arguments; a parameter KEY=value that
// the kernel does not know becomes a variable of the program's environment.
package cmdline

// Next splits the first word off line. A word ends at white space outside of double quotes; Linux removes the quotes
// around a value, which Unquote does. ok is false when no word is left.
func Next(line string) (word, rest string, ok bool) {
	i := 0
	for i < len(line) && space(line[i]) {
		i++
	}
	if i == len(line) {
		return "", "", false
	}
	start, quoted := i, false
	for ; i < len(line) && (quoted || !space(line[i])); i++ {
		if line[i] == '"' {
			quoted = !quoted
		}
	}
	return line[start:i], line[i:], true
}

// Split cuts the command line into kernel parameters and program arguments, at the first word "--".
func Split(line string) (params, args string) {
	for rest := line; ; {
		word, after, ok := Next(rest)
		if !ok {
			return line, ""
		}
		if word == "--" {
			return line[:len(line)-len(after)-2], after
		}
		rest = after
	}
}

// Value returns the value of parameter key in params ("key=value"; "key" alone has the value ""). The last one
// counts, as in Linux.
func Value(params, key string) (value string, ok bool) {
	for {
		word, rest, more := Next(params)
		if !more {
			return value, ok
		}
		if len(word) >= len(key) && word[:len(key)] == key {
			switch {
			case len(word) == len(key):
				value, ok = "", true
			case word[len(key)] == '=':
				value, ok = word[len(key)+1:], true
			}
		}
		params = rest
	}
}

// CPUs is how many of n processors are to be used: Linux's nosmp and maxcpus=N, where maxcpus=0 means one as well.
func CPUs(params string, n int) int {
	if _, ok := Value(params, "nosmp"); ok {
		return 1
	}
	if v, ok := Value(params, "maxcpus"); ok {
		if limit, rest, ok := number(v); ok && rest == "" && limit < uint64(n) {
			n = int(limit)
		}
	}
	return max(n, 1)
}

// Variable reports whether a parameter is one for the program's environment: KEY=value with a name
// that a shell would take and no dot (module.parameter), and not one of the kernel's own.
func Variable(word string) bool {
	for i := 0; i < len(word); i++ {
		c := word[i]
		switch {
		case c == '=':
			return i > 0 && !known(word[:i])
		case c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
		case c >= '0' && c <= '9':
			if i == 0 {
				return false
			}
		default:
			return false
		}
	}
	return false
}

// Unquote copies word to dst without its double quotes and returns the length; dst is at least as long.
func Unquote(dst []byte, word string) int {
	n := 0
	for i := 0; i < len(word); i++ {
		if word[i] != '"' {
			dst[n] = word[i]
			n++
		}
	}
	return n
}

// known are the parameters with a value that this kernel or its loaders use.
func known(key string) bool {
	switch key {
	case "ip", "console", "debug", "loglevel", "virtio_mmio", "reboot", "panic", "pci", "root", "init", "rdinit", "initrd",
		"earlyprintk", "acpi", "nomodule", "i8042", "maxcpus", "BOOT_IMAGE", "barewire":
		return true
	}
	return false
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// VirtioMMIO reads Linux's virtio_mmio.device=<size>@<base>:<irq>[:<id>]; size may end in K, M or G.
func VirtioMMIO(word string) (size, base uint64, irq uint32, ok bool) {
	const key = "virtio_mmio.device="
	if len(word) < len(key) || word[:len(key)] != key {
		return 0, 0, 0, false
	}
	s := word[len(key):]
	if size, s, ok = number(s); !ok {
		return 0, 0, 0, false
	}
	if len(s) > 0 {
		shift := 0
		switch s[0] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
		if shift > 0 {
			if size<<shift>>shift != size {
				return 0, 0, 0, false
			}
			size, s = size<<shift, s[1:]
		}
	}
	if len(s) == 0 || s[0] != '@' {
		return 0, 0, 0, false
	}
	if base, s, ok = number(s[1:]); !ok || len(s) == 0 || s[0] != ':' {
		return 0, 0, 0, false
	}
	n, s, ok := number(s[1:])
	if !ok || n > 1<<16 || len(s) > 0 && s[0] != ':' {
		return 0, 0, 0, false
	}
	return size, base, uint32(n), true
}

// number reads a decimal or 0x number from the front of s.
func number(s string) (n uint64, rest string, ok bool) {
	radix := uint64(10)
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		radix, s = 16, s[2:]
	}
	i := 0
	for ; i < len(s); i++ {
		d := uint64(255)
		switch c := s[i] | 0x20; {
		case s[i] >= '0' && s[i] <= '9':
			d = uint64(s[i] - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		}
		if d >= radix {
			break
		}
		if n > (1<<64-1-d)/radix {
			return 0, s, false
		}
		n = n*radix + d
	}
	return n, s[i:], i > 0
}
