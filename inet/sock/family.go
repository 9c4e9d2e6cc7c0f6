package sock

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// CreateFunc fills in a new socket of its family (Linux:
// net_proto_family.create): SK and Ops must be set when it returns nil.
type CreateFunc func(s *Socket, protocol int) error

// Bounds of the family and type arguments of socket(2).
const (
	NProto  = 46 // NPROTO (AF_MAX)
	SockMax = 11 // SOCK_MAX
)

// Families is the table of address families of one stack (Linux:
// net_families). The zero value is empty.
type Families struct {
	// DevIoctl answers the requests no family knows, those about interfaces
	// (Linux: dev_ioctl). Set before the first socket; nil means ENOTTY.
	DevIoctl func(cmd uint, arg []byte) error

	mu  sync.Mutex // writers
	tab [NProto]atomic.Pointer[CreateFunc]
}

// Register enters a family (Linux: sock_register). EEXIST if it is there,
// EINVAL if the number is out of range.
func (f *Families) Register(family int, create CreateFunc) error {
	if family < 0 || family >= NProto {
		return syscall.EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tab[family].Load() != nil {
		return syscall.EEXIST
	}
	f.tab[family].Store(&create)
	return nil
}

// Create makes a socket (Linux: __sock_create). typ is SOCK_* without
// SOCK_NONBLOCK and SOCK_CLOEXEC, which belong to the file. Errors:
// EAFNOSUPPORT for an unknown family, EINVAL for an impossible type, and what
// the family says: ESOCKTNOSUPPORT, EPROTONOSUPPORT, EPERM.
func (f *Families) Create(family, typ, protocol int) (*Socket, error) {
	if family < 0 || family >= NProto {
		return nil, syscall.EAFNOSUPPORT
	}
	if typ < 0 || typ >= SockMax {
		return nil, syscall.EINVAL
	}
	create := f.tab[family].Load()
	if create == nil {
		return nil, syscall.EAFNOSUPPORT
	}
	s := &Socket{Family: family, Type: typ, Protocol: protocol, devIoctl: f.DevIoctl}
	if err := (*create)(s, protocol); err != nil {
		return nil, err
	}
	return s, nil
}
