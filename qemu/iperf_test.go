package qemu

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// iperfReport is what iperf3 -J says, as far as the tests want to know it.
type iperfReport struct {
	Error string
	End   struct {
		Streams []struct {
			Sender, Receiver struct {
				Bytes       float64
				Retransmits float64
			}
			UDP struct {
				Bytes   float64
				Packets float64
				Lost    float64 `json:"lost_packets"`
			}
		}
		Sum struct {
			Bytes   float64
			Packets float64
			Lost    float64 `json:"lost_packets"`
		}
		Sent     iperfSum `json:"sum_sent"`
		Received iperfSum `json:"sum_received"`
	}
}

type iperfSum struct {
	Bytes       float64
	Seconds     float64
	BitsPerS    float64 `json:"bits_per_second"`
	Retransmits float64
}

// iperf3 runs the real one in the namespace against the image.
func (ns *Namespace) iperf3(t *testing.T, args ...string) *iperfReport {
	t.Helper()
	text, err := ns.Run(40*time.Second, "iperf3", append([]string{"-J", "-c", guestIP.String()}, args...)...)
	r := new(iperfReport)
	if jerr := json.Unmarshal([]byte(text), r); err != nil || jerr != nil || r.Error != "" {
		t.Fatalf("iperf3 %v: %v, %v\n%s", args, err, jerr, text)
	}
	return r
}

const segment = 1448 // bytes of a full one

// untilListens waits until somebody in the namespace has a socket on the port.
func (ns *Namespace) untilListens(t *testing.T, network string, port int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var table []byte
		if err := ns.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/" + network)
			six, _ := os.ReadFile("/proc/thread-self/net/" + network + "6")
			table = append(table, six...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(table), fmt.Sprintf(":%04X ", port)) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody listens on port %d", port)
		}
	}
}

// The image is the server of the real iperf3: both directions, several streams at
// a time, UDP, over a good cable and over a bad one.
func TestIperf_realClient(t *testing.T) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip(err, "(Debian: iperf3)")
	}
	for _, c := range []struct {
		name string
		bad  *impairment
		most float64 // share of segments that may be sent again
		runs [][]string
	}{
		{"good", nil, 0.01, [][]string{{"-t", "2"}, {"-t", "2", "-R"}, {"-t", "2", "-P", "4"}, {"-t", "1", "--bidir"},
			{"-n", "20M", "-R", "-C", "bbr"}, {"-u", "-b", "10M", "-t", "1"}, {"-u", "-b", "10M", "-t", "1", "-R"}}},
		{"loss", &impairment{loss: 0.01, delay: 10 * time.Millisecond, seed: 5}, 0.06, [][]string{{"-t", "2", "-C", "cubic"}, {"-t", "2", "-C", "cubic", "-R"}, {"-t", "2", "-C", "bbr", "-R"}, {"-t", "2", "-R", "-P", "4"}}},
		// What overtakes looks lost at first. Linux sends a fifth again here.
		{"disorder", &impairment{loss: 0.01, delay: 10 * time.Millisecond, reorder: 0.05, seed: 5}, 0.4, [][]string{{"-t", "2", "-C", "cubic"}, {"-t", "2", "-C", "cubic", "-R"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := needNamespace(t, "iperf")
			cable, err := Backend(nil), error(nil)
			if c.bad != nil {
				cable = ns.badCable(t, "tap0", hostNet, *c.bad)
			} else if cable, err = ns.Tap("tap0", hostNet); err != nil {
				t.Fatal(err)
			}
			m := Start(t, Config{Kernel: image(t, "barewire/apps/iperf"), Append: "quiet " + ipParam, NICs: []NIC{{Backend: cable, NoPcap: true}}})
			if _, err := m.Console.WaitFor("^iperf: listening on port 5201", bootTime); err != nil {
				t.Fatal(err)
			}
			for _, args := range c.runs {
				r := ns.iperf3(t, args...)
				if args[0] == "-u" {
					s := r.End.Sum
					t.Logf("%v: %.0f datagrams, %.0f lost", args, s.Packets, s.Lost)
					if s.Packets < 100 || s.Lost > s.Packets/2 {
						t.Errorf("%v: %+v", args, s)
					}
					continue
				}
				sent, got := r.End.Sent, r.End.Received
				share := sent.Retransmits * segment / sent.Bytes
				t.Logf("%v: %.0f Mbit/s, %.0f retransmitted (%.2f %%)", args, got.BitsPerS/1e6, sent.Retransmits, 100*share)
				if got.Bytes == 0 || got.Bytes > sent.Bytes {
					t.Errorf("%v: %.0f bytes sent, %.0f received", args, sent.Bytes, got.Bytes)
				}
				if share > c.most {
					t.Errorf("%v: %.1f %% of the segments were retransmitted", args, 100*share)
				}
				for i, s := range r.End.Streams {
					if s.Receiver.Bytes == 0 && s.Sender.Bytes == 0 {
						t.Errorf("%v: nothing in stream %d", args, i)
					}
				}
			}
		})
	}
}

// The image is the client of the real server.
func TestIperf_realServer(t *testing.T) {
	path, err := exec.LookPath("iperf3")
	if err != nil {
		t.Skip(err, "(Debian: iperf3)")
	}
	for _, args := range []string{"-t 2", "-t 2 -R -P 3", "-u -b 5M -t 1 -bidir"} {
		t.Run(args, func(t *testing.T) {
			ns := needNamespace(t, "iperf")
			tap, err := ns.Tap("tap0", hostNet)
			if err != nil {
				t.Fatal(err)
			}
			cmd := ns.Command(t.Context(), path, "-s", "-1")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			ns.untilListens(t, "tcp", 5201)
			m := Start(t, Config{Kernel: image(t, "barewire/apps/iperf"), Append: "quiet " + ipParam + " -- -c " + hostIP.String() + " -json " + args,
				NICs: []NIC{{Backend: tap, NoPcap: true}}})
			if code, err := m.Wait(40 * time.Second); code != 0 || err != nil {
				t.Fatalf("code %d, %v\n%s", code, err, m.Console.Output())
			}
			var sum struct {
				Local, Remote struct {
					Streams []struct {
						ID                 int
						Bytes, Retransmits float64
					}
				}
			}
			_, text, _ := strings.Cut(m.Console.Output(), `{"params"`)
			if err := json.NewDecoder(strings.NewReader(`{"params"` + text)).Decode(&sum); err != nil {
				t.Fatalf("%v in\n%s", err, m.Console.Output())
			}
			if len(sum.Local.Streams) == 0 || len(sum.Local.Streams) != len(sum.Remote.Streams) {
				t.Fatalf("%+v", sum)
			}
			for i, here := range sum.Local.Streams {
				there := sum.Remote.Streams[i]
				t.Logf("stream %d: here %.0f bytes, %.0f retransmitted; there %.0f, %.0f", here.ID, here.Bytes, here.Retransmits, there.Bytes, there.Retransmits)
				if here.ID != there.ID || here.Bytes == 0 || there.Bytes == 0 || here.Retransmits*segment > 0.01*here.Bytes {
					t.Errorf("stream %d: here %+v, there %+v", i, here, there)
				}
			}
		})
	}
}
