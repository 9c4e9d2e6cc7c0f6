package sock

import (
	"sync/atomic"
	"unsafe"
)

// A new sock has some twenty values to be set that are atomics, since later
// everybody may look at them. As long as nobody does, plain stores will do, which
// cost a twentieth of what atomic ones do.

// Fresh32 stores into an atomic that only the caller knows of yet.
func Fresh32[T int32 | uint32, A atomic.Int32 | atomic.Uint32](a *A, v T) {
	*(*T)(unsafe.Pointer(a)) = v
}

// FreshPointer is Fresh32 for a pointer.
func FreshPointer[T any](a *atomic.Pointer[T], p *T) {
	*(*unsafe.Pointer)(unsafe.Pointer(a)) = unsafe.Pointer(p)
}

// They are the words they hold and nothing else.
var (
	_ [4 - unsafe.Sizeof(atomic.Int32{})]byte
	_ [4 - unsafe.Sizeof(atomic.Uint32{})]byte
	_ [unsafe.Sizeof(uintptr(0)) - unsafe.Sizeof(atomic.Pointer[int]{})]byte
)
