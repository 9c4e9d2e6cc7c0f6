package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// start runs the program on a free port and returns that port.
func start(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-addr", "127.0.0.1:0"}, w) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	var port int
	if _, err := fmt.Fscanf(r, "echo: listening on UDP port %d", &port); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, r)
	return port
}

func TestEcho_sizes_byteForByte(t *testing.T) {
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", start(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 64<<10)
	for _, n := range []int{0, 1, 2, 100, 1472, 1473, 9000, 65507} {
		want := bytes.Repeat([]byte{byte(n), 1, 2}, n/3+1)[:n]
		if _, err := c.Write(want); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		m, err := c.Read(got)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if !bytes.Equal(got[:m], want) {
			t.Errorf("%d bytes came back as %d, or differ", n, m)
		}
	}
}

func TestEcho_clientGone_stillServes(t *testing.T) {
	port := start(t)
	// The answer to this one meets a closed port.
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("bye"))
	c.Close()
	c, err = net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.Write([]byte("hello"))
	b := make([]byte, 8)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("got %q, %v", b[:n], err)
	}
}

func TestRun_badArguments_explained(t *testing.T) {
	var out strings.Builder
	for _, args := range [][]string{{"-nosuch"}, {"-addr", "256.0.0.1:7"}, {"-addr", "127.0.0.1:99999"}} {
		if err := run(context.Background(), args, &out); err == nil {
			t.Errorf("run(%q) succeeded", args)
		}
	}
	if err := run(context.Background(), []string{"-h"}, &out); err != nil || !strings.Contains(out.String(), "host:port") {
		t.Errorf("-h: %v, output %q", err, out.String())
	}
}
