package xt

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/nat"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

// Options of cluster.
const (
	clusterTotal = iota
	clusterNode
	clusterMask
	clusterSeed
)

var clusterDef = &xtables.Def{ // read-only
	Name: "cluster",
	Options: []xtables.Option{
		{Name: "cluster-total-nodes", ID: clusterTotal, Args: 1},
		{Name: "cluster-local-node", ID: clusterNode, Args: 1, Invert: true, Excl: 1 << clusterMask},
		{Name: "cluster-local-nodemask", ID: clusterMask, Args: 1, Invert: true, Excl: 1 << clusterNode},
		{Name: "cluster-hash-seed", ID: clusterSeed, Args: 1}},
	NewMatch: func() xtables.Match { return new(clusterMatch) },
}

// clusterMatch is xt_cluster: of some machines that all see a packet, one is
// responsible for its connection, by the address of who opened it.
type clusterMatch struct {
	xtables.Plain
	tracked
	total, node, mask, seed uint32
	invert                  bool
}

// Set implements xtables.Extension.
func (m *clusterMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	lo, hi := uint64(1), uint64(32)
	switch id {
	case clusterMask, clusterSeed:
		lo, hi = uint64(clusterSeed-id), 1<<32-1
	}
	n, err := number("cluster", clusterDef.Options[id].Name, args[0], lo, hi)
	if err != nil {
		return err
	}
	switch id {
	case clusterTotal:
		m.total = uint32(n)
	case clusterNode:
		m.node, m.mask, m.invert = uint32(n), 1<<(n-1), invert
	case clusterMask:
		m.mask, m.invert = uint32(n), invert
	case clusterSeed:
		m.seed = uint32(n)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *clusterMatch) Done(c *xtables.ParseContext) error {
	switch {
	case m.mask == 0:
		return errors.New("cluster match: `--cluster-local-node' or`--cluster-local-nodemask' is missing")
	case !c.Seen(clusterTotal) || !c.Seen(clusterSeed):
		id := clusterTotal
		if c.Seen(id) {
			id = clusterSeed
		}
		return fmt.Errorf("cluster: option \"--%s\" must be specified\n", clusterDef.Options[id].Name)
	case m.node > m.total:
		return errors.New("cluster match: `--cluster-local-node' must be <= `--cluster-total-nodes'")
	case uint64(m.mask) >= 1<<m.total:
		return errors.New("cluster match: `--cluster-local-nodemask' too big for `--cluster-total-nodes'")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *clusterMatch) Save(b []byte) []byte {
	return fmt.Appendf(not(b, m.invert), " --cluster-local-nodemask 0x%08x --cluster-total-nodes %d --cluster-hash-seed 0x%08x",
		m.mask, m.total, m.seed)
}

// Print implements xtables.Extension.
func (m *clusterMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " cluster "...)
	if m.invert {
		b = append(b, '!')
	}
	b = strconv.AppendUint(fmt.Appendf(b, "node_mask=0x%08x total_nodes=", m.mask), uint64(m.total), 10)
	return fmt.Appendf(b, " hash_seed=0x%08x", m.seed)
}

// Match implements xtables.Match (Linux: xt_cluster_mt). The nodes share a MAC
// address of a group; what came to it is from here on a packet for this host.
func (m *clusterMatch) Match(p *xtables.Packet) bool {
	if p.B.PktType == skb.PacketMulticast && !p.Dst.IsMulticast() {
		p.B.PktType = skb.PacketHost
	}
	c, _ := conntrack.Get(p.B)
	if c == nil || c.IsTemplate() {
		return false
	}
	if master := c.Master(); master != nil {
		c = master
	}
	return (m.mask>>clusterHash(c.Tuple(conntrack.Original).Src, m.seed, m.total)&1 != 0) != m.invert
}

// clusterHash is the node, from 0, of an address (Linux: xt_cluster_hash): all
// machines of a cluster come to the same, those with Linux too.
func clusterHash(a header.Addr, seed, total uint32) uint32 {
	wire := bits.ReverseBytes32(uint32(a)) // as a little-endian machine reads it
	hi, _ := bits.Mul32(nat.JHash([]uint32{wire}, seed), total)
	return hi
}
