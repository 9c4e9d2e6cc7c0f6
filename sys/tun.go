package sys

import (
	"encoding/binary"
	"sync"
	"syscall"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// /dev/net/tun (Linux: drivers/net/tun.c): a program is at the other end of a
// device's wire.

const minorTun = 200

// Requests.
const (
	tunSetNoCsum    = 0x400454c8
	tunSetDebug     = 0x400454c9
	tunSetIff       = 0x400454ca
	tunSetPersist   = 0x400454cb
	tunSetOwner     = 0x400454cc
	tunSetLink      = 0x400454cd
	tunSetGroup     = 0x400454ce
	tunGetFeatures  = 0x800454cf
	tunSetOffload   = 0x400454d0
	tunGetIff       = 0x800454d2
	tunGetSndbuf    = 0x800454d3
	tunSetSndbuf    = 0x400454d4
	tunGetVnetHdrSz = 0x800454d7
	tunSetVnetHdrSz = 0x400454d8
)

// Flags of a device, and those of TUNSETOFFLOAD.
const (
	iffTun      = 0x0001
	iffTap      = 0x0002
	iffNoPI     = 0x1000
	iffOneQueue = 0x2000
	iffVnetHdr  = 0x4000
	iffTunExcl  = 0x8000
	iffPersist  = 0x0800

	tunFeatures = iffTun | iffTap | iffNoPI | iffOneQueue | iffVnetHdr

	tunFCsum   = 0x01
	tunFTSO4   = 0x02
	tunFTSOECN = 0x08

	tunPktStrip = 0x0001 // of the packet information: it did not fit
	tunPiLen    = 4
	tunMaxFrame = 65535 + napi.EthHdrLen
)

// tunFile is an open /dev/net/tun. Before TUNSETIFF it stands for nothing.
type tunFile struct {
	baseFile

	mu      sync.Mutex // guards the following
	tun     *napi.Tun  // nil: not attached
	flags   uint16
	vnetLen int // of the virtio-net header, 0 for none
	sndbuf  int32

	qmu   sync.Mutex // softirq context takes it
	queue skb.List   // packets for the program
	bound int
}

// attached returns the device and how its packets look.
func (d *tunFile) attached() (t *napi.Tun, flags uint16, vnetLen int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tun, d.flags, d.vnetLen
}

func (*tunFile) pollable() bool { return true }

// poll is tun_chr_poll.
func (d *tunFile) poll(*File) uint16 {
	t, _, _ := d.attached()
	if t == nil || t.Dev().Net() == nil {
		return pollErr
	}
	ev := pollOut | pollWrNorm
	if !t.Dev().IsUp() {
		ev = 0
	}
	d.qmu.Lock()
	defer d.qmu.Unlock()
	if d.queue.Len() > 0 {
		ev |= pollIn | pollRdNorm
	}
	return ev
}

func (d *tunFile) stat(_ *File, st *syscall.Stat_t) {
	st.Mode = syscall.S_IFCHR | 0o666
	st.Rdev = makedev(10, minorTun)
}

// release takes the device away unless it was made persistent (Linux:
// tun_chr_close).
func (d *tunFile) release(*File) {
	d.mu.Lock()
	t, flags := d.tun, d.flags
	d.tun = nil
	d.mu.Unlock()
	if t != nil {
		t.Detach()
		if flags&iffPersist == 0 {
			t.Close()
		}
	}
	d.qmu.Lock()
	defer d.qmu.Unlock()
	d.bound = 0
	d.queue.Purge(skb.QueuePurge)
}

// transmit queues a packet for the program (Linux: tun_net_xmit).
func (d *tunFile) transmit(f *File, b *skb.Buff) {
	d.qmu.Lock()
	if d.queue.Len() >= d.bound {
		d.qmu.Unlock()
		if dev, ok := b.Dev.(*napi.NetDevice); ok {
			dev.Stats.TxDropped.Add(1)
		}
		b.Free(skb.FullRing)
		return
	}
	d.queue.PushBack(b)
	d.qmu.Unlock()
	f.wait.wake(pollIn | pollRdNorm)
}

// read gives one packet (Linux: tun_do_read, tun_put_user). What does not fit is
// cut off.
func (d *tunFile) read(f *File, iov [][]byte) (int, Errno) {
	t, flags, vnetLen := d.attached()
	if t == nil {
		return 0, syscall.EBADFD
	}
	return f.k.block(f.wait, f.nonblock(), func() (int, Errno) {
		if t.Dev().Net() == nil {
			return 0, syscall.EIO // it was taken away
		}
		d.qmu.Lock()
		b := d.queue.PopFront()
		d.qmu.Unlock()
		if b == nil {
			return 0, eagain
		}
		defer b.Consume()
		return d.give(t, b, iov, flags, vnetLen)
	})
}

func (d *tunFile) give(t *napi.Tun, b *skb.Buff, iov [][]byte, flags uint16, vnetLen int) (int, Errno) {
	var head [tunPiLen + 64]byte
	h := head[:0]
	room := iovLen(iov)
	if flags&iffNoPI == 0 {
		if room < tunPiLen {
			return 0, syscall.EINVAL
		}
		strip := uint16(0)
		if room < b.Len()+tunPiLen+vnetLen {
			strip = tunPktStrip
		}
		h = binary.NativeEndian.AppendUint16(h, strip)
		h = binary.BigEndian.AppendUint16(h, b.Protocol)
	}
	if vnetLen > 0 {
		if room < len(h)+vnetLen {
			return 0, syscall.EINVAL
		}
		var v skb.VnetHdr
		if !v.FromSkb(b, !t.Tap(), true) {
			return 0, syscall.EINVAL
		}
		p := h[len(h) : len(h)+vnetLen]
		clear(p)
		v.Put(p[:min(vnetLen, skb.VnetHdrMrgLen)])
		h = h[:len(h)+vnetLen]
	}
	m := sock.Msg{Iov: iov}
	n := m.Fill(h)
	return n + sock.CopyToIter(b, 0, min(b.Len(), m.Len()), m.Iov), 0
}

// write has one packet arrive (Linux: tun_get_user).
func (d *tunFile) write(f *File, iov [][]byte) (int, Errno) {
	t, flags, vnetLen := d.attached()
	if t == nil {
		return 0, syscall.EBADFD
	}
	net := t.Dev().Net()
	if net == nil {
		return 0, syscall.EIO
	}
	total := iovLen(iov)
	n := total
	it := sock.Iter{Iov: iov}
	var head [64]byte
	if flags&iffNoPI == 0 {
		if n < tunPiLen {
			return 0, syscall.EINVAL
		}
		it.Read(head[:tunPiLen])
		n -= tunPiLen
	}
	var v skb.VnetHdr
	if vnetLen > 0 {
		if n < vnetLen {
			return 0, syscall.EINVAL
		}
		it.Read(head[:vnetLen])
		v = skb.ParseVnetHdr(head[:vnetLen])
		n -= vnetLen
	}
	if n > tunMaxFrame || t.Tap() && n < napi.EthHdrLen {
		return 0, syscall.EINVAL
	}
	b := it.NewPacket(net.SKB(), n, skb.Pad)
	if b == nil {
		return 0, syscall.ENOMEM
	}
	if vnetLen > 0 && !v.ToSkb(b, !t.Tap(), skb.VnetCsum|skb.VnetTSO4|skb.VnetECN) {
		t.Dev().Stats.RxErrors.Add(1)
		t.Dev().Stats.RxFrameErrors.Add(1)
		b.Free(skb.DevHdr)
		return 0, syscall.EINVAL
	}
	if err := t.Receive(b); err != nil {
		return 0, errno(err)
	}
	return total, 0
}

// ioctl is __tun_chr_ioctl.
func (d *tunFile) ioctl(f *File, cmd, arg uintptr) (uintptr, Errno) {
	k := f.k
	switch cmd {
	case tunGetFeatures:
		return 0, copyTo(k, arg, uint32(tunFeatures))
	case tunSetIff:
		return 0, d.setIff(f, arg)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tun == nil {
		return 0, syscall.EBADFD
	}
	dev := d.tun.Dev()
	switch cmd {
	case tunGetIff:
		return 0, putIfreq(k, arg, dev.Name(), d.flags)
	case tunSetNoCsum, tunSetDebug, tunSetOwner, tunSetGroup:
		return 0, 0 // everybody here is who owns it
	case tunSetPersist:
		if d.flags &^= iffPersist; arg != 0 {
			d.flags |= iffPersist
		}
		return 0, 0
	case tunSetLink:
		if dev.IsUp() {
			return 0, syscall.EBUSY
		}
		return 0, syscall.EINVAL // the type of a device is for ever
	case tunSetOffload:
		return 0, d.setOffload(arg)
	case tunGetSndbuf:
		return 0, copyTo(k, arg, d.sndbuf)
	case tunSetSndbuf:
		v, e := copyFrom[int32](k, arg)
		if e == 0 && v <= 0 {
			e = syscall.EINVAL
		}
		if e == 0 {
			d.sndbuf = v
		}
		return 0, e
	case tunGetVnetHdrSz:
		return 0, copyTo(k, arg, int32(max(d.vnetLen, skb.VnetHdrLen)))
	case tunSetVnetHdrSz:
		v, e := copyFrom[int32](k, arg)
		if e == 0 && (v < skb.VnetHdrLen || v > 64) {
			e = syscall.EINVAL
		}
		if e == 0 && d.flags&iffVnetHdr != 0 {
			d.vnetLen = int(v)
		}
		return 0, e
	}
	return 0, syscall.EINVAL
}

// setOffload is set_offload: what the program can do with packets it reads.
func (d *tunFile) setOffload(arg uintptr) Errno {
	var f napi.Features
	if arg&tunFCsum != 0 {
		f |= napi.FeatureHWCsum
		if arg&tunFTSOECN != 0 {
			f |= napi.FeatureTSOECN
		}
		if arg&tunFTSO4 != 0 {
			f |= napi.FeatureTSO
		}
		arg &^= tunFCsum | tunFTSO4 | tunFTSOECN
	}
	if arg != 0 {
		return syscall.EINVAL // of what is left nothing is known here
	}
	d.tun.Dev().SetFeatures(napi.FeatureSG | napi.FeatureFragList | f)
	return 0
}

func putIfreq(k *Kernel, arg uintptr, name string, flags uint16) Errno {
	var r [ifreqSize]byte
	copy(r[:ifnamsiz-1], name)
	binary.NativeEndian.PutUint16(r[ifnamsiz:], flags)
	return copyTo(k, arg, r)
}

// setIff makes the device or attaches to one that waits for a program (Linux:
// tun_set_iff).
func (d *tunFile) setIff(f *File, arg uintptr) Errno {
	r, e := copyFrom[[ifreqSize]byte](f.k, arg)
	if e != 0 {
		return e
	}
	name := string(r[:ifnamsiz-1])
	for i := range name {
		if name[i] == 0 {
			name = name[:i]
			break
		}
	}
	flags := binary.NativeEndian.Uint16(r[ifnamsiz:])
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tun != nil {
		return syscall.EEXIST
	}
	net := f.k.netns().Net
	if net == nil {
		return syscall.ENODEV
	}
	tap := flags&(iffTun|iffTap) == iffTap
	if flags&(iffTun|iffTap) == 0 {
		return syscall.EINVAL
	}
	var t *napi.Tun
	xmit := func(b *skb.Buff) { d.transmit(f, b) }
	if dev := net.DevByName(name); dev != nil {
		old, ok := dev.Priv.(*napi.Tun)
		switch {
		case flags&iffTunExcl != 0:
			return syscall.EBUSY
		case !ok || old.Tap() != tap:
			return syscall.EINVAL
		}
		if t = old; !old.Attach(xmit) {
			return syscall.EBUSY
		}
		d.flags = iffPersist // it waited, so it was
	} else {
		d.flags = 0
		if name == "" {
			name = "tun%d"
			if tap {
				name = "tap%d"
			}
		}
		var err error
		if t, err = napi.NewTun(net, name, tap, xmit); err != nil {
			return errno(err)
		}
	}
	t.Dev().SetFeatures(napi.FeatureSG | napi.FeatureFragList)
	d.tun, d.sndbuf = t, 1<<31-1
	d.flags |= flags & (iffNoPI | iffOneQueue | iffVnetHdr)
	if d.flags |= iffTun; tap {
		d.flags ^= iffTun | iffTap
	}
	if d.vnetLen = 0; flags&iffVnetHdr != 0 {
		d.vnetLen = skb.VnetHdrLen
	}
	d.qmu.Lock()
	d.bound = t.Dev().QueueLen()
	d.qmu.Unlock()
	return putIfreq(f.k, arg, t.Dev().Name(), flags)
}
