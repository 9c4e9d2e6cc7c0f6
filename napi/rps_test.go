package napi

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"

	"barewire/skb"
)

func TestCPUMask_text(t *testing.T) {
	for _, c := range []struct {
		in   string
		cpus int
		out  string
		err  error
	}{
		{"f", 4, "f", nil}, {"0", 1, "0", nil}, {"3", 8, "03", nil}, {"80000000", 32, "80000000", nil},
		{"1,00000000", 33, "1,00000000", nil}, {"0,0,0,3", 4, "3", nil}, {"00000000,00000000,00000000,00000000,0000000f", 4, "f", nil},
		{"", 4, "", syscall.EINVAL}, {"g", 4, "", syscall.EINVAL}, {"123456789", 4, "", syscall.EINVAL}, {"1,,1", 4, "", syscall.EINVAL},
		{"-1", 4, "", syscall.EINVAL}, {"+1", 4, "", syscall.EINVAL}, {"1,0,0,0,0", 4, "", syscall.EOVERFLOW},
	} {
		m, err := ParseCPUMask(c.in)
		if !errors.Is(err, c.err) || err == nil && m.Text(c.cpus) != c.out {
			t.Errorf("%q: %q, %v", c.in, m.Text(c.cpus), err)
		}
	}
}

func FuzzParseCPUMask(f *testing.F) {
	f.Add("ff,00000001")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseCPUMask(s)
		if err != nil {
			return
		}
		if again, err := ParseCPUMask(m.Text(MaxCPUs)); err != nil || again != m {
			t.Errorf("%q: %v, %v", s, again, err)
		}
	})
}

// steerNet is a net on four processors, whose softirqs the test runs, with a tun.
func steerNet(t *testing.T) (*Net, *Tun) {
	n, err := New(Config{CPUs: 4})
	if err != nil {
		t.Fatal(err)
	}
	tun, err := NewTun(n, "tun0", false, func(b *skb.Buff) { b.Consume() })
	if err != nil {
		t.Fatal(err)
	}
	if err := tun.Dev().Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tun.Close()
		if b := n.SKB().InUse(); b != 0 {
			t.Errorf("%d packets left", b)
		}
	})
	return n, tun
}

