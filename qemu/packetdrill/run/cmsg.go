package run

import (
	"errors"
	"fmt"
	"time"

	"barewire/qemu/packetdrill/pdl"
)

// Control messages.

const (
	scmTimestamping         = 37
	scmTimestampingOptStats = 54
	solSocket               = 1
	solIP                   = 0
	ipRecverr               = 11
)

// control lays out [{cmsg_level=, cmsg_type=, cmsg_data=}].
func (r *runner) control(e pdl.Expr) ([]byte, error) {
	list, ok := e.(pdl.List)
	if !ok {
		return nil, fmt.Errorf("%v is no list of control messages", e)
	}
	var b []byte
	for _, v := range list {
		s, ok := v.(*pdl.Struct)
		if !ok {
			return nil, fmt.Errorf("%v is no control message", v)
		}
		level, err := number(s.Get("cmsg_level"))
		if err != nil {
			return nil, err
		}
		typ, err := number(s.Get("cmsg_type"))
		if err != nil {
			return nil, err
		}
		data, err := cmsgData(s.Get("cmsg_data"))
		if err != nil {
			return nil, err
		}
		b = ne.AppendUint64(b, uint64(16+len(data)))
		b = ne.AppendUint32(ne.AppendUint32(b, uint32(level)), uint32(typ))
		b = append(b, data...)
		for len(b)%8 != 0 {
			b = append(b, 0)
		}
	}
	return b, nil
}

// nla are the attributes of SCM_TIMESTAMPING_OPT_STATS: number and size.
var nla = map[string]struct { // read-only
	typ, size int
}{
	"TCP_NLA_BUSY": {1, 8}, "TCP_NLA_RWND_LIMITED": {2, 8}, "TCP_NLA_SNDBUF_LIMITED": {3, 8}, "TCP_NLA_DATA_SEGS_OUT": {4, 8},
	"TCP_NLA_TOTAL_RETRANS": {5, 8}, "TCP_NLA_PACING_RATE": {6, 8}, "TCP_NLA_DELIVERY_RATE": {7, 8}, "TCP_NLA_SND_CWND": {8, 4},
	"TCP_NLA_REORDERING": {9, 4}, "TCP_NLA_MIN_RTT": {10, 4}, "TCP_NLA_RECUR_RETRANS": {11, 1}, "TCP_NLA_DELIVERY_RATE_APP_LMT": {12, 1},
	"TCP_NLA_SNDQ_SIZE": {13, 4}, "TCP_NLA_CA_STATE": {14, 1}, "TCP_NLA_SND_SSTHRESH": {15, 4}, "TCP_NLA_DELIVERED": {16, 4},
	"TCP_NLA_DELIVERED_CE": {17, 4}, "TCP_NLA_BYTES_SENT": {18, 8}, "TCP_NLA_BYTES_RETRANS": {19, 8}, "TCP_NLA_DSACK_DUPS": {20, 4},
	"TCP_NLA_REORD_SEEN": {21, 4}, "TCP_NLA_SRTT": {22, 4}, "TCP_NLA_TIMEOUT_REHASH": {23, 2}, "TCP_NLA_BYTES_NOTSENT": {24, 4},
	"TCP_NLA_EDT": {25, 8}, "TCP_NLA_TTL": {26, 1}, "TCP_NLA_REHASH": {27, 4},
}

func cmsgData(e pdl.Expr) ([]byte, error) {
	switch v := e.(type) {
	case pdl.Int, pdl.Word, pdl.Binary:
		return ints(v)
	case pdl.String:
		return []byte(v), nil
	case *pdl.Struct:
		switch {
		case v.Get("ee_errno") != nil:
			return sockExtendedErr(v)
		case v.Get("scm_sec") != nil:
			sec, err := number(v.Get("scm_sec"))
			if err != nil {
				return nil, err
			}
			nsec, err := number(v.Get("scm_nsec"))
			b := ne.AppendUint64(ne.AppendUint64(nil, uint64(sec)), uint64(nsec))
			return append(b, make([]byte, 32)...), err
		}
		return optStats(v.Fields)
	case pdl.List:
		if len(v) == 1 {
			return cmsgData(v[0])
		}
	}
	return nil, &pdl.Unsupported{What: fmt.Sprintf("control data %v", e)}
}

