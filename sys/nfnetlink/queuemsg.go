package nfnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// Messages and attributes of nfnetlink_queue (Linux:
// include/uapi/linux/netfilter/nfnetlink_queue.h).
const (
	queuePacket       = 0
	queueVerdict      = 1
	queueConfig       = 2
	queueVerdictBatch = 3

	nfqaPacketHdr  = 1
	nfqaVerdictHdr = 2
	nfqaMark       = 3
	nfqaTimestamp  = 4
	nfqaInDev      = 5
	nfqaOutDev     = 6
	nfqaHWAddr     = 9
	nfqaPayload    = 10
	nfqaCapLen     = 13
	nfqaSkbInfo    = 14

	nfqaCfgCmd    = 1
	nfqaCfgParams = 2
	nfqaCfgMaxLen = 3
	nfqaCfgMask   = 4
	nfqaCfgFlags  = 5

	queueFailOpen = 1 // of the flags
	queueFlagsAll = 1<<6 - 1
	queueFlagsOK  = queueFailOpen | 4 // GSO: super-packets come whole, as always here

	skbCsumNotReady = 1 // of nfqaSkbInfo
	skbGSO          = 2
)

var queuePolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	nfqaCfgCmd: {Kind: netlink.Unspec, Len: 4}, nfqaCfgParams: {Kind: netlink.Unspec, Len: 5},
	nfqaCfgMaxLen: {Kind: netlink.U32}, nfqaCfgMask: {Kind: netlink.U32}, nfqaCfgFlags: {Kind: netlink.U32},
}}

var verdictPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	nfqaVerdictHdr: {Kind: netlink.Unspec, Len: 8}, nfqaMark: {Kind: netlink.U32}, nfqaPayload: {},
}}

// queueMessage is nfqnl_build_packet_message.
func (t *Table) queueMessage(i *queue, num uint16, id uint32, b *skb.Buff, s netfilter.State) []byte {
	var w netlink.Builder
	begin(&w, subQueue, queuePacket, 0, syscall.AF_INET, num)
	var hdr [8]byte // with a byte of padding the length does not count
	binary.BigEndian.PutUint32(hdr[:], id)
	binary.BigEndian.PutUint16(hdr[4:], header.EthPIP)
	hdr[6] = byte(s.Point)
	w.Attr(nfqaPacketHdr, hdr[:7]...)
	t.putMeta(&w, b, s, metaAttrs{nfqaInDev, nfqaOutDev, nfqaMark, nfqaHWAddr, nfqaTimestamp})
	info := uint32(0)
	if b.IPSummed == skb.ChecksumPartial {
		info |= skbCsumNotReady
	}
	if b.IsGSO() {
		info |= skbGSO
	}
	if info != 0 {
		w.AttrBE32(nfqaSkbInfo, info)
	}
	if i.mode == copyPacket {
		n := min(b.Len(), int(i.most))
		if n < b.Len() {
			w.AttrBE32(nfqaCapLen, uint32(b.Len()))
		}
		putPayload(&w, nfqaPayload, b, n)
	}
	w.End()
	return w.Bytes()
}
