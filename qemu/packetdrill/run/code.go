package run

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"barewire/qemu/packetdrill/pdl"
)

// interpreter runs the Python of a script. What scripts use of the language,
// assertions about numbers with a variable now and then, is that of Starlark.
type interpreter struct {
	globals starlark.StringDict
}

func newInterpreter() *interpreter {
	i := &interpreter{globals: starlark.StringDict{}}
	for name, v := range codeSymbols {
		i.globals[name] = starlark.MakeInt64(v)
	}
	i.globals["_assert"] = starlark.NewBuiltin("assert", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		if len(args) > 0 && !bool(args[0].Truth()) {
			if len(args) > 1 {
				return nil, fmt.Errorf("assertion failed: %v", args[1])
			}
			return nil, fmt.Errorf("assertion failed")
		}
		return starlark.None, nil
	})
	return i
}

// codeSymbols are the names code may use besides the fields of TCP_INFO.
var codeSymbols = map[string]int64{ // read-only
	"TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5, "TCP_TIME_WAIT": 6,
	"TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
	"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
	"TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8, "TCPI_OPT_ECN_SEEN": 16, "TCPI_OPT_SYN_DATA": 32,
}

var (
	assertLine = regexp.MustCompile(`(?m)^(\s*)assert\b[ \t]*(.*)$`)
	printLine  = regexp.MustCompile(`(?m)^(\s*)print[ \t]+([^( \t].*)$`) // Python 2
	continued  = regexp.MustCompile(`\\\n\s*`)
	importLine = regexp.MustCompile(`(?m)^\s*(import|from)\b.*$`)
)

// starlarkOf turns assert into a call; a condition over several lines in
// brackets stays one.
func starlarkOf(python string) string {
	s := continued.ReplaceAllString(importLine.ReplaceAllString(python, ""), " ")
	s = printLine.ReplaceAllString(s, "${1}print($2)")
	var out strings.Builder
	var lines []string
	for l := range strings.SplitSeq(s, "\n") {
		lines = append(lines, statements(l)...)
	}
	for i := 0; i < len(lines); i++ {
		m := assertLine.FindStringSubmatch(lines[i])
		if m == nil {
			out.WriteString(unchain(lines[i]) + "\n")
			continue
		}
		cond := m[2]
		for i+1 < len(lines) && strings.Count(cond, "(")+strings.Count(cond, "[") > strings.Count(cond, ")")+strings.Count(cond, "]") {
			i++
			cond = strings.TrimSpace(cond) + " " + strings.TrimSpace(lines[i])
		}
		cond, comment, _ := strings.Cut(cond, " #")
		_ = comment
		out.WriteString(m[1] + "_assert(" + unchain(strings.TrimSpace(cond)) + ")\n")
	}
	return out.String()
}

// statements cuts a line at each semicolon that stands in no string and no
// comment. The pieces have the line's indentation.
func statements(line string) (parts []string) {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	from, quote := 0, byte(0)
	add := func(to int) {
		part := strings.TrimSpace(line[from:to])
		if part != "" {
			parts = append(parts, indent+part)
		}
	}
scan:
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#':
			break scan
		case c == ';':
			add(i)
			from = i + 1
		}
	}
	if from == 0 {
		return []string{line}
	}
	add(len(line))
	return parts
}

// exec runs code with the variables vars; those it sets are there for the next.
func (i *interpreter) exec(python string, vars map[string]uint64) error {
	for n, v := range vars {
		i.globals[n] = starlark.MakeUint64(v)
	}
	opts := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true, While: true}
	th := &starlark.Thread{Name: "script", Print: func(*starlark.Thread, string) {}}
	th.SetMaxExecutionSteps(1 << 20)
	g, err := starlark.ExecFileOptions(opts, th, "code", starlarkOf(strings.Trim(python, " \t")), i.globals)
	for n, v := range g {
		i.globals[n] = v
	}
	return err
}

