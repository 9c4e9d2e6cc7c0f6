package pdl

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, s string) *Script {
	t.Helper()
	sc, err := Parse(s, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	return sc
}

func TestParse_wholeScript(t *testing.T) {
	s := parse(t, `// a comment
--tolerance_usecs=14000
--ip_version=ipv4-mapped-ipv6 --define=N=7 --define=CMD=`+"`true x`"+`
/* another
   one */
`+"`./defaults.sh\nsysctl -q net.ipv4.tcp_sack=0`"+`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=N}, 8) = 0
+.1~+.2 > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>
0.3...0.5 read(4, "ab" "c", 1000) = -1 EAGAIN (Resource temporarily unavailable)
* > [ect01] P.5 1:1001(1000) ack 1 <...>
+0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%
+0 < [tos 0x2, ttl 9] 80 > 8080 F. 1:1(0) ack 1001 win 257 urg 3 <sack 2001:3001 4001:5001,TS val 100 ecr 200>
+0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]
+1 CMD
`+"`cleanup`")
	if len(s.Options) != 4 || s.Options[1] != (Option{"ip_version", "ipv4-mapped-ipv6"}) || !strings.HasPrefix(s.Init, "./defaults.sh\n") || s.Cleanup != "cleanup" {
		t.Errorf("%+v", s)
	}
	ms := time.Millisecond
	want := []*Event{
		{Line: 8, Time: Time{Absolute, 0, 0}, Syscall: &Syscall{Name: "socket", Args: []Expr{Ellipsis{}, Word("SOCK_STREAM"), Word("IPPROTO_TCP")}, Result: Int(3)}},
		{Line: 9, Time: Time{Relative, 0, 0}, Syscall: &Syscall{Name: "setsockopt", Args: []Expr{Int(3), Word("SOL_SOCKET"), Word("SO_LINGER"),
			&Struct{[]Field{{"onoff", nil, Int(1)}, {"linger", nil, Word("7")}}}, Int(8)}, Result: Int(0)}},
		{Line: 10, Time: Time{RelativeRange, 100 * ms, 200 * ms}, Packet: &Packet{TCP: &TCP{Flags: SYN | ACK, Ack: 1, Win: 65535,
			Options: []TCPOption{{Kind: OptMSS, Value: 1460}, {Kind: OptNOP}, {Kind: OptNOP}, {Kind: OptSackOK}, {Kind: OptNOP}, {Kind: OptWScale, Value: 8}}}}},
		{Line: 11, Time: Time{Absolute, 300 * ms, 0}, Syscall: &Syscall{Name: "read", Blocking: true, End: 500 * ms, Args: []Expr{Int(4), String("abc"), Int(1000)}, Result: Int(-1), Errno: "EAGAIN"}},
		{Line: 12, Time: Time{Kind: AnyTime}, Packet: &Packet{IP: IPInfo{Check: TOSECT01}, TCP: &TCP{Flags: PSH | ACK | ECE | AE, ACE: true, Seq: 1, Len: 1000, Ack: 1, Win: -1, AnyOptions: true}}},
		{Line: 13, Time: Time{Kind: Relative}, Code: " assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd "},
		{Line: 14, Time: Time{Kind: Relative}, Packet: &Packet{Inbound: true, IP: IPInfo{TOSAll, 2, 9}, SrcPort: 80, DstPort: 8080, TCP: &TCP{Flags: FIN | ACK, Seq: 1, Ack: 1001, Win: 257, Urg: 3,
			Options: []TCPOption{{Kind: OptSack, Blocks: [][2]uint32{{2001, 3001}, {4001, 5001}}}, {Kind: OptTimestamp, Value: 100, Echo: 200}}}}},
		{Line: 15, Time: Time{Kind: Relative}, Packet: &Packet{Inbound: true, ICMP: &ICMP{Type: "unreachable", Code: "frag_needed", MTU: 1200, Echoed: "tcp", EchoedSeq: 1, EchoedLen: 1460}}},
		{Line: 16, Time: Time{Relative, time.Second, 0}, Command: "true x"},
	}
	if len(s.Events) != len(want) {
		t.Fatalf("%d events", len(s.Events))
	}
	for i, e := range s.Events {
		if !reflect.DeepEqual(e, want[i]) {
			t.Errorf("event %d: %+v %+v %+v, want %+v %+v %+v", i, e, e.Packet, e.Syscall, want[i], want[i].Packet, want[i].Syscall)
		}
	}
}

func TestParse_values(t *testing.T) {
	s := parse(t, `0 f(3, {sa_family = AF_INET, sin_port = htons(8888), sin_addr = inet_addr("1.2.3.4")}, [{events=EPOLLIN|EPOLLET, fd=4}],
		{msg_name(...)=..., msg_iov(2)=[{..., 1000}, {"x", 1}], msg_flags=0, msg_control=[{cmsg_level=1, cmsg_type=0xff, cmsg_data=[]}]}) = -1 EBADF (Bad file (x) descriptor) (a note)`)
	want := []Expr{
		Int(3),
		&Struct{[]Field{{"sa_family", nil, Word("AF_INET")}, {"sin_port", nil, Int(8888)}, {"sin_addr", nil, String("1.2.3.4")}}},
		List{&Struct{[]Field{{"events", nil, Binary{Word("EPOLLIN"), Word("EPOLLET")}}, {"fd", nil, Int(4)}}}},
		&Struct{[]Field{{"msg_name", Ellipsis{}, Ellipsis{}}, {"msg_iov", Int(2), List{List{Ellipsis{}, Int(1000)}, List{String("x"), Int(1)}}}, {"msg_flags", nil, Int(0)},
			{"msg_control", nil, List{&Struct{[]Field{{"cmsg_level", nil, Int(1)}, {"cmsg_type", nil, Int(255)}, {"cmsg_data", nil, List(nil)}}}}}}},
	}
	if got := s.Events[0].Syscall.Args; !reflect.DeepEqual(got, want) {
		t.Errorf("%#v\nwant %#v", got, want)
	}
}

func TestParse_accurateECN(t *testing.T) {
	s := parse(t, "0 > S. 0:0(0) ack 1 <mss 1460,ECN e1b 1 ceb 0 e0b 258,nop>\n0 < . 1:1(0) ack 1 <ECN e0b 7,ECN>")
	if o := s.Events[0].Packet.TCP.Options[1]; o.Kind != OptAccECN1 || string(o.Data) != "\x00\x00\x01\x00\x00\x00\x00\x01\x02" {
		t.Errorf("%+v", o)
	}
	if o := s.Events[1].Packet.TCP.Options; o[0].Kind != OptAccECN0 || string(o[0].Data) != "\x00\x00\x07" || len(o[1].Data) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestParse_wrong_errorNamesTheLine(t *testing.T) {
	for _, s := range []string{
		"", "\n0", "0 socket(", "0 close(3) = ", "0 < S 0:5(4) win 3", "0 > X 0:0(0)", "0 < . 1:1(0) ack 1 <mss>", "* close(3) = 0",
		"0.2~0.1 > . 1:1(0)", "0 `unterminated", "0 %{ x", "0 /* x", "0 < S 0:0(0) win 70000", "0 < . 1:1(0) <...>", "0 close(3) = 0 `a` 0 close(3) = 0",
		"0 < udp (70000)", "-1 close(3) = 0", "0 < [ect9] . 1:1(0)", "0 > . 1:1(0) <FO 123>",
	} {
		if _, err := Parse(s, nil); err == nil || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestParse_beyondUs_isUnsupported(t *testing.T) {
	for _, s := range []string{"0 < ipv4 1.1.1.1 > 2.2.2.2: udp (1)", "0 < [flowlabel 0x1] . 1:1(0)", "0 < . 1:1(0) {mut tcp mss}", "0 < . 1:1(0) <mp_capable 1>"} {
		var u *Unsupported
		if _, err := Parse(s, nil); !errors.As(err, &u) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>\n* > udp (5)")
	f.Add("--a=b\n`x`\n0 < icmp unreachable port_unreachable [udp (3)]\n+.1...0.2 f({a(1)=2}) = -1 E (x)\n`y`")
	f.Fuzz(func(t *testing.T, s string) {
		sc, err := Parse(s, nil)
		if err == nil && len(sc.Events) == 0 {
			t.Error("no events and no error")
		}
	})
}
