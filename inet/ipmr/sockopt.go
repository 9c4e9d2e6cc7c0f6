package ipmr

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
)

// Options of level SOL_IP and requests (Linux: include/uapi/linux/mroute.h).
const (
	mrtInit        = 200
	mrtDone        = 201
	mrtAddVIF      = 202
	mrtDelVIF      = 203
	mrtAddMFC      = 204
	mrtDelMFC      = 205
	mrtVersion     = 206
	mrtAssert      = 207
	mrtPIM         = 208
	mrtTable       = 209
	mrtAddMFCProxy = 210
	mrtDelMFCProxy = 211
	mrtFlush       = 212

	siocGetVIFCnt = 0x89e0
	siocGetSGCnt  = 0x89e1
	vifReqLen     = 40 // struct sioc_vif_req
	sgReqLen      = 32 // struct sioc_sg_req

	version = 0x0305
)

// routes reports whether a sock may be a routing daemon's.
func routes(s *ip.Sock) bool {
	return s.Type == syscall.SOCK_RAW && s.Ident().Num == header.ProtoIGMP
}

// SetSockOpt implements ip.MulticastRouter (Linux: ip_mroute_setsockopt).
// Errors are Linux's: EOPNOTSUPP unless it is a raw sock of IGMP, EINVAL,
// ENOENT, EADDRINUSE, EADDRNOTAVAIL, ENFILE, EACCES, EBUSY, ENOBUFS, ENOMEM,
// ENOPROTOOPT.
func (r *Router) SetSockOpt(s *ip.Sock, name int, val []byte) error {
	if !routes(s) {
		return syscall.EOPNOTSUPP
	}
	if want := optionLen(name); want >= 0 && len(val) != want {
		return syscall.EINVAL
	}
	switch name {
	case mrtDone:
		r.cfg.Lock()
		t := r.tableOf(s)
		is := t != nil && t.sk.Load() == s
		r.cfg.Unlock()
		switch {
		case t == nil:
			return syscall.ENOENT
		case !is:
			return syscall.EACCES
		}
		return s.RouterAlert(false, nil) // calls stop
	case mrtAddVIF:
		c := parseVifctl(val)
		if c.vifi < MaxVIFs && c.flags == vifRegister {
			return r.addRegister(s, &c)
		}
	}
	r.cfg.Lock()
	defer r.unlock()
	t := r.tableOf(s)
	if t == nil {
		return syscall.ENOENT
	}
	daemon := t.sk.Load() == s
	switch name {
	case mrtInit:
		return r.start(t, s)
	case mrtAddVIF, mrtDelVIF:
		c := parseVifctl(val)
		switch {
		case c.vifi >= MaxVIFs:
			return syscall.ENFILE
		case name == mrtAddVIF:
			return r.addVIF(t, &c, daemon, nil)
		}
		return r.delVIF(t, int(c.vifi), false)
	case mrtAddMFC, mrtDelMFC, mrtAddMFCProxy, mrtDelMFCProxy:
		c := parseMfcctl(val)
		parent := -1
		if name >= mrtAddMFCProxy {
			parent = c.parent
		}
		if name == mrtDelMFC || name == mrtDelMFCProxy {
			return r.delMFC(t, c.key, parent)
		}
		return r.addMFC(t, &c, daemon, parent)
	case mrtFlush:
		r.clean(t, binary.NativeEndian.Uint32(val))
		return nil
	case mrtAssert, mrtPIM:
		r.mu.Lock()
		defer r.mu.Unlock()
		v := binary.NativeEndian.Uint32(val)
		if name == mrtAssert {
			t.assert = v != 0
		} else if t.pim != (v != 0) {
			t.pim, t.assert, t.wholeWrong = v != 0, v != 0, v == msgWholeWrong
		}
		return nil
	case mrtTable:
		return r.chooseTable(s, binary.NativeEndian.Uint32(val))
	}
	return syscall.ENOPROTOOPT
}