// evaluate runs code of the script with what TCP_INFO says of the socket.
func (r *runner) evaluate(python string) error {
	vars := map[string]uint64{}
	fd := -1
	if s := r.under; s != nil && s.fd >= 0 {
		fd = s.fd
	} else {
		for _, s := range r.sockets {
			if s.fd >= 0 {
				fd = s.fd
			}
		}
	}
	if fd >= 0 {
		r.tcpInfo(fd, vars)
		r.memInfo(fd, vars)
	}
	if err := r.code.exec(python, vars); err != nil {
		if ev, ok := err.(*starlark.EvalError); ok && ev.Unwrap() != nil {
			err = ev.Unwrap()
		}
		var about []string
		for n, v := range vars {
			if strings.Contains(python, n) {
				about = append(about, fmt.Sprintf("%s is %d", n, v))
			}
		}
		if _, syntaxErr := err.(syntax.Error); syntaxErr {
			return &pdl.Unsupported{What: "code: " + err.Error()}
		}
		return fmt.Errorf("%w: %s", err, strings.Join(about, ", "))
	}
	return nil
}

func (r *runner) getsockopt(fd, level, name, size int) []byte {
	b, l := make([]byte, size), make([]byte, 4)
	ne.PutUint32(l, uint32(size))
	c := &call{num: syscall.SYS_GETSOCKOPT}
	c.args = [6]uintptr{uintptr(fd), uintptr(level), uintptr(name), c.ptr(b), c.ptr(l)}
	c.make(r.k)
	if c.errno != 0 {
		return nil
	}
	return b[:min(size, int(ne.Uint32(l)))]
}

// infoFields are the members of struct tcp_info from its 8th byte on, with their
// sizes in bytes.
var infoFields = []struct { // read-only
	size  int
	names string
}{
	{4, "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"},
	{8, "pacing_rate max_pacing_rate bytes_acked bytes_received"},
	{4, "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"},
	{8, "delivery_rate busy_time rwnd_limited sndbuf_limited"},
	{4, "delivered delivered_ce"},
	{8, "bytes_sent bytes_retrans"},
	{4, "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash"},
	{2, "total_rto total_rto_recoveries"},
	{4, "total_rto_time received_ce delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes received_e1_bytes received_e0_bytes received_ce_bytes"},
	{2, "accecn_fail_mode accecn_opt_seen"},
}

func (r *runner) tcpInfo(fd int, vars map[string]uint64) {
	b := r.getsockopt(fd, protoTCP, 11, 1024)
	if len(b) < 8 {
		return
	}
	for i, n := range strings.Fields("state ca_state retransmits probes backoff options") {
		vars["tcpi_"+n] = uint64(b[i])
	}
	vars["tcpi_snd_wscale"], vars["tcpi_rcv_wscale"] = uint64(b[6]&15), uint64(b[6]>>4)
	vars["tcpi_delivery_rate_app_limited"], vars["tcpi_fastopen_client_fail"] = uint64(b[7]&1), uint64(b[7]>>1&3)
	b = b[8:]
	for _, f := range infoFields {
		for _, n := range strings.Fields(f.names) {
			if len(b) < f.size {
				vars["tcpi_"+n] = 0 // an older kernel
				continue
			}
			vars["tcpi_"+n] = little(b[:f.size])
			b = b[f.size:]
		}
	}
	if cc := r.getsockopt(fd, protoTCP, 26, 64); len(cc) >= 20 { // TCP_CC_INFO
		vars["bbr_bw_lo"], vars["bbr_bw_hi"] = little(cc[:4]), little(cc[4:8])
		vars["bbr_bw"] = little(cc[:8])
		vars["bbr_min_rtt"], vars["bbr_pacing_gain"], vars["bbr_cwnd_gain"] = little(cc[8:12]), little(cc[12:16]), little(cc[16:20])
	}
}

func (r *runner) memInfo(fd int, vars map[string]uint64) {
	b := r.getsockopt(fd, solSocket, 55, 64) // SO_MEMINFO
	for i, n := range strings.Fields("RMEM_ALLOC RCVBUF WMEM_ALLOC SNDBUF FWD_ALLOC WMEM_QUEUED OPTMEM BACKLOG DROPS") {
		if len(b) >= 4*i+4 {
			vars["SK_MEMINFO_"+n] = little(b[4*i : 4*i+4])
		}
	}
}
