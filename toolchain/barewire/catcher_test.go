package main

import (
	"bytes"
	"encoding/pem"
	"testing"
)

// A console with profiles in it, in pieces of any size: the profiles come out,
// and the rest is passed on as it was.
func TestCatcher_takesProfilesOut(t *testing.T) {
	data := bytes.Repeat([]byte{0, 1, 2, 250}, 100)
	var console bytes.Buffer
	console.WriteString("hello\r\n----- no block\nprompt> \n")
	for _, kind := range []string{"cpu", "heap", "goroutine"} {
		pem.Encode(&console, &pem.Block{Type: pemType + kind, Bytes: data})
		console.WriteString("between -----BEGIN\n")
	}
	const want = "hello\r\n----- no block\nprompt> \nbetween -----BEGIN\nbetween -----BEGIN\nbetween -----BEGIN\n"
	for _, piece := range []int{1, 7, 64, console.Len()} {
		var out bytes.Buffer
		c := &catcher{to: &out, enough: make(chan struct{})}
		for rest := console.Bytes(); len(rest) > 0; {
			n := min(piece, len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("pieces of %d: %q, want %q", piece, out.String(), want)
		}
		select {
		case <-c.enough:
		default:
			t.Errorf("pieces of %d: the last profile was not seen", piece)
		}
		for _, kind := range []string{"cpu", "heap", "goroutine"} {
			if !bytes.Equal(c.profiles()[kind], data) {
				t.Errorf("pieces of %d: %s is %x", piece, kind, c.profiles()[kind])
			}
		}
	}
}

// What begins like a profile and is none, or one that is damaged, does no harm.
func FuzzCatcher(f *testing.F) {
	f.Add([]byte("-----BEGIN BAREWIRE PROFILE cpu-----\n!!\n-----END BAREWIRE PROFILE cpu-----\n"))
	f.Add([]byte("-----END BAREWIRE PROFILE goroutine-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		c := &catcher{to: &out, enough: make(chan struct{})}
		if n, err := c.Write(b); n != len(b) || err != nil {
			t.Fatal(n, err)
		}
		c.Write(b)
	})
}
