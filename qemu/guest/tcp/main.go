// Tcp tries TCP as programs see it: through net, net/http and crypto/tls, between
// two ends in the same image. With -fetch it fetches from a server elsewhere and
// uploads to it. It is an ordinary program, and passes on Linux too; it prints
// "PASS".
package main

import (
	"flag"
	"testing"

	"golang.org/x/net/nettest"
)

var (
	fetchURL = flag.String("fetch", "", "base `URL` of the server to fetch from")
	caFile   = flag.String("ca", "/etc/ca.crt", "`file` with the certificate of that server")
	flows    = flag.Int("flows", 4, "transfers at once")
)

func main() {
	testing.Init()
	flag.Parse()
	tests := []testing.InternalTest{
		{Name: "nettest", F: func(t *testing.T) { nettest.TestConn(t, pipe) }},
		{Name: "bulk", F: testBulk},
		{Name: "halfClose", F: testHalfClose},
		{Name: "deadlines", F: testDeadlines},
		{Name: "closeWakes", F: testCloseWakes},
		{Name: "refusedAndReset", F: testRefusedAndReset},
		{Name: "options", F: testOptions},
		{Name: "control", F: testControl},
		{Name: "reuseport", F: testReuseport},
		{Name: "copying", F: testCopying},
		{Name: "many", F: testMany},
		{Name: "http", F: testHTTP},
	}
	if *fetchURL != "" {
		tests = []testing.InternalTest{{Name: "fetch", F: testFetch}, {Name: "upload", F: testUpload}}
	}
	all := func(_, _ string) (bool, error) { return true, nil }
	testing.Main(all, tests, nil, nil) // prints PASS
}
