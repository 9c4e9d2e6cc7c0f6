package inet

import "fmt"

// showTCP is /proc/net/tcp without a socket (Linux: tcp4_seq_show): there are
// no TCP sockets yet, and netstat wants a list of each protocol.
func showTCP(b []byte) []byte {
	return fmt.Appendf(b, "%-149s\n", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode")
}

// showUnix is /proc/net/unix without a socket (Linux: unix_seq_show): the
// family is not there, and its list is empty.
func showUnix(b []byte) []byte {
	return append(b, "Num       RefCount Protocol Flags    Type St Inode Path\n"...)
}
