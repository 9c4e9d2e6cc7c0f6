package udp

import (
	"fmt"
	"syscall"

	"barewire/inet/ip"
	"barewire/napi/sysctl"
)

// memPage is the unit of net.ipv4.udp_mem and of sockstat's mem, in bytes.
const memPage = 4096

// register enters the settings and files of UDP.
func (u *UDP) register() {
	n := u.ip
	u.rmemMin.Store(memPage)
	u.wmemMin.Store(memPage)
	u.earlyDemux.Store(1)
	const most = 1<<31 - 1
	n.Dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Int("net.ipv4.udp_rmem_min", &u.rmemMin, 1, most),
			sysctl.Int("net.ipv4.udp_wmem_min", &u.wmemMin, 1, most),
			sysctl.Int("net.ipv4.udp_early_demux", &u.earlyDemux, 0, 1),
			sysctl.Entry{
				Name: "net.ipv4.udp_mem",
				// The middle one is that of protocols which know pressure; UDP
				// does not.
				Get: func() string {
					low, limit := u.memory.Low()/memPage, u.memory.Limit()/memPage
					return fmt.Sprintf("%d\t%d\t%d", low, low+(limit-low)/2, limit)
				},
				Set: func(s string) error {
					l, err := sysctl.Ints(s, 3)
					if err != nil || l[0] < 0 || l[1] < 0 || l[2] < 0 || l[2] > 1<<40 {
						return syscall.EINVAL
					}
					u.memory.SetLimit(l[2] * memPage)
					u.memory.SetLow(l[0] * memPage)
					return nil
				},
			},
		}
	})
	n.Dev.Proc().Register("udp", u.show)
	n.AddSockstat(ip.SockstatUDP, u.sockstat)
}

// show is /proc/net/udp and /proc/net/udplite (Linux: udp4_seq_show).
func (u *UDP) show(b []byte) []byte {
	b = ip.AppendSeq(b, " "+ip.ProcHeader)
	for i := range u.table.hash {
		for _, e := range u.table.hash[i].load() {
			b = ip.AppendSeq(b, fmt.Sprintf("%5d", i)+e.sk.ProcLine(int(e.id.Num), int(e.id.Dport)))
		}
	}
	return b
}

// sockstat is the protocol's line of /proc/net/sockstat.
func (u *UDP) sockstat(b []byte) []byte {
	if u.lite {
		return fmt.Appendf(b, "UDPLITE: inuse %d\n", u.inuse.Load())
	}
	return fmt.Appendf(b, "UDP: inuse %d mem %d\n", u.inuse.Load(), (u.memory.Used()+memPage-1)/memPage)
}