// optionLen is how long the value of an option is, -1 if that does not matter.
func optionLen(name int) int {
	switch name {
	case mrtInit, mrtFlush, mrtAssert, mrtPIM, mrtTable:
		return 4
	case mrtAddVIF, mrtDelVIF:
		return vifctlLen
	case mrtAddMFC, mrtDelMFC, mrtAddMFCProxy, mrtDelMFCProxy:
		return mfcctlLen
	}
	return -1
}

// addRegister adds a register vif, whose device must be made while no lock of
// ours is held.
func (r *Router) addRegister(s *ip.Sock, c *vifctl) error {
	r.cfg.Lock()
	t := r.tableOf(s)
	var err error
	switch {
	case t == nil:
		err = syscall.ENOENT
	case t.vifs[c.vifi].dev != nil, t.regVif >= 0:
		err = syscall.EADDRINUSE
	}
	r.cfg.Unlock()
	if err != nil {
		return err
	}
	var dev *napi.NetDevice
	if dev, err = r.newRegister(t); err != nil {
		return syscall.ENOBUFS
	}
	r.cfg.Lock()
	defer r.unlock()
	if err = r.addVIF(t, c, t.sk.Load() == s, dev); err != nil {
		r.doomed = append(r.doomed, dev)
	}
	return err
}

// GetSockOpt implements ip.MulticastRouter (Linux: ip_mroute_getsockopt).
func (r *Router) GetSockOpt(s *ip.Sock, name int, buf []byte) (int, error) {
	if !routes(s) {
		return 0, syscall.EOPNOTSUPP
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tableOf(s)
	if t == nil {
		return 0, syscall.ENOENT
	}
	v := uint32(0)
	switch name {
	case mrtVersion:
		v = version
	case mrtPIM:
		v = bit(t.pim)
	case mrtAssert:
		v = bit(t.assert)
	default:
		return 0, syscall.ENOPROTOOPT
	}
	var p [4]byte
	binary.NativeEndian.PutUint32(p[:], v)
	return copy(buf, p[:]), nil
}

func bit(v bool) uint32 {
	if v {
		return 1
	}
	return 0
}

// Ioctl implements ip.MulticastRouter (Linux: ipmr_sk_ioctl, ipmr_ioctl):
// SIOCGETVIFCNT and SIOCGETSGCNT, the counters of a vif and of an entry. Errors:
// EFAULT, ENOENT, EINVAL for a vif beyond the last, EADDRNOTAVAIL for what is
// not there.
func (r *Router) Ioctl(s *ip.Sock, cmd uint, arg []byte) (handled bool, err error) {
	if cmd != siocGetVIFCnt && cmd != siocGetSGCnt || !routes(s) {
		return false, nil
	}
	want := vifReqLen
	if cmd == siocGetSGCnt {
		want = sgReqLen
	}
	if len(arg) < want {
		return true, syscall.EFAULT
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tableOf(s)
	if t == nil {
		return true, syscall.ENOENT
	}
	put := func(p []byte, v ...uint64) {
		for i, x := range v {
			binary.NativeEndian.PutUint64(p[8*i:], x)
		}
	}
	if cmd == siocGetVIFCnt {
		i := int(binary.NativeEndian.Uint16(arg))
		if i >= t.maxvif {
			return true, syscall.EINVAL
		}
		v := &t.vifs[i]
		if v.dev == nil {
			return true, syscall.EADDRNOTAVAIL
		}
		put(arg[8:], v.pktIn.Load(), v.pktOut.Load(), v.bytesIn.Load(), v.bytesOut.Load())
		return true, nil
	}
	k := key{header.Addr(binary.BigEndian.Uint32(arg)), header.Addr(binary.BigEndian.Uint32(arg[4:]))}
	e := t.find(k, -1)
	if e == nil {
		return true, syscall.EADDRNOTAVAIL
	}
	put(arg[8:], e.packets.Load(), e.bytes.Load(), e.wrongIf.Load())
	return true, nil
}
