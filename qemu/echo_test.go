package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

func dialUDP(addr netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(addr))
}

// firstEcho sends a datagram every so often until one comes back and returns
// the moment it did.
func firstEcho(conn net.Conn, timeout, every time.Duration) (time.Time, error) {
	probe, buf := []byte("first echo probe"), make([]byte, 2048)
	for end := time.Now().Add(timeout); time.Now().Before(end); {
		conn.Write(probe) // an error is an ICMP answer to an earlier one: keep on
		conn.SetReadDeadline(time.Now().Add(every))
		n, err := conn.Read(buf)
		if err == nil {
			if !bytes.Equal(buf[:n], probe) {
				return time.Time{}, fmt.Errorf("the first echo is %q", buf[:n])
			}
			at := time.Now()
			drain(conn, buf)
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("no echo in %v", timeout)
}

// drain reads what is still on its way, until nothing comes for a while.
func drain(conn net.Conn, buf []byte) {
	for {
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(buf); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// echoMany sends count datagrams of many sizes, no more than window of them
// unanswered, checks every byte that comes back, and returns how many did not.
// Each carries its number, so a copy or a mix-up is seen; order is free.
func echoMany(conn net.Conn, count, window int) (lost int, err error) {
	size := func(seq int) int { return 8 + (seq*37)%1465 } // 8 … 1472
	buf := make([]byte, 2048)
	payload := make([]byte, 0, 2048)
	waiting := make(map[uint64]bool, window)
	fill := func(seq int) []byte {
		payload = binary.BigEndian.AppendUint64(payload[:0], uint64(seq))
		n := size(seq)
		for i := 8; i < n; i++ {
			payload = append(payload, byte(seq*7+i*13))
		}
		return payload
	}
	for sent := 0; sent < count || len(waiting) > 0; {
		for sent < count && len(waiting) < window {
			if _, err := conn.Write(fill(sent)); err != nil {
				return 0, fmt.Errorf("datagram %d: %w", sent, err)
			}
			waiting[uint64(sent)] = true
			sent++
		}
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			lost += len(waiting)
			clear(waiting)
			if lost > 10*window {
				return lost, fmt.Errorf("given up after %d datagrams", sent)
			}
			continue
		}
		if err != nil {
			return lost, err
		}
		if n < 8 {
			return lost, fmt.Errorf("%d bytes came back", n)
		}
		seq := binary.BigEndian.Uint64(buf)
		if !waiting[seq] {
			return lost, fmt.Errorf("datagram %d came back unasked", seq)
		}
		delete(waiting, seq)
		if !bytes.Equal(buf[:n], fill(int(seq))) {
			return lost, fmt.Errorf("datagram %d of %d bytes came back changed, %d bytes long", seq, size(int(seq)), n)
		}
	}
	return lost, nil
}

// echoMany itself, against a socket that loses, copies and spoils.
func TestEchoMany_SeesFaults(t *testing.T) {
	for name, fault := range map[string]func(seq uint64, b []byte) [][]byte{
		"none":  func(_ uint64, b []byte) [][]byte { return [][]byte{b} },
		"lost":  func(seq uint64, b []byte) [][]byte { return [][]byte{b}[:min(1, seq^50)] },
		"copy":  func(seq uint64, b []byte) [][]byte { return [][]byte{b, b}[:2-min(1, seq^50)] },
		"spoil": func(seq uint64, b []byte) [][]byte { b[len(b)-1] ^= byte(1 - min(1, seq^50)); return [][]byte{b} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			go func() {
				buf := make([]byte, 2048)
				for {
					n, from, err := server.ReadFrom(buf)
					if err != nil {
						return
					}
					for _, b := range fault(binary.BigEndian.Uint64(buf), buf[:n]) {
						server.WriteTo(b, from)
					}
				}
			}()
			conn, err := dialUDP(server.LocalAddr().(*net.UDPAddr).AddrPort())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			lost, err := echoMany(conn, 200, 16)
			switch name {
			case "none":
				if lost != 0 || err != nil {
					t.Fatalf("lost %d, %v", lost, err)
				}
			case "lost":
				if lost != 1 || err != nil {
					t.Fatalf("lost %d, %v; one was dropped", lost, err)
				}
			default:
				if err == nil {
					t.Fatal("went unseen")
				}
			}
		})
	}
}
