package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"barewire/qemu/bench/table"
)

// What other people's programs say of the same: iperf3 as the client of
// apps/iperf on barewire and of itself on Linux, wrk as the client of the agent.

// Figures of theirs.
const (
	iperfIn  = "iperf3, host to guest"
	iperfOut = "iperf3, guest to host"
	wrkKeep  = "wrk, 1 thread, 16 connections"
)

var (
	iperfLoads = []Load{ // read-only
		{iperfIn, "Mbit/s", 1, func(r *Running, d time.Duration) (float64, error) { return r.iperf(d) }, "kB", 125},
		{iperfOut, "Mbit/s", 1, func(r *Running, d time.Duration) (float64, error) { return r.iperf(d, "-R") }, "kB", 125},
	}
	wrkLoads = []Load{ // read-only
		{table.HTTPKeep, "requests/s", 1, httpKeep.Run, "request", 1},
		{wrkKeep, "requests/s", 1, func(r *Running, d time.Duration) (float64, error) { return r.wrk(d) }, "request", 1},
	}
)

func (p *Plan) second(ctx context.Context, peers *Peers) (*table.Table, error) {
	t := table.New(table.Second, "Second opinions: one card, all offloads, 1 CPU", table.Barewire, table.Linux, table.GVisor)
	for _, program := range []string{"iperf3", "wrk"} {
		if _, err := exec.LookPath(program); err != nil {
			return t, fmt.Errorf("%s is missing: apt-get install %s", program, program)
		}
	}
	linux := one(true)
	linux.Args = "iperf"
	agent := func(peer Peer) side { return side{peer.Name, peer, []run{{one(true), wrkLoads, ""}}} }
	own := side{peers.Iperf.Name, peers.Iperf, []run{{one(true), iperfLoads, ""}}}
	theirs := side{peers.Linux.Name, peers.Linux, []run{{linux, append(append([]Load{}, iperfLoads...), wrkLoads...), ""}}}
	l := []side{own, theirs, agent(peers.Barewire), agent(peers.GVisor)}
	return t, p.turns(ctx, tables{main: t, cost: table.New(table.Cost+table.Second, "")}, l)
}

// seconds is a time for programs that know no shorter one.
func seconds(d time.Duration) string {
	return strconv.Itoa(int(max(1, d.Round(time.Second)/time.Second)))
}

// iperf is what iperf3 receives, or has received at the guest's end.
func (r *Running) iperf(d time.Duration, args ...string) (float64, error) {
	out, err := r.NS.Run(d+20*time.Second, "iperf3", append([]string{"-c", guestAddr(0).String(), "-J", "-t", seconds(d)}, args...)...)
	if err != nil {
		return 0, err
	}
	return iperfRate([]byte(out))
}

// iperfRate reads the rate in Mbit/s from what iperf3 -J prints.
func iperfRate(out []byte) (float64, error) {
	var v struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return 0, fmt.Errorf("iperf3: %w", err)
	}
	if v.Error != "" || v.End.Received.Rate <= 0 {
		return 0, fmt.Errorf("iperf3 measured nothing: %s", v.Error)
	}
	return v.End.Received.Rate / 1e6, nil
}

func (r *Running) wrk(d time.Duration) (float64, error) {
	out, err := r.NS.Run(d+20*time.Second, "wrk", "-t1", "-c16", "-d"+seconds(d), "http://"+guestAddr(0).String()+"/")
	if err != nil {
		return 0, err
	}
	return wrkRate(out)
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)`)
	wrkErrors   = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$`)
)

// wrkRate reads the requests a second from what wrk prints.
func wrkRate(out string) (float64, error) {
	if e := wrkErrors.FindStringSubmatch(out); e != nil {
		return 0, fmt.Errorf("wrk: %s", e[1])
	}
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk says no rate:\n%s", out)
	}
	return strconv.ParseFloat(m[1], 64)
}
