package qemu

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// webFiles are the initial file system of the web server: a small page, a large
// one, and httptest's certificate, which is for example.com.
func webFiles(t *testing.T) (files []string, big []byte, pool *x509.CertPool) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	c := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.NewChaCha8([32]byte{1})
	big = make([]byte, 3<<20)
	rng.Read(big)
	pool = x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return []string{
		"srv/index.html", "<p>hello</p>\n", "srv/big.bin", string(big),
		"etc/web.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})),
		"etc/web.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}, big, pool
}

// client is an HTTP client in the namespace.
func (ns *Namespace) client(tr *http.Transport) *http.Client {
	tr.DialContext = func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = ns.Do(func() error {
			conn, err = net.DialTimeout("tcp4", addr, 10*time.Second)
			return err
		})
		return conn, err
	}
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func fetch(c *http.Client, url, want string) error {
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || string(b) != want) {
		err = fmt.Errorf("%s: %s, %d bytes of %d", url, resp.Status, len(b), len(want))
	}
	return err
}

// A stock net/http server on the image, with a Linux kernel's TCP at the other
// end: pages small and large, over HTTP and HTTPS, on connections kept and new,
// many at once, and uploads that the program reads slowly.
func TestWeb_LinuxClient(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		ns := needNamespace(t, machine)
		tap, err := ns.Tap("tap0", hostNet)
		if err != nil {
			t.Fatal(err)
		}
		files, big, pool := webFiles(t)
		m := Start(t, Config{
			Machine: machine, Kernel: image(t, "barewire/apps/web"), Append: ipParam + " -- -tls :443",
			NICs: []NIC{{Backend: tap, NoPcap: true}}, Initrd: initramfs(t, files...),
		})
		if _, err := m.Console.WaitFor("https on port 443", bootTime); err != nil {
			t.Fatal(err)
		}
		const page = "<p>hello</p>\n"
		base := "http://" + guestIP.String()
		kept := ns.client(&http.Transport{})
		fresh := ns.client(&http.Transport{DisableKeepAlives: true})
		secure := ns.client(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}, ForceAttemptHTTP2: true})
		for _, c := range []*http.Client{kept, secure} {
			defer c.CloseIdleConnections()
		}
		for name, step := range map[string]func() error{
			"large page":      func() error { return fetch(kept, base+"/big.bin", string(big)) },
			"over TLS":        func() error { return fetch(secure, "https://"+guestIP.String()+"/big.bin", string(big)) },
			"keep-alive":      func() error { return repeat(200, func() error { return fetch(kept, base+"/", page) }) },
			"new connections": func() error { return repeat(200, func() error { return fetch(fresh, base+"/", page) }) },
			"many at once":    func() error { return atOnce(40, func() error { return fetch(fresh, base+"/", page) }) },
			"upload":          func() error { return upload(kept, base+"/", 2<<20) },
		} {
			start := time.Now()
			if err := step(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			t.Logf("%s: %v", name, time.Since(start).Round(time.Millisecond))
		}
		resp, err := kept.Get(base + "/status")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if !strings.Contains(string(text), "goroutines") || !strings.Contains(string(text), "Tcp:") {
			t.Errorf("status: %s", text)
		}
		t.Logf("%s", text)
	})
}

func repeat(n int, f func() error) error {
	for i := range n {
		if err := f(); err != nil {
			return fmt.Errorf("%d of %d: %w", i, n, err)
		}
	}
	return nil
}

