// Routerdemo shows the router at work, without any privilege: it boots the
// router's image with one card on QEMU's user network and one on a cable to a
// second image, whose program has its address from the router by DHCP, asks it
// for a name, and fetches a page through it from this process.
//
// The router's console is this terminal; the client's lines come between, with
// "client:" before them.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "routerdemo:", err)
		os.Exit(1)
	}
}

// run boots both images; args are the router's flags.
func run(args []string) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s, from beyond the router", r.RemoteAddr)
	}))
	a, b, err := freePorts()
	if err != nil {
		return err
	}
	cable := func(local, remote int) string {
		return fmt.Sprintf("socket,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d", remote, local)
	}
	// Both ignore the interrupt that ends the router.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)

	url := fmt.Sprintf("http://10.0.2.2:%d/", l.Addr().(*net.TCPAddr).Port)
	dir, err := os.MkdirTemp("", "routerdemo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tool := filepath.Join(dir, "barewire")
	if out, err := exec.Command("go", "build", "-o", tool, "./toolchain/barewire").CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	client := exec.Command(tool, "run", "-net", cable(b, a), "-append", "ip=dhcp", "./qemu/guest/lanclient", "--", url)
	said, err := client.StdoutPipe()
	if err != nil {
		return err
	}
	client.Stderr = client.Stdout
	if err := client.Start(); err != nil {
		return err
	}
	defer client.Wait()
	defer client.Process.Kill() // and QEMU with it
	go relay(said)

	fmt.Println("the router's console: try help, leases, iptables -L -n -v, conntrack -L (stop with Ctrl-C)")
	router := exec.Command(tool, append([]string{"run", "-net", "user", "-net", cable(a, b), "-append", "ip=:::::eth0:dhcp", "./apps/router", "--"}, args...)...)
	router.Stdin, router.Stdout, router.Stderr = os.Stdin, os.Stdout, os.Stderr
	return router.Run()
}

// relay prints the client's lines with its name before them.
func relay(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "client:") {
			fmt.Println(line)
		} else {
			fmt.Println("client:", line)
		}
	}
}

// freePorts finds two UDP ports that nobody has.
func freePorts() (a, b int, err error) {
	var ports [2]int
	for i := range ports {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		ports[i] = c.LocalAddr().(*net.UDPAddr).Port
	}
	return ports[0], ports[1], nil
}
