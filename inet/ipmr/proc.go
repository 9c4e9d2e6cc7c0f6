package ipmr

import (
	"encoding/binary"
	"fmt"

	"barewire/skb/header"
)

// word is an address as a little-endian machine prints the word it is.
func word(a header.Addr) uint32 { p := a.As4(); return binary.LittleEndian.Uint32(p[:]) }

// showVIFs is /proc/net/ip_mr_vif (Linux: ipmr_vif_seq_show), the default table
// only, as in Linux.
func (r *Router) showVIFs(b []byte) []byte {
	b = append(b, "Interface      BytesIn  PktsIn  BytesOut PktsOut Flags Local    Remote\n"...)
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.def
	for i := range t.maxvif {
		v := &t.vifs[i]
		if v.dev == nil {
			continue
		}
		b = fmt.Appendf(b, "%2d %-10s %8d %7d  %8d %7d %05X %08X %08X\n", i, v.dev.Name(), v.bytesIn.Load(), v.pktIn.Load(),
			v.bytesOut.Load(), v.pktOut.Load(), v.flags, binary.LittleEndian.Uint32(v.local[:]), binary.LittleEndian.Uint32(v.remote[:]))
	}
	return b
}

// showCache is /proc/net/ip_mr_cache (Linux: ipmr_mfc_seq_show): the entries,
// then what waits.
func (r *Router) showCache(b []byte) []byte {
	b = append(b, "Group    Origin   Iif     Pkts    Bytes    Wrong Oifs\n"...)
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.def
	for _, e := range t.list {
		w := e.way.Load()
		b = fmt.Appendf(b, "%08X %08X %-3d %8d %8d %8d", word(e.group), word(e.origin), int16(w.parent),
			e.packets.Load(), e.bytes.Load(), e.wrongIf.Load())
		for i := w.minvif; i < w.maxvif; i++ {
			if t.vifs[i].dev != nil && w.ttls[i] < 255 {
				b = fmt.Appendf(b, " %2d:%-3d", i, w.ttls[i])
			}
		}
		b = append(b, '\n')
	}
	for _, k := range r.unres.keys(t) {
		b = fmt.Appendf(b, "%08X %08X %-3d %8d %8d %8d\n", word(k.group), word(k.origin), -1, 0, 0, 0)
	}
	return b
}