func atOnce(n int, f func() error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// upload sends what the server does not want; the answer says so.
func upload(c *http.Client, url string, n int64) error {
	resp, err := c.Post(url, "application/octet-stream", io.LimitReader(rand.NewChaCha8([32]byte{2}), n))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// webStatus is what /status says in JSON, as far as a test wants to know it.
type webStatus struct {
	Connections     int    `json:"connections"`
	ConnectionsOpen int    `json:"connections_open"`
	Goroutines      int    `json:"goroutines"`
	HeapBytes       uint64 `json:"heap_bytes"`
	MemoryBytes     uint64 `json:"memory_bytes"`
}

func statusOf(t *testing.T, c *http.Client, base string) (s webStatus) {
	t.Helper()
	req, _ := http.NewRequest("GET", base+"/status", nil)
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Connections in numbers: one after the other, and all open at the same time. As
// many as six seconds allow; BAREWIRE_CONNECTIONS=full asks for 10 000 and 2000.
func TestWeb_manyConnections(t *testing.T) {
	inARow, atATime, limit := 10000, 500, 6*time.Second
	if os.Getenv("BAREWIRE_CONNECTIONS") == "full" {
		atATime, limit = 2000, 10*time.Minute
	}
	ns := needNamespace(t, "many")
	tap, err := ns.Tap("tap0", hostNet)
	if err != nil {
		t.Fatal(err)
	}
	m := Start(t, Config{Kernel: image(t, "barewire/apps/web"), Append: "quiet " + ipParam,
		NICs: []NIC{{Backend: tap, NoPcap: true}}, Initrd: initramfs(t, "srv/index.html", "hello")})
	if _, err := m.Console.WaitFor("http on port 80", bootTime); err != nil {
		t.Fatal(err)
	}
	base := "http://" + guestIP.String()
	kept, fresh := ns.client(&http.Transport{}), ns.client(&http.Transport{DisableKeepAlives: true})
	defer kept.CloseIdleConnections()
	told := func(when string) webStatus {
		s := statusOf(t, kept, base)
		t.Logf("%s: %d connections, %d open, %d goroutines, heap %d KiB, memory %d KiB", when,
			s.Connections, s.ConnectionsOpen, s.Goroutines, s.HeapBytes>>10, s.MemoryBytes>>10)
		return s
	}
	before := told("before")

	start, done := time.Now(), 0
	for ; done < inARow && time.Since(start) < limit; done++ {
		if err := fetch(fresh, base+"/", "hello"); err != nil {
			t.Fatalf("connection %d: %v", done, err)
		}
	}
	t.Logf("%d connections in a row: %v each", done, (time.Since(start) / time.Duration(done)).Round(10*time.Microsecond))
	// The last close is the server's to notice, in its own time.
	settled := func(open int) webStatus {
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if s := statusOf(t, kept, base); s.ConnectionsOpen == open || time.Now().After(end) {
				return s
			}
		}
	}
	settled(1)
	if s := told("after them"); s.ConnectionsOpen != 1 || s.Connections != done+1 {
		t.Errorf("%d connections, %d open, of %d", s.Connections, s.ConnectionsOpen, done+1)
	}

	start = time.Now()
	conns := make([]net.Conn, atATime)
	if err := ns.Do(func() error {
		for i := range conns {
			c, err := net.DialTimeout("tcp4", guestIP.String()+":80", 10*time.Second)
			if err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
			conns[i] = c
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // all have a request under way at once
		for _, c := range conns {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		for i, c := range conns {
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			b := make([]byte, 1024)
			if n, err := c.Read(b); err != nil || !strings.HasSuffix(string(b[:n]), "\r\n\r\nhello") {
				t.Fatalf("connection %d: %q, %v", i, b[:n], err)
			}
		}
	}
	t.Logf("%d connections at a time, twice: %v", atATime, time.Since(start).Round(time.Millisecond))
	if s := told("with them"); s.ConnectionsOpen != atATime+1 {
		t.Errorf("%d connections are open", s.ConnectionsOpen)
	}
	for _, c := range conns {
		c.Close()
	}
	after := settled(1)
	told("after all")
	if after.ConnectionsOpen != 1 || after.Goroutines > before.Goroutines+5 {
		t.Errorf("%+v, before %+v", after, before)
	}
}

// wrkSays are the lines of wrk that the test looks at.
var wrkSays = regexp.MustCompile(`(?m)^ *(\d+) requests in .*|^Requests/sec: .*|^ *Socket errors: .*|^ *Non-2xx .*`)

// curl, OpenSSL and wrk, which are not Go's, as clients.
func TestWeb_curlOpenSSLAndWrk(t *testing.T) {
	ns := needNamespace(t, "curl")
	tap, err := ns.Tap("tap0", hostNet)
	if err != nil {
		t.Fatal(err)
	}
	files, big, _ := webFiles(t)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca")
	if err := os.WriteFile(ca, []byte(files[5]), 0o600); err != nil {
		t.Fatal(err)
	}
	m := Start(t, Config{Kernel: image(t, "barewire/apps/web"), Append: "quiet " + ipParam + " -- -tls :443",
		NICs: []NIC{{Backend: tap, NoPcap: true}}, Initrd: initramfs(t, files...)})
	if _, err := m.Console.WaitFor("https on port 443", bootTime); err != nil {
		t.Fatal(err)
	}
	t.Run("curl", func(t *testing.T) {
		if _, err := exec.LookPath("curl"); err != nil {
			t.Skip(err)
		}
		to := filepath.Join(dir, "big")
		for _, url := range []string{"http://example.com/big.bin", "https://example.com/big.bin"} {
			out, err := ns.Run(20*time.Second, "curl", "-q", "-sS", "--fail", "--noproxy", "*", "--cacert", ca, "-o", to, "-w", "%{http_version} %{speed_download}",
				"--resolve", "example.com:443:"+guestIP.String(), "--resolve", "example.com:80:"+guestIP.String(), url)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(to); err != nil || !bytes.Equal(b, big) {
				t.Errorf("%s: %d bytes of %d, %v", url, len(b), len(big), err)
			}
			t.Logf("%s: version and bytes per second: %s", url, out)
		}
	})
	t.Run("openssl", func(t *testing.T) {
		if _, err := exec.LookPath("openssl"); err != nil {
			t.Skip(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		cmd := ns.Command(ctx, "openssl", "s_client", "-connect", guestIP.String()+":443", "-servername", "example.com",
			"-CAfile", ca, "-verify_return_error", "-quiet", "-ign_eof")
		cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "<p>hello</p>") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("wrk", func(t *testing.T) {
		if _, err := exec.LookPath("wrk"); err != nil {
			t.Skip(err)
		}
		for _, c := range []struct{ url, conns, during string }{
			{"http://" + guestIP.String() + "/", "40", "2s"}, {"https://" + guestIP.String() + "/", "40", "2s"},
			{"http://" + guestIP.String() + "/big.bin", "2", "4s"}, // on a slow machine a few come through
		} {
			url := c.url
			out, err := ns.Run(30*time.Second, "wrk", "-t", "2", "-c", c.conns, "-d", c.during, "--timeout", "10s", url)
			if err != nil {
				t.Fatal(err)
			}
			said := wrkSays.FindAllStringSubmatch(out, -1)
			if len(said) != 2 || said[0][1] == "" || said[0][1] == "0" {
				t.Errorf("%s:\n%s", url, out)
				continue
			}
			t.Logf("%s: %s; %s", url, strings.TrimSpace(said[0][0]), said[1][0])
		}
	})
}
