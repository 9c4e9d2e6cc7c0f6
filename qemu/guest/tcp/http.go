package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

// bodySize is the length of each body. The server has the same rule: body i is
// random(i, bodySize).
const bodySize = 1 << 20

// serveBodies gives bodies at /body/SEED and answers uploads with their hash.
func serveBodies(w http.ResponseWriter, r *http.Request) {
	if r.Method == "POST" {
		s, err := sum(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%x", s)
		return
	}
	var seed int
	fmt.Sscanf(r.URL.Path, "/body/%d", &seed)
	io.Copy(w, random(byte(seed), bodySize))
}

// testHTTP fetches and uploads within the image, over HTTP, HTTPS and HTTP/2.
func testHTTP(t *testing.T) {
	for _, c := range []struct {
		name       string
		secure, h2 bool
	}{{name: "plain"}, {name: "TLS", secure: true}, {name: "HTTP2", secure: true, h2: true}} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(serveBodies))
		srv.EnableHTTP2 = c.h2
		if c.secure {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		exchange(t, c.name, srv.Client(), srv.URL, 2)
		srv.Close()
	}
}

// exchange fetches and uploads n bodies at once.
func exchange(t *testing.T, name string, c *http.Client, base string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := download(c, base, i); err != nil {
				t.Errorf("%s: body %d: %v", name, i, err)
			}
			if err := upload(c, base, i); err != nil {
				t.Errorf("%s: upload %d: %v", name, i, err)
			}
		})
	}
	wg.Wait()
}

func download(c *http.Client, base string, seed int) error {
	resp, err := c.Get(fmt.Sprintf("%s/body/%d", base, seed))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := sum(resp.Body)
	if want, _ := sum(random(byte(seed), bodySize)); err == nil && got != want {
		err = fmt.Errorf("%s, but not its contents", resp.Status)
	}
	return err
}

func upload(c *http.Client, base string, seed int) error {
	resp, err := c.Post(base+"/up", "application/octet-stream", random(byte(seed), bodySize))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if want, _ := sum(random(byte(seed), bodySize)); err == nil && string(got) != fmt.Sprintf("%x", want) {
		err = fmt.Errorf("%s, it arrived as %s", resp.Status, got)
	}
	return err
}

// client trusts the certificate in -ca and makes a connection per transfer.
func client(t *testing.T) *http.Client {
	pool := x509.NewCertPool()
	if pem, err := os.ReadFile(*caFile); err == nil && !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", *caFile)
	}
	return &http.Client{Timeout: 50 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}, DisableKeepAlives: true, DisableCompression: true}}
}

// atOnce runs a transfer -flows times at once and tells how long that took.
func atOnce(t *testing.T, transfer func(c *http.Client, base string, seed int) error) {
	c, start := client(t), time.Now()
	var wg sync.WaitGroup
	for i := range *flows {
		wg.Go(func() {
			if err := transfer(c, *fetchURL, i); err != nil {
				t.Errorf("transfer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	fmt.Printf("%d x %d KiB in %v, %d KiB/s\n", *flows, bodySize>>10, took.Round(time.Millisecond), int64(*flows)*bodySize>>10*1000/max(1, took.Milliseconds()))
}

func testFetch(t *testing.T)  { atOnce(t, download) }
func testUpload(t *testing.T) { atOnce(t, upload) }
