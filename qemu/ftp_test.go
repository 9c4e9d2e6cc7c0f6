package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FTP (RFC 959, RFC 2428) as far as its way through address translation needs:
// the address and port of the data connection are told in the control
// connection, by either side.

// ftpServer serves one file, of that contents, in the namespace.
func ftpServer(t *testing.T, ns *Namespace, contents []byte) {
	ns.serve(t, ":21", func(c net.Conn) {
		if err := ftpSession(ns, c, contents); err != nil && !errors.Is(err, io.EOF) {
			t.Logf("FTP server: %v", err)
		}
	})
}

// ftpSession answers one client.
func ftpSession(ns *Namespace, c net.Conn, contents []byte) error {
	text := textproto.NewConn(c)
	text.PrintfLine("220 ready")
	var data func() (net.Conn, error)
	for {
		line, err := text.ReadLine()
		if err != nil {
			return err
		}
		verb, arg, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "PASV", "EPSV":
			var l net.Listener
			if err := ns.Do(func() (err error) { l, err = net.Listen("tcp4", ":0"); return err }); err != nil {
				return err
			}
			defer l.Close()
			port := l.Addr().(*net.TCPAddr).Port
			if verb == "EPSV" {
				text.PrintfLine("229 Entering Extended Passive Mode (|||%d|)", port)
			} else {
				ip := c.LocalAddr().(*net.TCPAddr).IP.To4()
				text.PrintfLine("227 Entering Passive Mode (%d,%d,%d,%d,%d,%d)", ip[0], ip[1], ip[2], ip[3], port>>8, port&255)
			}
			data = func() (net.Conn, error) {
				l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
				return l.Accept()
			}
		case "PORT":
			n := strings.Split(arg, ",")
			if len(n) != 6 {
				return fmt.Errorf("PORT %s", arg)
			}
			hi, _ := strconv.Atoi(n[4])
			lo, _ := strconv.Atoi(n[5])
			addr := fmt.Sprintf("%s:%d", strings.Join(n[:4], "."), hi<<8|lo)
			text.PrintfLine("200 %s it is", addr)
			data = func() (net.Conn, error) { return ns.connect("tcp4", addr) }
		case "EPRT":
			n := strings.Split(arg, "|")
			if len(n) != 5 {
				return fmt.Errorf("EPRT %s", arg)
			}
			text.PrintfLine("200 %s port %s it is", n[2], n[3])
			data = func() (net.Conn, error) { return ns.connect("tcp4", n[2]+":"+n[3]) }
		case "RETR":
			text.PrintfLine("150 here it comes")
			d, err := data()
			if err != nil {
				text.PrintfLine("425 no data connection")
				return err
			}
			d.Write(contents)
			d.Close()
			text.PrintfLine("226 done")
		case "QUIT":
			text.PrintfLine("221 bye")
			return nil
		default:
			text.PrintfLine("200 ok")
		}
	}
}

// ftpFetch gets the file by one of the four ways.
func ftpFetch(t *testing.T, ns *Namespace, server, way string) ([]byte, error) {
	c, err := ns.connect("tcp4", server+":21")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	text := textproto.NewConn(c)
	ask := func(code int, format string, args ...any) (string, error) {
		if format != "" {
			text.PrintfLine(format, args...)
		}
		_, line, err := text.ReadResponse(code)
		return line, err
	}
	if _, err := ask(220, ""); err != nil {
		return nil, err
	}
	if _, err := ask(200, "USER me"); err != nil {
		return nil, err
	}
	var data func() (net.Conn, error)
	switch way {
	case "PASV", "EPSV":
		code := map[string]int{"PASV": 227, "EPSV": 229}[way]
		line, err := ask(code, "%s", way)
		if err != nil {
			return nil, err
		}
		_, rest, _ := strings.Cut(line, "(")
		rest, _, _ = strings.Cut(rest, ")")
		addr := ""
		if way == "EPSV" {
			addr = server + ":" + strings.Trim(rest, "|")
		} else {
			var ip [4]int
			var hi, lo int
			if _, err := fmt.Sscanf(rest, "%d,%d,%d,%d,%d,%d", &ip[0], &ip[1], &ip[2], &ip[3], &hi, &lo); err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			addr = fmt.Sprintf("%d.%d.%d.%d:%d", ip[0], ip[1], ip[2], ip[3], hi<<8|lo)
		}
		data = func() (net.Conn, error) { return ns.connect("tcp4", addr) }
	default:
		l := ns.listen(t, ":0")
		port, ip := l.Addr().(*net.TCPAddr).Port, c.LocalAddr().(*net.TCPAddr).IP.To4()
		command := fmt.Sprintf("PORT %d,%d,%d,%d,%d,%d", ip[0], ip[1], ip[2], ip[3], port>>8, port&255)
		if way == "EPRT" {
			command = fmt.Sprintf("EPRT |1|%v|%d|", ip, port)
		}
		if _, err := ask(200, "%s", command); err != nil {
			return nil, err
		}
		data = func() (net.Conn, error) {
			l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
			return l.Accept()
		}
	}
	text.PrintfLine("RETR file")
	d, err := data()
	if err != nil {
		return nil, fmt.Errorf("data connection: %w", err)
	}
	defer d.Close()
	d.SetDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(d)
	if err != nil {
		return nil, err
	}
	if _, err := ask(150, ""); err != nil {
		return nil, err
	}
	if _, err := ask(226, ""); err != nil {
		return nil, err
	}
	_, err = ask(221, "QUIT")
	return b, err
}

// FTP both ways through masquerading: the addresses in the control connection are translated too, and the data
// connections are expected. Commands behind a changed one arrive, so the sequence numbers are adjusted.
func TestNAT_ftp(t *testing.T) {
	w := startRouter(t, homeRules, "")
	file := pattern(9, 100_000)
	ftpServer(t, w.wan, file)
	ftpServer(t, w.lan, file)
	w.ok("iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 21 -j DNAT --to-destination %s", lanIP)
	for _, way := range []string{"PASV", "PORT", "EPSV", "EPRT"} {
		if b, err := ftpFetch(t, w.lan, wanIP, way); err != nil || !bytes.Equal(b, file) {
			t.Errorf("%s from behind the router: %d bytes, %v", way, len(b), err)
		}
		if way == "PORT" || way == "EPRT" {
			continue // the server behind connects to the world as any host does
		}
		if b, err := ftpFetch(t, w.wan, wanRouter, way); err != nil || !bytes.Equal(b, file) {
			t.Errorf("%s from the world to a server behind the router: %d bytes, %v", way, len(b), err)
		}
	}
}
