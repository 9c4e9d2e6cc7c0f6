// Echo answers every UDP datagram with the same bytes (RFC 862). It is an
// ordinary Linux program; nothing in it knows what it runs on.
//
//	echo [-addr host:port]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(out)
	addr := flags.String("addr", ":7", "UDP `host:port` to listen on")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	pc, err := net.ListenPacket("udp", *addr)
	if err != nil {
		return err
	}
	conn := pc.(*net.UDPConn)
	defer conn.Close()
	stopped := context.AfterFunc(ctx, func() { conn.Close() })
	defer stopped()

	port := conn.LocalAddr().(*net.UDPAddr).Port
	fmt.Fprintf(out, "echo: listening on UDP port %d; try: echo hello | nc -u -w 1 ADDRESS %d\n", port, port)

	err = serve(conn)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serve sends back what it reads. A datagram that cannot be sent back is lost,
// as any datagram may be; only a socket that cannot be read ends it.
func serve(conn *net.UDPConn) error {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		conn.WriteToUDPAddrPort(buf[:n], from)
	}
}
