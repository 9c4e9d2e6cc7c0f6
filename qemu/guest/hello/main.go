// Hello is the smallest program: it prints a line and its arguments, and ends with status 0.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Println("hello from", runtime.GOOS, runtime.GOARCH, runtime.Version(), os.Args, os.Environ())
}
