package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// u-root's programs that speak TCP, each on an image of its own, with a Linux
// kernel at the other end of the cable.

// listen makes a TCP socket of the namespace that listens.
func (ns *Namespace) listen(t *testing.T, addr string) (l net.Listener) {
	t.Helper()
	if err := ns.Do(func() (err error) {
		l, err = net.Listen("tcp4", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial connects from the namespace, once somebody listens.
func (ns *Namespace) dial(t *testing.T, addr string, timeout time.Duration) (conn net.Conn) {
	t.Helper()
	for end := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		err := ns.Do(func() (err error) {
			conn, err = net.DialTimeout("tcp4", addr, time.Second)
			return err
		})
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// lines are n numbered lines.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d of the text\n", i)
	}
	return b.String()
}

// wget writes what it fetches to the console.
func TestURoot_wget(t *testing.T) {
	first, cable, _ := hops(t, 1)
	text := lines(2000)
	go http.Serve(first.listen(t, "10.8.0.1:80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/text", http.StatusFound)
			return
		}
		if r.URL.Path != "/text" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, text)
	}))
	out := urootRun{command: "core/wget", params: hopsParam, args: "-O - http://10.8.0.1/moved", nic: cable}.run(t)
	if !strings.Contains(strings.ReplaceAll(out, "\r", ""), text) {
		t.Errorf("the text is not in:\n%s", out)
	}
	_, cable, _ = hops(t, 1)
	urootRun{command: "core/wget", params: hopsParam, args: "-O - http://10.8.0.1:81/", nic: cable, code: 1, want: []string{
		`dial tcp 10\.8\.0\.1:81: connect: connection refused`}}.run(t)
}

func TestURoot_netcatTCP(t *testing.T) {
	b := make([]byte, 100)
	t.Run("connects", func(t *testing.T) {
		first, cable, _ := hops(t, 1)
		l := first.listen(t, "10.8.0.1:4444")
		r := urootRun{command: "core/netcat", params: hopsParam, args: "-v 10.8.0.1 4444", nic: cable, want: []string{`^hello, image$`, `^line 1999 of the text$`}}
		m := r.start(t)
		l.(*net.TCPListener).SetDeadline(time.Now().Add(bootTime))
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		m.Console.Type("hello, host\n")
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(b); err != nil || string(b[:n]) != "hello, host\n" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		io.WriteString(conn, "hello, image\n"+lines(2000))
		if _, err := m.Console.WaitFor(`^line 1999 of the text`, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		m.Console.Type("\x04") // end of input: netcat closes its half
		if n, err := conn.Read(b); err != io.EOF {
			t.Errorf("%q, %v, want the end", b[:n], err)
		}
		conn.Close()
		r.wait(t, m)
	})
	t.Run("listens", func(t *testing.T) {
		first, cable, _ := hops(t, 1)
		r := urootRun{command: "core/netcat", params: hopsParam, args: "-v -l 4444", nic: cable}
		m := r.start(t)
		conn := first.dial(t, "10.8.0.2:4444", bootTime) // netcat does not say when it is ready
		text := "hello, image\n" + lines(500)
		io.WriteString(conn, text)
		if _, err := m.Console.WaitFor(`^line 499 of the text\r?\n`, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if out := m.Console.Output(); !strings.Contains(strings.ReplaceAll(out, "\r", ""), text) {
			t.Errorf("the text is not in:\n%s", out)
		}
		m.Console.Type("hello, host\n")
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(b); err != nil || !bytes.Equal(b[:n], []byte("hello, host\n")) {
			t.Errorf("%q, %v", b[:n], err)
		}
	})
}

// sshdModule has u-root's sshd, and needs more than barewire's own module does.
const sshdModule = "qemu/guest/sshd"

// u-root's sshd with keys from the initial file system and OpenSSH's client at the
// other end: files go both ways. There is no shell to run.
func TestURoot_sshd(t *testing.T) {
	for _, name := range []string{"ssh-keygen", "sftp"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err, "(Debian: openssh-client)")
		}
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		b, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, key := range []string{"host", "user", "stranger"} {
		if err := command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", file(key)); err != nil {
			t.Fatal(err)
		}
	}
	first, cable, _ := hops(t, 1)
	down, up := pattern(1, 1<<20), pattern(2, 3<<20)
	m := urootRun{command: "core/sshd", params: hopsParam, args: "-privatekey /etc/host -keys /etc/keys", nic: cable,
		files: []string{"etc/host", read("host"), "etc/keys", read("user.pub"), "srv/down", string(down)}}.start(t)
	first.dial(t, "10.8.0.2:2022", bootTime).Close() // it says nothing when it is ready
	if err := errors.Join(
		os.WriteFile(file("up"), up, 0o600),
		os.WriteFile(file("known"), []byte("[10.8.0.2]:2022 "+read("host.pub")), 0o600),
		os.WriteFile(file("batch"), []byte("get /srv/down "+file("down")+"\nput "+file("up")+" /srv/up\nget /srv/up "+file("back")+"\nls -l /srv\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	sftp := func(key string) (string, error) {
		return first.Run(40*time.Second, "sftp", "-F", "none", "-P", "2022", "-b", file("batch"), "-i", file(key),
			"-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile="+file("known"), "root@10.8.0.2")
	}
	start := time.Now()
	out, err := sftp("user")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d KiB down and twice %d KiB: %v", len(down)>>10, len(up)>>10, time.Since(start).Round(time.Millisecond))
	if read("down") != string(down) || read("back") != string(up) {
		t.Error("what came is not what was sent")
	}
	if !regexp.MustCompile(`(?m)^-rw.* root +root +3145728 .* up$`).MatchString(out) {
		t.Errorf("no /srv/up in\n%s", out)
	}
	if out, err := sftp("stranger"); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("a stranger's key: %v\n%s", err, out)
	}
	if _, err := m.Console.WaitFor("logged in with key SHA256:", time.Second); err != nil {
		t.Error(err)
	}
}
