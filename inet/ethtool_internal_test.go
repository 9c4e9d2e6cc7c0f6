package inet

import (
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// card is a device of which ethtool can ask everything.
type card struct {
	coalesce napi.Coalesce
	pairs    int
}

func (*card) Open(*napi.NetDevice) error { return nil }
func (*card) Stop(*napi.NetDevice) error { return nil }
func (*card) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, b []*skb.Buff) int {
	return len(b)
}
func (*card) DriverStats(_ *napi.NetDevice, add func(string, uint64)) {
	add("one", 1)
	add("two", 1<<40)
	add(strings.Repeat("long", 20), 3)
}
func (c *card) Coalesce(*napi.NetDevice) napi.Coalesce { return c.coalesce }
func (c *card) SetCoalesce(_ *napi.NetDevice, v napi.Coalesce) error {
	if v.RxUsecs > 1000 {
		return syscall.EINVAL
	}
	c.coalesce = v
	return nil
}
func (*card) RingParam(*napi.NetDevice) napi.RingParam {
	return napi.RingParam{RxMax: 256, TxMax: 128, Rx: 64, Tx: 32}
}
func (c *card) Channels(*napi.NetDevice) (int, int) { return 4, c.pairs }
func (c *card) SetChannels(_ *napi.NetDevice, n int) error {
	c.pairs = n
	return nil
}

func newCard() (*napi.NetDevice, *card) {
	c := &card{pairs: 1}
	d := napi.AllocNetdev("eth0", c, 1)
	napi.EtherSetup(d)
	d.SetFeatures(napi.FeatureSG | napi.FeatureHWCsum | napi.FeatureTSO | napi.FeatureRxCsum)
	return d, c
}

