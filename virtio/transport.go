package virtio

import (
	"errors"
	"fmt"
	"time"
)

// Device types (virtio 1.2, clause 5).
const (
	IDNet = 1
)

// Device status bits (virtio 1.2, 2.1).
const (
	StatusAcknowledge      = 1
	StatusDriver           = 2
	StatusDriverOK         = 4
	StatusFeaturesOK       = 8
	StatusDeviceNeedsReset = 64
	StatusFailed           = 128
)

// Feature bits that do not belong to a device type (virtio 1.2, clause 6), as
// masks.
const (
	FeatIndirectDesc   uint64 = 1 << 28
	FeatEventIdx       uint64 = 1 << 29
	FeatVersion1       uint64 = 1 << 32
	FeatAccessPlatform uint64 = 1 << 33
	FeatRingPacked     uint64 = 1 << 34
	FeatInOrder        uint64 = 1 << 35
	FeatOrderPlatform  uint64 = 1 << 36
	FeatSRIOV          uint64 = 1 << 37
	FeatNotification   uint64 = 1 << 38
	FeatRingReset      uint64 = 1 << 40
)

// Errors a transport or a driver ends with. They come wrapped in the values
// that matter.
var (
	// ErrNoDevice: the slot is empty. Not a fault; go on probing.
	ErrNoDevice = errors.New("no virtio device here")
	// ErrLegacy: the device only speaks the interface from before virtio 1.0.
	ErrLegacy = errors.New("legacy virtio device")
	// ErrBadDevice: the device contradicts the specification.
	ErrBadDevice = errors.New("virtio device breaks the specification")
	// ErrFeatures: device and driver cannot agree on features.
	ErrFeatures = errors.New("virtio features cannot be agreed on")
	// ErrResetTimeout: the device did not confirm a reset. It may still use
	// the memory it was given.
	ErrResetTimeout = errors.New("virtio device does not confirm its reset")
)

// Transport is the way to one device: registers, queue set-up, notification,
// interrupts. [MMIO] and [PCI] are it. Methods other than Notify and the
// interrupt handlers are for one caller at a time.
type Transport interface {
	// Name names the device in messages, as its finder called it.
	Name() string
	// DeviceID returns the type of device (virtio 1.2, clause 5).
	DeviceID() uint32

	// Status returns the device status field (2.1).
	Status() uint8
	// SetStatus writes the device status field; not for reset.
	SetStatus(s uint8)
	// Reset resets the device and waits, for at most a second, until the
	// device confirms it (2.4, 4.1.4.3.2, 4.2.3.1). Until then the device may
	// use the memory it was given. It may sleep.
	Reset() error

	// Sleep waits, as the platform does it. Process context.
	Sleep(d time.Duration)

	// Barrier returns the platform's barrier, nil where sync/atomic orders a
	// store before a later load as the device sees them; see [Queue].
	Barrier() func()

	// DeviceFeatures returns the features the device offers.
	DeviceFeatures() uint64
	// SetDriverFeatures tells the device which of them the driver accepts.
	SetDriverFeatures(f uint64)

	// QueueMax returns the largest size of queue i the device supports, in
	// descriptors; 0 when it has no such queue. The value is the device's
	// claim and not checked.
	QueueMax(i int) int
	// EnableQueue hands queue i to the device.
	EnableQueue(i int, a QueueAddrs) error
	// Notify tells the device that queue i, which is enabled, has new
	// buffers. Any context.
	Notify(i int)

	// DeviceConfig returns the device-specific configuration registers.
	DeviceConfig() Regs
	// ConfigGeneration changes whenever the device changes fields of its
	// configuration (2.5.1).
	ConfigGeneration() uint32

	// SetHandler says where interrupts of the device and its first queues go,
	// those of queue i on processor cpus[i], and requests them from the platform
	// the first time. It is called while the device is reset.
	SetHandler(h Handler, cpus []int) error
}

// QueueAddrs describes a virtqueue to the device: its size in descriptors and
// the device addresses of its three parts (virtio 1.2, 2.7).
type QueueAddrs struct {
	Size   int
	Desc   uint64 // descriptor table
	Driver uint64 // available ring
	Device uint64 // used ring
}

