package arp

import (
	"fmt"

	"barewire/inet/neigh"
)

// Flags of /proc/net/arp (Linux: ATF_*).
const (
	atfCom  = 0x02
	atfPerm = 0x04
	atfPubl = 0x08
)

// show is /proc/net/arp. Entries that need no resolution are not shown.
func (a *ARP) show(b []byte) []byte {
	b = append(b, "IP address       HW type     Flags       HW address            Mask     Device\n"...)
	for _, e := range a.table.Entries() {
		if e.State&^neigh.NUDNoARP == 0 {
			continue
		}
		flags := 0
		switch {
		case e.State&neigh.NUDPermanent != 0:
			flags = atfPerm | atfCom
		case e.State&(neigh.NUDReachable|neigh.NUDStale|neigh.NUDDelay|neigh.NUDProbe) != 0:
			flags = atfCom
		}
		b = fmt.Appendf(b, "%-16s 0x%-10x0x%-10x%-17s     *        %s\n", e.Addr.String(), e.Dev.Type, flags, mac(e.HW), e.Dev.Name())
	}
	for _, e := range a.table.Proxies() {
		typ, name := uint16(0), "*"
		if e.Dev != nil {
			typ, name = e.Dev.Type, e.Dev.Name()
		}
		b = fmt.Appendf(b, "%-16s 0x%-10x0x%-10x%s     *        %s\n", e.Addr.String(), typ, atfPubl|atfPerm, "00:00:00:00:00:00", name)
	}
	return b
}

func mac(hw [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", hw[0], hw[1], hw[2], hw[3], hw[4], hw[5])
}

// showStat is /proc/net/stat/arp_cache. There is one line, as on a machine
// with one processor.
func (a *ARP) showStat(b []byte) []byte {
	s := &a.ip.MIB.ARP
	b = append(b, "entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls\n"...)
	return fmt.Appendf(b, "%08x %08x %08x %08x   %08x %08x %08x   %08x         %08x         %08x         %08x       %08x            %08x\n",
		a.table.Len(), s.Allocs.Load(), s.Destroys.Load(), s.HashGrows.Load(), s.Lookups.Load(), s.Hits.Load(), s.ResFailed.Load(),
		s.RcvProbesMcast.Load(), s.RcvProbesUcast.Load(), s.PeriodicGCRuns.Load(), s.ForcedGCRuns.Load(),
		s.UnresolvedDiscards.Load(), s.TableFulls.Load())
}
