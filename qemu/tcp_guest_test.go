package qemu

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"
)

// net, net/http, crypto/tls and nettest over the image's own loopback.
func TestTCP_loopback(t *testing.T) {
	pass(t, Config{Append: "quiet ip=off"}, "tcp", "-test.v", time.Minute)
}

// serveBodies gives what guest/tcp fetches and answers uploads with their hash.
func serveBodies(w http.ResponseWriter, r *http.Request) {
	if r.Method == "POST" {
		h := sha256.New()
		if _, err := io.Copy(h, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%x", h.Sum(nil))
		return
	}
	var seed int
	fmt.Sscanf(r.URL.Path, "/body/%d", &seed)
	io.CopyN(w, rand.NewChaCha8([32]byte{byte(seed)}), 1<<20)
}

// Fetches and uploads over TLS, several at once, from and to a Linux kernel, over
// a good cable and over bad ones.
func TestTCP_fetch(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  *impairment
		cong string // who decides how much the image sends; Linux does as it likes
	}{
		{"good", nil, "cubic"},
		{"loss", &impairment{loss: 0.02, seed: 1}, "reno"},
		{"all", &impairment{loss: 0.02, delay: 20 * time.Millisecond, reorder: 0.1, seed: 3}, "cubic"},
		{"all with BBR", &impairment{loss: 0.02, delay: 20 * time.Millisecond, reorder: 0.1, seed: 4}, "bbr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := needNamespace(t, "fetch")
			var cable Backend
			if c.bad != nil {
				cable = ns.badCable(t, "tap0", hostNet, *c.bad)
			} else {
				var err error
				if cable, err = ns.Tap("tap0", hostNet); err != nil {
					t.Fatal(err)
				}
			}
			files, _, _ := webFiles(t) // httptest's certificate
			srv := httptest.NewUnstartedServer(http.HandlerFunc(serveBodies))
			srv.Listener.Close()
			srv.Listener = ns.listen(t, hostIP.String()+":443")
			srv.StartTLS()
			t.Cleanup(srv.CloseClientConnections)
			m := pass(t, Config{Append: "quiet sysctl.net.ipv4.tcp_congestion_control=" + c.cong + " " + ipParam, NICs: []NIC{{Backend: cable, NoPcap: true}}, Initrd: initramfs(t, "etc/ca.crt", files[5])},
				"tcp", "-test.v -fetch https://"+hostIP.String(), time.Minute)
			for _, line := range regexp.MustCompile(`(?m)^\d+ x .*`).FindAllString(m.Console.Output(), -1) {
				t.Log(line)
			}
		})
	}
}
