package sys

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"barewire/napi"
)

// hastyClock lets every wait end at once: the time it ends at comes when it
// begins.
type hastyClock struct{ now atomic.Int64 }

func (c *hastyClock) Now() int64 { return c.now.Add(1) }

func (c *hastyClock) AfterFunc(d time.Duration, f func()) napi.Alarm {
	c.now.Add(int64(d))
	go f()
	return time.NewTimer(0)
}

// fuzzMemory is user memory with a canary around it.
type fuzzMemory struct {
	before [64]byte
	user   [8192]byte
	after  [64]byte
}

const canary = 0xa5

// FuzzSyscall makes sequences of calls with arguments that are small numbers,
// addresses inside or around user memory, or anything, over memory with any
// contents. Nothing may crash, write outside of user memory, or leave a
// descriptor behind.
//
// Each step is a byte for the number, a byte that says of what kind the six
// arguments are, and their values.
func FuzzSyscall(f *testing.F) {
	f.Add([]byte{41, 0, 2, 2, 0, 0, 0, 0, 44, 2, 3, 1, 8, 0, 0, 0})
	f.Add([]byte{22, 1, 0, 0, 0, 0, 0, 0, 1, 2, 4, 0, 9, 0, 0, 0, 0, 2, 3, 0, 9, 0, 0, 0})
	f.Add([]byte{213, 0, 1, 0, 0, 0, 0, 0, 233, 8, 3, 1, 0, 0, 0, 0, 232, 2, 3, 0, 4, 0, 0, 0})
	f.Add([]byte{9, 0, 0, 90, 3, 34, 255, 0, 25, 255, 1, 1, 1, 1, 1, 1})
	var nums []uintptr
	for n, fn := range callTable {
		if fn != nil {
			nums = append(nums, uintptr(n))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		mem := new(fuzzMemory)
		for i := range mem.before {
			mem.before[i], mem.after[i] = canary, canary
		}
		if len(in) > 0 {
			for i := range mem.user { // contents: the input again and again
				mem.user[i] = in[i%len(in)]
			}
		}
		base := uintptr(unsafe.Pointer(&mem.user))
		sink.Store(new(any))
		var fake *fakeSocket
		tk := newTestKernel(t, withFake(&fake), func(c *Config) {
			c.TaskStart, c.TaskSize = base, base+uintptr(len(mem.user))
			c.MemTotal = 1 << 20
			c.Clock = new(hastyClock)
		})
		for len(in) >= 8 {
			num, kinds := nums[int(in[0])%len(nums)], in[1]
			var a [6]uintptr
			for i := range a {
				v := uintptr(in[2+i])
				switch {
				case kinds>>i&1 == 0:
					a[i] = v
				case v < 200:
					a[i] = base + v*40
					if v%8 == 7 { // a pointer inside user memory to user memory
						binary.LittleEndian.PutUint64(mem.user[v*40%8000&^7:], uint64(base+v*16))
					}
				case v < 220:
					a[i] = base + uintptr(len(mem.user)) - (v - 200) // at the edge
				case v < 240:
					a[i] = -(v - 220) // negative
				default:
					a[i] = uintptr(binary.LittleEndian.Uint64(append(in[2:8:8], in[1], in[0])))
				}
			}
			fuzzUnblock(tk, num, &a, base)
			tk.Syscall(num, a[0], a[1], a[2], a[3], a[4], a[5])
			if e := tk.PollOpen(a[0], a[1]|1); e == 0 && kinds&1 != 0 {
				tk.PollClose(a[0])
			}
			in = in[8:]
		}
		for i := range mem.before {
			if mem.before[i] != canary || mem.after[i] != canary {
				t.Fatal("a call wrote outside of user memory")
			}
		}
		lim := &rlimit{}
		tk.Kernel.taskStart, tk.Kernel.taskSize = pageSize, 1<<47
		*lim = rlimit{nrOpenMax, nrOpenMax}
		tk.must(syscall.SYS_SETRLIMIT, rlimitNofile, ptr(lim))
		tk.must(sysCLOSERANGE, 0, ^uintptr(0), 0)
		if fd := tk.must(sysEVENTFD2, 0, 0); fd != 0 {
			t.Errorf("descriptor %d after all were closed, want 0", fd)
		}
		if n := tk.console.refs.Load(); n != 1 {
			t.Errorf("%d references on the console are left, want the kernel's", n)
		}
	})
}

// fuzzUnblock keeps a call from waiting for what never comes.
func fuzzUnblock(tk *testKernel, num uintptr, a *[6]uintptr, base uintptr) {
	for i := range *tk.files.slots.Load() {
		if f, e := tk.files.get(uintptr(i)); e == 0 {
			f.setNonblock(true)
			f.put()
		}
	}
	switch num {
	case syscall.SYS_POLL:
		a[2] &= 0xff
	case syscall.SYS_EPOLL_WAIT, syscall.SYS_EPOLL_PWAIT:
		a[3] &= 0xff
	case syscall.SYS_SELECT, syscall.SYS_PSELECT6:
		a[4] = base
	case syscall.SYS_PPOLL:
		a[2] = base
	case syscall.SYS_SENDFILE: // a hole may have gigabytes, and the console keeps what it shows
		a[3] &= 0xffff
	case 441: // epoll_pwait2
		a[3] = base
	}
}
