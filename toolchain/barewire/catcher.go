package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"strings"
	"sync"
)

// pemType is how the blocks of a guest begin that prints its profiles; the name of the profile follows (sys/profile.PEMType).
const pemType = "BAREWIRE PROFILE "

// catcher passes a console on and keeps the profiles out of it.
type catcher struct {
	to     io.Writer
	enough chan struct{} // closed when the last profile has come

	mu     sync.Mutex
	plain  bool   // the line under way is the program's
	line   []byte // or this is its beginning, which may be a profile's
	inside bool
	blocks bytes.Buffer
	got    map[string][]byte
}

const (
	pemBegin = "-----BEGIN " + pemType
	pemEnd   = "-----END " + pemType
	lastKind = "goroutine"
)

// Write implements io.Writer.
func (c *catcher) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	for _, b := range p {
		if !c.plain {
			c.line = append(c.line, b)
		} else {
			out = append(out, b)
		}
		switch {
		case b == '\n' && c.plain:
			c.plain = false
		case b == '\n':
			out = c.endLine(out)
		case !c.plain && !c.inside && !strings.HasPrefix(pemBegin, string(c.line)) && !bytes.HasPrefix(c.line, []byte(pemBegin)):
			// It cannot become a profile's: it is passed on before its end, so that prompts show.
			c.plain = true
			out = append(out, c.line...)
			c.line = c.line[:0]
		}
	}
	if _, err := c.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// endLine looks at a line that may be a profile's, and adds what is not to out.
func (c *catcher) endLine(out []byte) []byte {
	line := bytes.TrimRight(c.line, "\r\n")
	begins, ends := bytes.HasPrefix(line, []byte(pemBegin)), bytes.HasPrefix(line, []byte(pemEnd))
	if begins {
		c.inside = true
		c.blocks.Reset()
	}
	if c.inside {
		c.blocks.Write(line)
		c.blocks.WriteByte('\n')
	} else {
		out = append(out, c.line...)
	}
	c.line = c.line[:0]
	if !c.inside || !ends {
		return out
	}
	c.inside = false
	if b, _ := pem.Decode(c.blocks.Bytes()); b != nil {
		if c.got == nil {
			c.got = map[string][]byte{}
		}
		c.got[strings.TrimPrefix(b.Type, pemType)] = b.Bytes
	}
	if bytes.HasPrefix(line, []byte(pemEnd+lastKind)) {
		select {
		case <-c.enough:
		default:
			close(c.enough)
		}
	}
	return out
}

// profiles returns what came, by kind.
func (c *catcher) profiles() map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got
}
