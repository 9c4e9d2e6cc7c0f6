package helper

import (
	"barewire/netfilter/conntrack"
	"barewire/skb/header"
)

// ftpKind is how an address and port are written.
type ftpKind uint8

const (
	ftpPORT ftpKind = iota // PORT h1,h2,h3,h4,p1,p2 (RFC 959 section 4.1.2)
	ftpEPRT                // EPRT |1|address|port| (RFC 2428 section 2)
	ftpPASV                // 227 ... (h1,h2,h3,h4,p1,p2), with or without brackets (RFC 1123 section 4.1.2.6)
	ftpEPSV                // 229 ... (|||port|) (RFC 2428 section 3)
)

type finding uint8

const (
	absent  finding = iota
	partial         // the line is cut, or is no such command
	whole
)

// announcement is what a line says of a data connection.
type announcement struct {
	found   finding
	kind    ftpKind
	pattern string
	addr    header.Addr
	port    uint16
	at, len int // of address and port in the payload
}

// patterns of the two directions: what begins the line, and the byte behind
// which the numbers stand, 0 for the first digit. read-only
var patterns = [conntrack.NumDirs][2]struct {
	text string
	skip byte
	kind ftpKind
}{
	conntrack.Original: {{"PORT", ' ', ftpPORT}, {"EPRT", ' ', ftpEPRT}},
	conntrack.Reply:    {{"227 ", 0, ftpPASV}, {"229 ", '(', ftpEPSV}},
}

// parseFTP looks for an announcement at the start of data, of a segment of
// direction d whose sender is own (Linux: find_pattern).
func parseFTP(data []byte, d conntrack.Dir, own header.Addr) announcement {
	for _, p := range patterns[d] {
		n := min(len(data), len(p.text))
		if !equalFold(data[:n], p.text[:n]) {
			continue
		}
		a := announcement{found: partial, kind: p.kind, pattern: p.text, addr: own}
		if len(data) <= len(p.text) {
			return a
		}
		i := len(p.text)
		for ; i < len(data); i++ {
			if p.skip != 0 && data[i] == p.skip || p.skip == 0 && isDigit(data[i]) {
				break
			}
		}
		if p.skip != 0 {
			i++
		}
		if i >= len(data) {
			return a
		}
		a.at = i
		switch p.kind {
		case ftpPORT:
			a.six(data[i:], '\r')
		case ftpPASV:
			a.six(data[i:], 0)
		case ftpEPRT:
			a.eprt(data[i:])
		case ftpEPSV:
			a.epsv(data[i:])
		}
		if a.len != 0 {
			a.found = whole
		}
		return a
	}
	return announcement{}
}

// six reads h1,h2,h3,h4,p1,p2 and what ends it, term or with 0 anything (Linux:
// try_rfc959).
func (a *announcement) six(p []byte, term byte) {
	var v [6]uint32
	n := numbers(p, v[:], ',', term)
	if n == 0 {
		return
	}
	a.addr, a.port, a.len = quad(v[:4]), uint16(v[4]<<8|v[5]), n
}

// eprt reads |1|address|port| with any delimiter (Linux: try_eprt).
func (a *announcement) eprt(p []byte) {
	if len(p) <= 3 || !delimits(p[0]) || p[2] != p[0] || p[1] != '1' {
		return
	}
	var v [4]uint32
	n := numbers(p[3:], v[:], '.', p[0])
	if n == 0 {
		return
	}
	if a.portAt(p, 3+n+1, p[0]); a.len != 0 {
		a.addr = quad(v[:])
	}
}

// epsv reads |||port| with any delimiter (Linux: try_epsv_response).
func (a *announcement) epsv(p []byte) {
	if len(p) > 3 && delimits(p[0]) && p[1] == p[0] && p[2] == p[0] {
		a.portAt(p, 3, p[0])
	}
}

// portAt reads a port from p[i] to the delimiter (Linux: get_port).
func (a *announcement) portAt(p []byte, i int, delim byte) {
	port := uint32(0)
	for ; i < len(p); i++ {
		switch {
		case p[i] == delim:
			if port != 0 {
				a.port, a.len = uint16(port), i+1
			}
			return
		case !isDigit(p[i]):
			return
		}
		if port = port*10 + uint32(p[i]-'0'); port > 0xffff {
			return
		}
	}
}

// numbers reads len(v) bytes written in decimal with sep between them, and
// returns how long they are; 0 if they are not all there or not followed by
// term, or with term 0 by anything but a digit (Linux: try_number).
func numbers(p []byte, v []uint32, sep, term byte) int {
	i, digits := 0, 0
	for n, ch := range p {
		switch {
		case isDigit(ch):
			v[i] = v[i]*10 + uint32(ch-'0')
			if digits++; v[i] > 255 || digits > 3 {
				return 0
			}
		case ch == sep && i < len(v)-1:
			i, digits = i+1, 0
		default:
			if i == len(v)-1 && ch != sep && (ch == term || term == 0) {
				return n
			}
			return 0
		}
	}
	return 0
}

func quad(v []uint32) header.Addr { return header.Addr(v[0]<<24 | v[1]<<16 | v[2]<<8 | v[3]) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// delimits reports whether c may be the delimiter of EPRT and EPSV: printable,
// and no digit.
func delimits(c byte) bool { return c >= 33 && c <= 126 && !isDigit(c) }

// equalFold compares with an upper-case text without regard to case.
func equalFold(p []byte, text string) bool {
	for i, c := range p {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != text[i] {
			return false
		}
	}
	return true
}
