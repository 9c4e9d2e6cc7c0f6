package nf

import (
	"io"
	"strings"
	"syscall"
	"testing"
)

func echoCommand(argv []string, stdin []byte) (int, []byte, []byte) {
	return len(argv), []byte(strings.Join(argv, "|") + "<" + string(stdin)), []byte("warn")
}

func TestControl_requestInPieces_replyInPieces(t *testing.T) {
	c := openControl(echoCommand)()
	for round := range 2 { // one conversation takes requests one after the other
		req := "3 4\niptables\x00-N\x00\x00abcd"
		for i := range len(req) {
			if _, err := c.Read(make([]byte, 1)); (round == 0 || i > 0) && err != syscall.EAGAIN {
				t.Fatalf("a reply before the request is complete: %v", err)
			}
			if n, err := c.Write([]byte{req[i]}); n != 1 || err != nil {
				t.Fatal(i, n, err)
			}
			if i == len(req)-2 {
				break
			}
		}
		if _, err := c.Write([]byte("d")); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for {
			var b [7]byte
			n, err := c.Read(b[:])
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			got = append(got, b[:n]...)
		}
		if want := "3 17 4\niptables|-N|<abcdwarn"; string(got) != want {
			t.Fatalf("%q, not %q", got, want)
		}
	}
}

func TestControl_badRequest_refused(t *testing.T) {
	for req, want := range map[string]error{
		"\n": syscall.EINVAL, "1\n": syscall.EINVAL, "0 0\n": syscall.EINVAL, "x 0\n": syscall.EINVAL,
		"1 0 0\n": syscall.EINVAL, "-1 0\n": syscall.EINVAL, strings.Repeat("1", 40): syscall.EINVAL,
		"1 0\na\x00b": syscall.EINVAL, "99999999 0\n": syscall.EFBIG, "1 999999999999\n": syscall.EFBIG,
		"1 0\n" + strings.Repeat("a", 2<<20): syscall.EFBIG,
	} {
		if _, err := openControl(echoCommand)().Write([]byte(req)); err != want {
			t.Errorf("%.20q: %v, not %v", req, err, want)
		}
	}
}

func FuzzControl(f *testing.F) {
	f.Add([]byte("2 3\na\x00b\x00abc"))
	f.Add([]byte("1 0\n\x00"))
	f.Fuzz(func(t *testing.T, req []byte) {
		c := openControl(echoCommand)()
		if n, err := c.Write(req); err == nil && n != len(req) {
			t.Fatal("a short write")
		}
		io.ReadAll(io.LimitReader(readerOf{c.Read}, 1<<20))
	})
}

type readerOf struct {
	read func([]byte) (int, error)
}

func (r readerOf) Read(p []byte) (int, error) {
	n, err := r.read(p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}