// Handler is the driver's half of interrupts. Its methods run on the
// platform's interrupt goroutine, must not block, and may be called without a
// cause: lines are shared and devices lie.
type Handler interface {
	// QueueInterrupt says that queue i may have used buffers; AnyQueue when
	// the queues share the interrupt.
	QueueInterrupt(i int)
	// ConfigInterrupt says that the configuration or the status may have
	// changed.
	ConfigInterrupt()
}

// AnyQueue is the queue number of an interrupt that the queues share.
const AnyQueue = -1

const (
	resetWait = time.Second
	resetStep = 200 * time.Microsecond
)

// reset is Transport.Reset on top of the status register.
func reset(t Transport) error {
	t.SetStatus(0)
	for waited := time.Duration(0); ; waited += resetStep {
		if t.Status() == 0 {
			return nil
		}
		if waited >= resetWait {
			return fmt.Errorf("%s: %w: status %#x after %v", t.Name(), ErrResetTimeout, t.Status(), waited)
		}
		t.Sleep(resetStep)
	}
}

// Negotiate takes a device from reset to FEATURES_OK: steps 1 to 6 of device
// initialization (virtio 1.2, 3.1.1). choose gets what the device offers and
// returns the subset the driver wants, or an error that says what it cannot
// do without. VERSION_1 is always required. On error the device is left with
// FAILED set, or reset.
func Negotiate(t Transport, choose func(offered uint64) (uint64, error)) (uint64, error) {
	if err := t.Reset(); err != nil {
		return 0, err
	}
	t.SetStatus(StatusAcknowledge)
	t.SetStatus(StatusAcknowledge | StatusDriver)
	offered := t.DeviceFeatures()
	if offered&FeatVersion1 == 0 {
		t.SetStatus(StatusAcknowledge | StatusDriver | StatusFailed)
		return 0, fmt.Errorf("%s: %w: it does not offer VIRTIO_F_VERSION_1 (features %#x); %s", t.Name(), ErrLegacy, offered, legacyHelp)
	}
	want, err := choose(offered)
	if err != nil {
		t.SetStatus(StatusAcknowledge | StatusDriver | StatusFailed)
		return 0, fmt.Errorf("%s: %w: %w (features %#x)", t.Name(), ErrFeatures, err, offered)
	}
	// ACCESS_PLATFORM must be accepted where offered: addresses come from a
	// DMA mapper anyway (6.1). ORDER_PLATFORM asks for the barriers that the
	// ring uses anyway.
	want |= FeatVersion1 | offered&(FeatAccessPlatform|FeatOrderPlatform)
	want &= offered
	t.SetDriverFeatures(want)
	t.SetStatus(StatusAcknowledge | StatusDriver | StatusFeaturesOK)
	if s := t.Status(); s&StatusFeaturesOK == 0 {
		t.SetStatus(StatusAcknowledge | StatusDriver | StatusFailed)
		return 0, fmt.Errorf("%s: %w: device refuses %#x of %#x (status %#x)", t.Name(), ErrFeatures, want, offered, s)
	}
	return want, nil
}

// DriverOK ends device initialization (virtio 1.2, 3.1.1 step 8). Queues are
// enabled; from here on the device may be notified.
func DriverOK(t Transport) {
	t.SetStatus(StatusAcknowledge | StatusDriver | StatusFeaturesOK | StatusDriverOK)
}

// configTries bounds how often a configuration that changes under the reader
// is read again.
const configTries = 64

// ReadConfig has read take fields from the device's configuration and repeats
// it until no change fell in between (virtio 1.2, 2.5.1). It gives up on a
// device whose generation never holds still.
func ReadConfig(t Transport, read func(c Regs)) error {
	c := t.DeviceConfig()
	for range configTries {
		before := t.ConfigGeneration()
		read(c)
		if t.ConfigGeneration() == before {
			return nil
		}
	}
	return fmt.Errorf("%s: %w: configuration changed during each of %d reads", t.Name(), ErrBadDevice, configTries)
}

const legacyHelp = "only virtio 1.0 and later is supported: with QEMU add -global virtio-mmio.force-legacy=false, or disable-modern=off on a PCI device"

func sleepFunc(f func(time.Duration)) func(time.Duration) {
	if f == nil {
		return time.Sleep
	}
	return f
}
