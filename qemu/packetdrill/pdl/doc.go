// Package pdl reads scripts in the language of packetdrill: system calls,
// packets that come in, packets that must go out, each at its time.
//
//	0.000 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//	+0    bind(3, ..., ...) = 0
//	+0    listen(3, 1) = 0
//	+0    < S 0:0(0) win 32792 <mss 1000,nop,wscale 7>
//	+0    > S. 0:0(0) ack 1 <...>
//	+.1   < . 1:1(0) ack 1 win 257
//	+0    accept(3, ..., ...) = 4
//	+0    %{ assert tcpi_snd_cwnd == 10 }%
//
// [Parse] gives the script as data; package run makes it happen. What the
// language has and this package does not know is an error of type
// [Unsupported], so that a caller tells a script that is beyond it from one that
// is wrong.
package pdl
