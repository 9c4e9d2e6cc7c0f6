// Iperf measures throughput as iperf3 does, and speaks its protocol: this server
// serves the real iperf3, and this client asks the real server. It is an ordinary
// program over package net; nothing in it knows what it runs on.
//
//	iperf [-s] [-p port] [-1]
//	iperf -c host [-p port] [-t seconds | -n bytes] [-P streams] [-R | -bidir] [-u] [-b rate] [-l length] [-C algorithm] [-json]
//
// Without -c it is the server. Sizes and rates take K, M and G as iperf3 does: powers of
// 1024 for bytes, of 1000 for bits. What it does not do: SCTP, authentication,
// file input, zero copy.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "iperf:", err)
		os.Exit(1)
	}
}

// run is the program, until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	var p params
	flags := flag.NewFlagSet("iperf", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Bool("s", true, "be the server")
	client := flags.String("c", "", "be the client of the server at `host`")
	port := flags.Int("p", 5201, "`port` of the server")
	once := flags.Bool("1", false, "server: end after one test")
	flags.IntVar(&p.Time, "t", 10, "`seconds` to send for")
	flags.Var(amount{&p.Num, 1024}, "n", "`bytes` to send, instead of for a time")
	flags.IntVar(&p.Parallel, "P", 1, "`streams` side by side")
	flags.BoolVar(&p.Reverse, "R", false, "the server sends")
	flags.BoolVar(&p.Bidirectional, "bidir", false, "both send")
	flags.BoolVar(&p.UDP, "u", false, "UDP instead of TCP")
	flags.Var(amount{&p.Bandwidth, 1000}, "b", "bits a second for each stream; 0 is as many as possible (default 0, for UDP 1M)")
	var length float64
	flags.Var(amount{&length, 1024}, "l", "`bytes` of a write (default 128K, for UDP 1448)")
	flags.StringVar(&p.Congestion, "C", "", "congestion control `algorithm`")
	asJSON := flags.Bool("json", false, "the client prints what the two sides told each other as JSON")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no option", flags.Arg(0))
	}
	if *client == "" {
		return serve(ctx, *port, *once, out)
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	p.TCP, p.Len = !p.UDP, int(min(length, maxBlock))
	if p.Num != 0 {
		if given["t"] {
			return errors.New("-t and -n exclude each other")
		}
		p.Time = 0
	}
	if p.Len == 0 {
		p.Len = 128 << 10
		if p.UDP {
			p.Len = 1448 // fits an Ethernet frame, with options
		}
	}
	if p.UDP && !given["b"] {
		p.Bandwidth = 1e6
	}
	if p.Time == 0 && p.Num == 0 {
		return errors.New("-t 0 would never end")
	}
	p.Counters64, p.NoDelay, p.PacingTimer, p.ClientVersion = 1, true, 1000, version
	if err := p.check(); err != nil {
		return err
	}
	sum, err := measure(ctx, *client, *port, &p)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(sum)
	}
	_, err = io.WriteString(out, sum.String())
	return err
}

// amount is a flag with a number that may end in K, M or G.
type amount struct {
	v    *float64
	kilo float64
}

func (a amount) String() string {
	if a.v == nil {
		return ""
	}
	return strconv.FormatFloat(*a.v, 'g', -1, 64)
}

func (a amount) Set(s string) error {
	unit := 1.0
	if i := strings.IndexByte("kmg", (s + " ")[max(len(s)-1, 0)]|0x20); i >= 0 {
		for range i + 1 {
			unit *= a.kilo
		}
		s = s[:len(s)-1]
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= 1e18) {
		return errors.New("want a number, perhaps with K, M or G")
	}
	*a.v = v * unit
	return nil
}
