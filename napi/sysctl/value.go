package sysctl

import (
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// parseInt reads a number as Linux's proc_dointvec does: decimal, octal or
// hexadecimal by its prefix.
func parseInt(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return 0, syscall.EINVAL
	}
	return v, nil
}

// Int is a whole number within min and max (Linux: proc_dointvec_minmax).
func Int(name string, v *atomic.Int32, min, max int32) Entry {
	return Entry{
		Name: name,
		Get:  func() string { return strconv.Itoa(int(v.Load())) },
		Set: func(s string) error {
			n, err := parseInt(s)
			if err != nil || n < int64(min) || n > int64(max) {
				return syscall.EINVAL
			}
			v.Store(int32(n))
			return nil
		},
	}
}

// Long is a 64-bit number within min and max (Linux: proc_doulongvec_minmax).
func Long(name string, v *atomic.Int64, min, max int64) Entry {
	return Entry{
		Name: name,
		Get:  func() string { return strconv.FormatInt(v.Load(), 10) },
		Set: func(s string) error {
			n, err := parseInt(s)
			if err != nil || n < min || n > max {
				return syscall.EINVAL
			}
			v.Store(n)
			return nil
		},
	}
}

// Duration is a time kept in nanoseconds and shown in whole units: seconds for
// most settings, milliseconds for those whose name ends in _ms (Linux:
// proc_dointvec_jiffies, proc_dointvec_ms_jiffies).
func Duration(name string, v *atomic.Int64, unit time.Duration) Entry {
	return Entry{
		Name: name,
		Get:  func() string { return strconv.FormatInt(v.Load()/int64(unit), 10) },
		Set: func(s string) error {
			n, err := parseInt(s)
			if err != nil || n < 0 || n > int64(1<<62)/int64(unit) {
				return syscall.EINVAL
			}
			v.Store(n * int64(unit))
			return nil
		},
	}
}

// Const is a read-only value.
func Const(name string, get func() string) Entry { return Entry{Name: name, Get: get} }

// Ints reads exactly n numbers separated by white space, for settings that are
// a vector, such as net.ipv4.ip_local_port_range. EINVAL otherwise.
func Ints(s string, n int) ([]int64, error) {
	f := strings.Fields(s)
	if len(f) != n {
		return nil, syscall.EINVAL
	}
	l := make([]int64, n)
	for i := range f {
		v, err := parseInt(f[i])
		if err != nil {
			return nil, err
		}
		l[i] = v
	}
	return l, nil
}
