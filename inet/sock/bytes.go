package sock

import "encoding/binary"

// The ABI is that of a little-endian Linux: integers in options and control
// messages are in machine order.

func putUint32(p []byte, v uint32) { binary.LittleEndian.PutUint32(p, v) }
func putUint64(p []byte, v uint64) { binary.LittleEndian.PutUint64(p, v) }
func getUint32(p []byte) uint32    { return binary.LittleEndian.Uint32(p) }
func getUint64(p []byte) uint64    { return binary.LittleEndian.Uint64(p) }
