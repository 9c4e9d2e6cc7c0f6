package ip

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"barewire/inet/fib"
	"barewire/skb/header"
)

// fibKey is the routes of one address, which is a leaf of the tree.
type fibKey struct {
	dst    header.Addr
	routes []fib.Entry // longest prefix first
}

// fibKeys returns the leaves of a table by address.
func (n *Net) fibKeys(table uint32) (l []fibKey) {
	at := map[header.Addr]int{}
	n.DumpRoutes(func(e fib.Entry) bool {
		if e.Table != table {
			return true
		}
		i, ok := at[e.Dst]
		if !ok {
			i = len(l)
			at[e.Dst] = i
			l = append(l, fibKey{dst: e.Dst})
		}
		l[i].routes = append(l[i].routes, e)
		return true
	})
	for i := range l {
		slices.SortStableFunc(l[i].routes, func(a, b fib.Entry) int { return b.Bits - a.Bits })
	}
	slices.SortFunc(l, func(a, b fibKey) int {
		if a.dst < b.dst {
			return -1
		}
		return 1
	})
	return l
}

// fibTables are the tables of the two files, by the names they have there.
func (n *Net) fibTables() (ids []uint32, names map[uint32]string) {
	names = map[uint32]string{fib.TableMain: "Main:", fib.TableLocal: "Local:"}
	ids = []uint32{fib.TableMain, fib.TableLocal}
	n.DumpRoutes(func(e fib.Entry) bool {
		if names[e.Table] == "" {
			names[e.Table] = fmt.Sprintf("Id %d:", e.Table)
			ids = append(ids, e.Table)
		}
		return true
	})
	return ids, names
}

// split is where the keys part: the number of bits all have in common, and how
// many keys have a zero behind them. There are two at least.
func split(l []fibKey) (common, zeros int) {
	common = bits.LeadingZeros32(uint32(l[0].dst ^ l[len(l)-1].dst))
	bit := header.Addr(1) << (31 - common)
	zeros = slices.IndexFunc(l, func(k fibKey) bool { return k.dst&bit != 0 })
	return common, zeros
}

// procFibTrie is the text of /proc/net/fib_trie (Linux: fib_trie_seq_show). The
// tree is shown with one bit to a node; how many this program's own nodes have
// is its own affair.
func (n *Net) procFibTrie(b []byte) []byte {
	ids, names := n.fibTables()
	for _, id := range ids {
		b = append(b, names[id]+"\n"...)
		if l := n.fibKeys(id); len(l) > 0 {
			b = appendTrie(b, l, 0)
		}
	}
	return b
}

func appendTrie(b []byte, l []fibKey, depth int) []byte {
	indent := strings.Repeat("   ", depth)
	if len(l) == 1 {
		b = fmt.Appendf(b, "%s  |-- %s\n", indent, l[0].dst)
		for _, e := range l[0].routes {
			b = fmt.Appendf(b, "%s     /%d %s %s", indent, e.Bits, scopeName(e.Scope), strings.ToUpper(e.Type.String()))
			if e.TOS != 0 {
				b = fmt.Appendf(b, " tos=%d", e.TOS)
			}
			b = append(b, '\n')
		}
		return b
	}
	common, zeros := split(l)
	full := 0
	for _, half := range [][]fibKey{l[:zeros], l[zeros:]} {
		if len(half) > 1 {
			if c, _ := split(half); c == common+1 {
				full++
			}
		}
	}
	b = fmt.Appendf(b, "%s  +-- %s/%d 1 %d 0\n", indent, l[0].dst&header.Mask(common), common, full)
	return appendTrie(appendTrie(b, l[:zeros], depth+1), l[zeros:], depth+1)
}

func scopeName(s fib.Scope) string {
	switch s {
	case fib.ScopeUniverse:
		return "universe"
	case fib.ScopeLink:
		return "link"
	case fib.ScopeHost:
		return "host"
	case fib.ScopeNowhere:
		return "nowhere"
	case fib.ScopeSite:
		return "site"
	}
	return fmt.Sprintf("scope=%d", uint8(s))
}

// procFibTrieStat is the text of /proc/net/fib_triestat (Linux:
// fib_triestat_seq_show) for the tree that fib_trie shows.
func (n *Net) procFibTrieStat(b []byte) []byte {
	const leafSize, nodeSize, pointer = 48, 40, 8
	b = fmt.Appendf(b, "Basic info: size of leaf: %d bytes, size of tnode: %d bytes.\n", leafSize, nodeSize)
	ids, names := n.fibTables()
	for _, id := range ids {
		l := n.fibKeys(id)
		sum, most, prefixes := 0, 0, 0
		var depths func(l []fibKey, d int)
		depths = func(l []fibKey, d int) {
			if len(l) == 1 {
				sum, most = sum+d, max(most, d)
				prefixes += len(l[0].routes)
				return
			}
			_, zeros := split(l)
			depths(l[:zeros], d+1)
			depths(l[zeros:], d+1)
		}
		nodes, average := 0, 0
		if len(l) > 0 {
			depths(l, 0)
			nodes, average = len(l)-1, sum*100/len(l)
		}
		b = fmt.Appendf(b, "%s\n\tAver depth:     %d.%02d\n\tMax depth:      %d\n\tLeaves:         %d\n\tPrefixes:       %d\n\tInternal nodes: %d\n",
			names[id], average/100, average%100, most, len(l), prefixes, nodes)
		if nodes > 0 {
			b = fmt.Appendf(b, "\t  1: %d", nodes)
		}
		size := len(l)*leafSize + nodes*(nodeSize+2*pointer)
		b = fmt.Appendf(b, "\n\tPointers: %d\nNull ptrs: 0\nTotal size: %d  kB\n", 2*nodes, (size+1023)/1024)
	}
	return b
}
