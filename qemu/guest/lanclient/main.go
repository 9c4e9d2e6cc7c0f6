// Lanclient is a host behind a router: it has its address by DHCP, asks the
// router for a name, and fetches the URL of its argument.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Println("client:", err)
		os.Exit(1)
	}
}

func run(url string) error {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	fmt.Println("client: addresses", addrs)
	names, err := net.LookupHost("router.lan")
	if err != nil {
		return err
	}
	fmt.Println("client: router.lan is", strings.Join(names, " "))
	http.DefaultClient.Timeout = 30 * time.Second
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return err
	}
	fmt.Printf("client: %s: %s, %s\n", url, resp.Status, strings.TrimSpace(string(body)))
	return nil
}
