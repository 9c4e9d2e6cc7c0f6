package vm

import "strings"

// ShellLine writes a command line so that it can be pasted into a shell.
func ShellLine(args []string) string {
	var words []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\"'$&;*?<>|()\\") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