// sockExtendedErr lays out struct sock_extended_err with room for the offender.
func sockExtendedErr(s *pdl.Struct) ([]byte, error) {
	var v [6]int64
	for i, name := range []string{"ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data"} {
		e := s.Get(name)
		if e == nil {
			return nil, errors.New("no " + name)
		}
		var err error
		if v[i], err = number(e); err != nil {
			return nil, err
		}
	}
	b := ne.AppendUint32(nil, uint32(v[0]))
	b = append(b, uint8(v[1]), uint8(v[2]), uint8(v[3]), 0)
	b = ne.AppendUint32(ne.AppendUint32(b, uint32(v[4])), uint32(v[5]))
	return append(b, make([]byte, 16)...), nil
}

func optStats(fields []pdl.Field) ([]byte, error) {
	var b []byte
	for _, f := range fields {
		a, ok := nla[f.Name]
		if !ok {
			return nil, &pdl.Unsupported{What: f.Name}
		}
		v, err := number(f.Value)
		if err != nil {
			return nil, err
		}
		b = ne.AppendUint16(ne.AppendUint16(b, uint16(4+a.size)), uint16(a.typ))
		b = append(b, ne.AppendUint64(nil, uint64(v))[:a.size]...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b, nil
}

// nextCmsg cuts the first control message off.
func nextCmsg(b []byte) (level, typ uint32, data, rest []byte, ok bool) {
	if len(b) < 16 {
		return 0, 0, nil, nil, false
	}
	n := int(ne.Uint64(b))
	if n < 16 || n > len(b) {
		return 0, 0, nil, nil, false
	}
	return ne.Uint32(b[8:]), ne.Uint32(b[12:]), b[16:n], b[min((n+7)&^7, len(b)):], true
}

func (r *runner) compareControl(want, got []byte) error {
	for i := 0; ; i++ {
		wl, wt, wd, wr, wok := nextCmsg(want)
		gl, gt, gd, gr, gok := nextCmsg(got)
		switch {
		case !wok && !gok:
			return nil
		case !wok || !gok:
			return fmt.Errorf("%d control messages are not all, or too many", i)
		case wl != gl || wt != gt:
			return fmt.Errorf("control message %d is %d/%d, not %d/%d", i, gl, gt, wl, wt)
		case len(wd) != len(gd):
			return fmt.Errorf("control message %d has %d bytes, not %d", i, len(gd), len(wd))
		}
		if err := r.compareCmsg(wl, wt, wd, gd); err != nil {
			return fmt.Errorf("control message %d: %w", i, err)
		}
		want, got = wr, gr
	}
}

func (r *runner) compareCmsg(level, typ uint32, want, got []byte) error {
	switch {
	case level == solIP && typ == ipRecverr:
		want, got = want[:16], got[:16] // the offender may be anybody
	case level == solSocket && typ == scmTimestamping:
		return r.compareTimes(want, got)
	case level == solSocket && typ == scmTimestampingOptStats:
		return r.compareStats(want, got)
	}
	if string(want) != string(got) {
		return fmt.Errorf("it is %x, not %x", got, want)
	}
	return nil
}

// compareTimes compares the times the script gives, counted from its start.
func (r *runner) compareTimes(want, got []byte) error {
	for i := 0; i+16 <= len(want); i += 16 {
		w := time.Duration(ne.Uint64(want[i:]))*time.Second + time.Duration(ne.Uint64(want[i+8:]))
		if w == 0 {
			continue
		}
		g := time.Duration(ne.Uint64(got[i:]))*time.Second + time.Duration(ne.Uint64(got[i+8:]))
		if g -= r.wallStart(); g < w-r.Tolerance || g > w+r.Tolerance {
			return fmt.Errorf("timestamp %v, not %v", g, w)
		}
	}
	return nil
}

func (r *runner) compareStats(want, got []byte) error {
	for len(want) >= 4 && len(got) >= 4 {
		n := int(ne.Uint16(want))
		if string(want[:4]) != string(got[:4]) || n < 4 || n > len(want) || n > len(got) {
			return fmt.Errorf("attribute %d of %d bytes, not %d of %d", ne.Uint16(got[2:]), ne.Uint16(got), ne.Uint16(want[2:]), n)
		}
		w, g := little(want[4:n]), little(got[4:n])
		ignore := uint64(1)<<(8*(n-4)) - 1
		typ := ne.Uint16(want[2:])
		near := typ <= 3 && w != 0 && g+uint64(r.Tolerance/time.Microsecond) >= w && g <= w+uint64(r.Tolerance/time.Microsecond)
		if w != g && w != ignore && !near {
			return fmt.Errorf("attribute %d is %d, not %d", typ, g, w)
		}
		n = min((n+3)&^3, len(want), len(got))
		want, got = want[n:], got[n:]
	}
	return nil
}

func little(b []byte) uint64 {
	var v [8]byte
	copy(v[:], b)
	return ne.Uint64(v[:])
}
