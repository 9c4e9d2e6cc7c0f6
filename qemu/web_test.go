package qemu

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
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
