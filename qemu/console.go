package qemu

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A Console collects what a guest prints on its serial port and lets a test
// wait for text in it and type into it. Matching moves a cursor, as a person
// reading along would: text before the last match is not looked at again.
type Console struct {
	mu     sync.Mutex
	text   []byte        // everything printed so far, without carriage returns
	cursor int           // index in text after the last match
	grown  chan struct{} // closed and replaced whenever text or closed changes
	closed bool          // the guest's end is gone
	w      io.Writer     // the guest's input
	tee    io.Writer     // a copy of the raw output, or nil
}

// newConsole returns a console that reads r until it ends and types into w.
// Each chunk read is also written to tee when that is not nil.
func newConsole(r io.Reader, w, tee io.Writer) *Console {
	c := &Console{grown: make(chan struct{}), w: w, tee: tee}
	go c.collect(r)
	return c
}

func (c *Console) collect(r io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		chunk := bytes.ReplaceAll(buf[:n], []byte("\r"), nil)
		if c.tee != nil && len(chunk) > 0 {
			c.tee.Write(chunk)
		}
		c.mu.Lock()
		c.text = append(c.text, chunk...)
		c.closed = err != nil
		close(c.grown)
		c.grown = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Output returns everything the guest has printed so far.
func (c *Console) Output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

// Lines returns the complete and partial lines printed so far.
func (c *Console) Lines() []string {
	return strings.Split(strings.TrimSuffix(c.Output(), "\n"), "\n")
}

// Tail returns at most the last n lines printed, for error messages.
func (c *Console) Tail(n int) string {
	lines := c.Lines()
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// WaitFor waits until the regular expression pattern matches in the text after
// the previous match and returns the match and its submatches. It fails when
// timeout has passed or the guest is gone; the error then carries the end of
// what was printed. The pattern may match in an unfinished line (a prompt), so
// a pattern that must see a whole line ends in \n.
func (c *Console) WaitFor(pattern string, timeout time.Duration) ([]string, error) {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		c.mu.Lock()
		rest := c.text[c.cursor:]
		if m := re.FindSubmatchIndex(rest); m != nil {
			groups := make([]string, len(m)/2)
			for i := range groups {
				if m[2*i] >= 0 {
					groups[i] = string(rest[m[2*i]:m[2*i+1]])
				}
			}
			c.cursor += m[1]
			c.mu.Unlock()
			return groups, nil
		}
		closed, grown := c.closed, c.grown
		c.mu.Unlock()
		if closed {
			return nil, fmt.Errorf("console closed before %q appeared; it ends:\n%s", pattern, c.Tail(30))
		}
		select {
		case <-grown:
		case <-timer.C:
			return nil, fmt.Errorf("no %q on the console in %v; it ends:\n%s", pattern, timeout, c.Tail(30))
		}
	}
}

// Type sends text to the guest's input.
func (c *Console) Type(text string) error {
	_, err := io.WriteString(c.w, text)
	return err
}

// waitClosed waits until the guest's end of the console is gone, so that
// everything it printed has been collected.
func (c *Console) waitClosed(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		c.mu.Lock()
		closed, grown := c.closed, c.grown
		c.mu.Unlock()
		if closed {
			return true
		}
		select {
		case <-grown:
		case <-timer.C:
			return false
		}
	}
}
