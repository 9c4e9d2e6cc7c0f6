package profile

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"runtime/pprof"
)

// PEMType is the type of the blocks that console prints, followed by the name
// of the profile, "BAREWIRE PROFILE cpu".
const PEMType = "BAREWIRE PROFILE "

// console profiles the processor for some seconds and writes that profile and
// those of the memory as text (RFC 7468's framing), each in one Write so that
// the program's lines do not come between.
func console(w io.Writer, seconds int) {
	write := func(name string, make func(w io.Writer) error) {
		var b, text bytes.Buffer
		if err := make(&b); err != nil {
			fmt.Fprintf(w, "barewire.pprof: %s: %v\n", name, err)
			return
		}
		text.WriteByte('\n') // whatever the program has left on the line
		// Encoding to memory cannot fail.
		pem.Encode(&text, &pem.Block{Type: PEMType + name, Bytes: b.Bytes()})
		w.Write(text.Bytes())
	}
	write("cpu", func(w io.Writer) error { return cpu(w, seconds) })
	for _, name := range []string{"heap", "goroutine"} {
		write(name, func(w io.Writer) error { return pprof.Lookup(name).WriteTo(w, 0) })
	}
}
