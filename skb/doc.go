// Package skb holds the socket buffer (Linux: struct sk_buff) and the memory it
// stands on.
//
// A packet is one [Buff]: metadata plus a reference to a data area. The data
// area is one [Page] of a [PagePool], cut by four offsets:
//
//	head          data               tail               end
//	 |  headroom   |   linear data    |     tailroom     |
//	               |<--- Headlen ---->|
//
// Headers are pushed into the headroom and pulled off again, never shifted.
// Bytes that do not fit the linear part stand in page fragments of the
// [SharedInfo], so Len() == Headlen() + DataLen().
//
// Two counts govern life time, as in Linux. users counts holders of the Buff
// itself (Get, Free, Consume); dataref, in SharedInfo, counts the Buffs that
// share one data area (Clone). A Buff whose data area is shared must not write
// to it: Unshare or Cow first.
//
// In Linux the shared info stands at the end of the data area. Here it stands
// in the Page descriptor: the device can write anywhere in the buffer it was
// given, and it must not be able to write reference counts or page pointers.
//
// Ownership: a function that takes a *Buff and whose comment says "consumes"
// owns one user reference and ends it with Free (a drop, with a [Reason]) or
// Consume (normal end of life). Everything else borrows.
//
// Memory is bounded by the pool: at its limit Alloc, Copy, Cow and the like
// fail, the caller drops the packet with [NoMem] and everything else goes on.
// An uncontended packet costs two short critical sections each way; who has
// many at a time uses AllocBatch, ConsumeBatch and the List methods, which take
// the locks once.
//
// Nothing here is global: pages come from a PagePool, Buffs from a [Cache],
// and both hang off the instance of the stack that made them.
package skb
