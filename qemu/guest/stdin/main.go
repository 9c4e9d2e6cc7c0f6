// Stdin answers the lines it reads on its standard input, the console:
//
//	time     "time <unix nanoseconds>"
//	quit N   ends with status N
//	anything "got <the line, quoted>"
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "time":
			fmt.Println("time", time.Now().UnixNano())
		case "quit":
			n, err := strconv.Atoi(rest)
			if err != nil {
				n = 99
			}
			os.Exit(n)
		default:
			fmt.Printf("got %q\n", lines.Text())
		}
	}
	fmt.Println("end of input:", lines.Err())
	os.Exit(98)
}
