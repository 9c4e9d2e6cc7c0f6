package qemu

import (
	"testing"
	"time"
)

// net, net/http, crypto/tls and nettest over the image's own loopback.
func TestTCP_loopback(t *testing.T) {
	pass(t, Config{Append: "quiet ip=off"}, "tcp", "-test.v", time.Minute)
}
