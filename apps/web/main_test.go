package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is a writer that tells of the lines written.
type output struct {
	mu sync.Mutex
	bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Buffer.Write(p)
}

// port waits for the line that names a scheme's port.
func (o *output) port(t *testing.T, scheme string) int {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		o.mu.Lock()
		text := o.String()
		o.mu.Unlock()
		for line := range strings.Lines(text) {
			var p int
			if n, _ := fmt.Sscanf(line, "web: "+scheme+" on port %d", &p); n == 1 {
				return p
			}
		}
	}
	t.Fatalf("no %s port: %s", scheme, o.String())
	return 0
}

func start(t *testing.T, args ...string) *output {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out, done := new(output), make(chan error, 1)
	go func() { done <- run(ctx, args, out) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return out
}

// certificate writes that of httptest, for 127.0.0.1, and its key.
func certificate(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	c := srv.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return cert, key, pool
}

func get(t *testing.T, c *http.Client, url, accept string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestRun_filesAndStatus_overBoth(t *testing.T) {
	dir := t.TempDir()
	page := strings.Repeat("<p>page</p>\n", 10000)
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key, pool := certificate(t, t.TempDir())
	out := start(t, "-root", dir, "-addr", "127.0.0.1:0", "-tls", "127.0.0.1:0", "-cert", cert, "-key", key)
	plain := &http.Client{Transport: &http.Transport{}}
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer plain.CloseIdleConnections()
	defer secure.CloseIdleConnections()
	http1 := fmt.Sprintf("http://127.0.0.1:%d", out.port(t, "http"))
	for _, c := range []struct {
		client *http.Client
		base   string
	}{{plain, http1}, {secure, fmt.Sprintf("https://127.0.0.1:%d", out.port(t, "https"))}} {
		if code, body := get(t, c.client, c.base+"/", "*/*"); code != 200 || body != page {
			t.Errorf("%s: %d, %d bytes", c.base, code, len(body))
		}
		if code, _ := get(t, c.client, c.base+"/../../etc/passwd", "*/*"); code != 404 {
			t.Errorf("%s: outside of the folder: %d", c.base, code)
		}
	}
	code, body := get(t, plain, http1+"/status", "application/json")
	var f figures
	if err := json.Unmarshal([]byte(body), &f); err != nil || code != 200 {
		t.Fatal(code, err, body)
	}
	if f.Requests != 4 || f.ClientErrors != 2 || f.BytesSent < 2*int64(len(page)) || f.Connections < 2 || f.Goroutines == 0 {
		t.Errorf("%+v", f)
	}
	if _, body := get(t, plain, http1+"/status", "*/*"); !strings.Contains(body, "requests     4 (2 client errors") {
		t.Errorf("%s", body)
	}
}

func TestRun_wrongArguments_error(t *testing.T) {
	for _, args := range [][]string{{"-addr", ""}, {"-addr", "nowhere:99999"}, {"-elephant"}} {
		if err := run(context.Background(), args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	if err := run(context.Background(), []string{"-addr", "", "-tls", "127.0.0.1:0", "-cert", "/nowhere"}, io.Discard); err == nil {
		t.Error("no certificate: no error")
	}
}