// words makes a structure of 32-bit words.
func words(w ...uint32) (b []byte) {
	for _, v := range w {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

// ioctl makes a request as a system call does: with as much memory as it asks
// for, which begins with b.
func ioctl(t testing.TB, d *napi.NetDevice, b []byte) ([]byte, error) {
	t.Helper()
	n := 4
	for range 8 {
		mem := make([]byte, n)
		copy(mem, b)
		err := ethtool(d, mem)
		more, ok := err.(sock.NeedMore)
		if !ok {
			return mem, err
		}
		if int(more) <= n {
			t.Fatalf("command %#x wants %d bytes, has %d", b[:4], more, n)
		}
		n = int(more)
	}
	t.Fatalf("command %#x never has enough", b[:4])
	return nil, nil
}

func TestEthtool_statsByName(t *testing.T) {
	d, _ := newCard()
	b, err := ioctl(t, d, words(ethtoolGSsetInfo, 0, 1<<setStats|1<<setFeatures|1<<63>>32, 1))
	if err != nil || binary.NativeEndian.Uint64(b[8:]) != 1<<setStats|1<<setFeatures ||
		binary.NativeEndian.Uint32(b[16:]) != 3 || binary.NativeEndian.Uint32(b[20:]) != uint32(len(ethtoolFeatures)) {
		t.Errorf("sets: %v %x", err, b)
	}
	b, err = ioctl(t, d, words(ethtoolGStrings, setStats, 0))
	if err != nil || len(b) != 12+3*stringLen || string(b[12:16]) != "one\x00" || b[12+3*stringLen-1] != 0 {
		t.Errorf("strings: %v %q", err, b)
	}
	b, err = ioctl(t, d, words(ethtoolGStats, 0))
	if err != nil || len(b) != 8+24 || binary.NativeEndian.Uint64(b[16:]) != 1<<40 {
		t.Errorf("values: %v %x", err, b)
	}
	if _, err = ioctl(t, d, words(ethtoolGStrings, 77, 0)); err != syscall.EOPNOTSUPP {
		t.Errorf("an unknown set: %v", err)
	}
}

func TestEthtool_settings(t *testing.T) {
	d, c := newCard()
	set := make([]uint32, 23)
	set[0], set[1], set[2], set[5], set[6] = ethtoolSCoalesce, 30, 2, 40, 3
	if _, err := ioctl(t, d, words(set...)); err != nil || c.coalesce != (napi.Coalesce{RxUsecs: 30, RxFrames: 2, TxUsecs: 40, TxFrames: 3}) {
		t.Errorf("coalesce: %v %+v", err, c.coalesce)
	}
	if b, err := ioctl(t, d, words(ethtoolGCoalesce)); err != nil || string(b[4:]) != string(words(set...)[4:]) {
		t.Errorf("coalesce read: %v %x", err, b)
	}
	set[1] = 2000
	if _, err := ioctl(t, d, words(set...)); err != syscall.EINVAL {
		t.Errorf("what the driver refuses: %v", err)
	}
	set[1], set[10] = 30, 1
	if _, err := ioctl(t, d, words(set...)); err != syscall.EOPNOTSUPP {
		t.Errorf("adaptive: %v", err)
	}
	if b, err := ioctl(t, d, words(ethtoolGRingParam)); err != nil || string(b) != string(words(ethtoolGRingParam, 256, 0, 0, 128, 64, 0, 0, 32)) {
		t.Errorf("rings: %v %x", err, b)
	}
	for _, x := range []struct {
		rx, combined uint32
		err          error
	}{{0, 3, nil}, {0, 0, syscall.EINVAL}, {0, 5, syscall.EINVAL}, {1, 2, syscall.EINVAL}} {
		if _, err := ioctl(t, d, words(ethtoolSChannels, 0, 0, 0, 0, x.rx, 0, 0, x.combined)); err != x.err {
			t.Errorf("channels %+v: %v", x, err)
		}
	}
	if b, err := ioctl(t, d, words(ethtoolGChannels)); err != nil || string(b) != string(words(ethtoolGChannels, 0, 0, 0, 4, 0, 0, 0, 3)) {
		t.Errorf("channels: %v %x", err, b)
	}
}

// Offloads go off and on again; what needs another goes with it.
func TestEthtool_features(t *testing.T) {
	d, _ := newCard()
	all := d.Features()
	value := func(cmd uint32) uint32 {
		b, err := ioctl(t, d, words(cmd, 9))
		if err != nil {
			t.Fatalf("%#x: %v", cmd, err)
		}
		return binary.NativeEndian.Uint32(b[4:])
	}
	put := func(cmd, v uint32) error {
		_, err := ioctl(t, d, words(cmd, v))
		return err
	}
	if value(ethtoolGTSO) != 1 || value(ethtoolGSG) != 1 || value(ethtoolGTxCsum) != 1 || value(ethtoolGRxCsum) != 1 || value(ethtoolGGSO) != 1 {
		t.Error("not all are on at first")
	}
	if err := put(ethtoolSTxCsum, 0); err != nil || value(ethtoolGTxCsum) != 0 || value(ethtoolGTSO) != 0 {
		t.Errorf("checksums off: %v, %d; segmentation, which needs them, %d", err, value(ethtoolGTxCsum), value(ethtoolGTSO))
	}
	if err := put(ethtoolSTxCsum, 1); err != nil || d.Features() != all {
		t.Errorf("on again: %v, %#x, want %#x", err, d.Features(), all)
	}
	b, err := ioctl(t, d, words(ethtoolGFeatures, 1))
	if err != nil || len(b) != 24 || binary.NativeEndian.Uint32(b[8:]) != 1<<0|1<<1|1<<2|1<<8 || binary.NativeEndian.Uint32(b[16:]) != 1<<0|1<<1|1<<2|1<<5|1<<7|1<<8 {
		t.Errorf("features: %v %x", err, b)
	}
	if _, err := ioctl(t, d, words(ethtoolSFeatures, 1, 1<<2|1<<8|1<<5, 0)); err != nil || d.Features() != all&^napi.FeatureTSO || d.GRO() {
		t.Errorf("segmentation and merging off: %v, %#x, merging %v", err, d.Features(), d.GRO())
	}
	for _, bad := range [][]byte{words(ethtoolSFeatures, 2, 0, 0), words(ethtoolSFeatures, 1, 1<<31, 0)} {
		if _, err := ioctl(t, d, bad); err != syscall.EINVAL {
			t.Errorf("%x: %v", bad, err)
		}
	}
	d.SetFeatures(0)
	if err := put(ethtoolSTSO, 1); err != syscall.EOPNOTSUPP {
		t.Errorf("segmentation of a device without: %v", err)
	}
}

// FuzzEthtool: any structure, however short, is answered within its bounds or
// refused with an Errno.
func FuzzEthtool(f *testing.F) {
	for cmd := range uint32(0x60) {
		f.Add(words(cmd, 1, 1, 1, 1, 1))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, _ := newCard()
		ethtool(d, append([]byte(nil), b...)) // as it is
		if len(b) >= 4 {
			_, err := ioctl(t, d, b)
			var e syscall.Errno
			if err != nil && !errors.As(err, &e) {
				t.Errorf("%x: %v", b, err)
			}
		}
	})
}
