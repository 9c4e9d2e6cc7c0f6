package ip

import "fmt"

// seqWidth is the length of the lines of /proc/net/udp and its like, without
// the newline (Linux: seq_setwidth(127)).
const seqWidth = 127

// AppendSeq appends a line padded with spaces to the fixed width of such a
// file.
func AppendSeq(b []byte, line string) []byte {
	b = append(b, line...)
	for n := len(line); n < seqWidth; n++ {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

// ProcHeader is the first line of /proc/net/raw and icmp; that of udp has one
// more space in front.
const ProcHeader = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"

// ProcLine returns the sock's line of /proc/net/udp, raw or icmp without the
// slot in front and the padding behind (Linux: udp4_format_sock,
// raw_sock_seq_show): sport and dport are what stands for the ports. Addresses
// are in the machine's byte order, as Linux prints them. All users are root;
// there is no kernel address to show.
func (s *Sock) ProcLine(sport, dport int) string {
	id := s.Ident()
	le := func(a uint32) uint32 { return a<<24 | a&0xff00<<8 | a>>8&0xff00 | a>>24 }
	return fmt.Sprintf(": %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08X %08X %5d %8d %d %d %016x %d",
		le(uint32(id.RcvSaddr)), sport, le(uint32(id.Daddr)), dport, s.State(),
		s.WmemAlloc(), s.RmemAlloc(), 0, 0, 0, 0, 0, s.Ino(), 2, 0, s.Drops())
}