// flowPacket is a datagram of a flow, answer the other way, piece a fragment.
func flowPacket(n *Net, flow, seq int, answer, piece bool) *skb.Buff {
	b := n.SKB().Alloc(200)
	b.Reserve(64)
	p := b.Put(40)
	copy(p, []byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	src, dst := uint16(1000+flow), uint16(9)
	if answer {
		p[15], p[19] = 2, 1
		src, dst = dst, src
	}
	if piece {
		p[6] = 0x20
	}
	binary.BigEndian.PutUint16(p[20:], src)
	binary.BigEndian.PutUint16(p[22:], dst)
	binary.BigEndian.PutUint32(p[28:], uint32(seq))
	return b
}

func runAll(n *Net) {
	for range 4 {
		for cpu := range n.CPUs() {
			n.SoftNetOf(cpu).DoSoftirq()
		}
	}
}

// Packets of a flow, both ways, go to one processor, and flows to all of those
// asked for; pieces go by the addresses.
func TestRPS_flows_spreadOverTheMask(t *testing.T) {
	n, tun := steerNet(t)
	var m CPUMask
	m.Add(1)
	m.Add(3)
	tun.Dev().RxQueues()[0].SetRPS(m)
	at, pieces, used := map[int]uint16{}, map[uint16]bool{}, map[uint16]int{}
	n.AddPack(ETH_P_IP, nil, func(b *skb.Buff, _ *NetDevice) {
		p := b.Data()
		flow := int(max(binary.BigEndian.Uint16(p[20:]), binary.BigEndian.Uint16(p[22:])))
		used[b.CPU]++
		if p[6] != 0 {
			pieces[b.CPU] = true
		} else if cpu, ok := at[flow]; ok && cpu != b.CPU {
			t.Errorf("flow %d on processors %d and %d", flow, cpu, b.CPU)
		} else {
			at[flow] = b.CPU
		}
		b.Consume()
	})
	for flow := range 64 {
		for k := range 8 {
			tun.Receive(flowPacket(n, flow, k, k%2 == 1, k == 7))
		}
		runAll(n)
	}
	if len(used) != 2 || used[1] < 100 || used[3] < 100 || len(pieces) != 1 {
		t.Errorf("packets by processor %v, pieces on %v", used, pieces)
	}
}

// A flow follows who reads it, but not past its packets that still wait.
func TestRFS_readerMoves_flowFollowsInOrder(t *testing.T) {
	cpu := 0
	n, tun := steerNet(t)
	n.cpuNow = func() int { return cpu }
	if err := n.Sysctl().Set("net.core.rps_sock_flow_entries", "1000"); err != nil {
		t.Fatal(err)
	}
	if v, _ := n.Sysctl().Get("net.core.rps_sock_flow_entries"); v != "1024" {
		t.Errorf("%s entries", v)
	}
	q := tun.Dev().RxQueues()[0]
	if q.SetFlowCount(-1) == nil || q.SetFlowCount(1<<30) == nil || q.SetFlowCount(100) != nil || q.FlowCount() != 128 {
		t.Errorf("%d flows", q.FlowCount())
	}
	var hash uint32
	var got, cpus []int
	n.AddPack(ETH_P_IP, nil, func(b *skb.Buff, _ *NetDevice) {
		got = append(got, int(binary.BigEndian.Uint32(b.Data()[28:])))
		cpus = append(cpus, int(b.CPU))
		hash = b.Hash
		b.Consume()
	})
	seq := 0
	send := func(count int) {
		for range count {
			tun.Receive(flowPacket(n, 1, seq, false, false))
			seq++
		}
	}
	send(1)
	runAll(n)
	for _, reader := range []int{2, 3, 1, 0, 2} {
		cpu = reader
		n.RecordFlow(hash)
		cpu = 0
		send(3)
		runAll(n)
		if c := cpus[len(cpus)-3:]; c[0] != reader || c[1] != reader || c[2] != reader {
			t.Errorf("read on %d, received on %v", reader, c)
		}
	}
	// Three wait on processor 2 when the reader moves to 1: those sent meanwhile
	// come behind them.
	send(3)
	cpu = 1
	n.RecordFlow(hash)
	cpu = 0
	send(3)
	n.SoftNetOf(1).DoSoftirq()
	runAll(n)
	if c := cpus[len(cpus)-6:]; c[0] != 2 || c[5] != 2 {
		t.Errorf("received on %v while some waited", c)
	}
	send(1)
	runAll(n)
	if cpus[len(cpus)-1] != 1 {
		t.Errorf("received on %d, read on 1", cpus[len(cpus)-1])
	}
	for i, s := range got {
		if s != i {
			t.Fatalf("order %v", got)
		}
	}
	for _, v := range []string{"-1", "x", "9999999"} {
		if n.Sysctl().Set("net.core.rps_sock_flow_entries", v) == nil {
			t.Errorf("%s entries taken", v)
		}
	}
}

func TestSoftnetStat_aLineForEach(t *testing.T) {
	n, tun := steerNet(t)
	var m CPUMask
	m.Add(2)
	tun.Dev().RxQueues()[0].SetRPS(m)
	tun.Receive(flowPacket(n, 1, 0, false, false))
	runAll(n)
	const want = "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n" +
		"00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000000 00000000\n" +
		"00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000000 00000000 00000002 00000000 00000000\n" +
		"00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000003 00000000 00000000\n"
	if got := string(n.showSoftnet(nil)); got != want {
		t.Errorf("softnet_stat\n%s", got)
	}
}

func TestConfig_processorsOutOfBounds_refused(t *testing.T) {
	if _, err := New(Config{CPUs: MaxCPUs + 1}); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if n, err := New(Config{CPUs: -1}); err != nil || n.CPUs() != 1 {
		t.Errorf("%v", err)
	}
}
