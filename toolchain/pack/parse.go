package pack

import (
	"math"
)

// Prices are in sixteenths of a bit.
const (
	bit       = 16
	matchTime = bit // what a match costs besides, for the time to unpack it: a sixth fewer, for a thousandth of the size
	passes    = 2   // over a block: the first with the prices of the block before
	never     = math.MaxInt32
)

// prices say what a symbol costs.
type prices struct {
	symbol [symbols]int32
	length [lengths]int32 // of the second alphabet
	long   [nice + 1]int32
}

func newPrices() *prices {
	p := &prices{}
	for i := range p.symbol {
		p.symbol[i] = 13 * bit / 2
	}
	for i := range p.length {
		p.length[i] = 5 * bit
	}
	p.spread()
	return p
}

// learn sets the prices after what occurred.
func (p *prices) learn(c *counts) {
	price := func(out []int32, count []int) {
		sum := 1
		for _, n := range count {
			sum += n
		}
		for i, n := range count {
			out[i] = int32(bit * min(14, math.Log2(float64(sum)/max(float64(n), 0.3))))
		}
	}
	price(p.symbol[:], c.symbol[:])
	price(p.length[:], c.length[:])
	p.spread()
}

func (p *prices) spread() {
	for n := longLength; n < len(p.long); n++ {
		p.long[n] = p.more(n)
	}
}

// more is the price of a long length, besides its match's symbol.
func (p *prices) more(n int) int32 {
	slot, extra := spanOf(uint32(n-longLength), directLengths)
	return p.length[slot] + int32(extra)*bit
}

// counts say how often symbols occur.
type counts struct {
	symbol [symbols]int
	length [lengths]int
}

func (c *counts) add(s step, first byte) {
	if s.slot < 0 {
		c.symbol[first]++
		return
	}
	c.symbol[s.symbol()]++
	if s.n >= longLength {
		slot, _ := spanOf(uint32(s.n-longLength), directLengths)
		c.length[slot]++
	}
}

// A step is a literal, with slot -1, or a match of n bytes.
type step struct {
	n, dist int32
	slot    int32
}

func (s step) symbol() int {
	return literals + int(s.slot)*headers + min(int(s.n)-minLength, headers-1)
}

// A history is the last distances, the last one first.
type history [repeats]int32

// after returns the history after a step.
func (h history) after(s step) history {
	switch {
	case s.slot <= 0:
		return h
	case s.slot == 1:
		return history{h[1], h[0], h[2]}
	case s.slot == 2:
		return history{h[2], h[0], h[1]}
	}
	return history{s.dist, h[0], h[1]}
}

// A node is a place in a block and the cheapest way found to it.
type node struct {
	price int32
	step  // the last one
	last  history
}

// A parser chooses the steps for blocks.
type parser struct {
	src    []byte
	prices *prices
	last   history
	nodes  []node
}

func newParser(src []byte) *parser {
	return &parser{src: src, prices: newPrices(), last: history{1, 1, 1}, nodes: make([]node, blockSize+1)}
}

// block returns the steps for the block from start to end. found are the matches of each of its places.
func (p *parser) block(start, end int, found [][]match) ([]step, *counts) {
	var steps []step
	var c *counts
	for range passes {
		p.walk(start, end, found)
		steps = steps[:0]
		for i := end - start; i > 0; i -= int(p.nodes[i].n) {
			steps = append(steps, p.nodes[i].step)
		}
		c = &counts{}
		at := start
		for i, j := 0, len(steps)-1; i < j; i, j = i+1, j-1 {
			steps[i], steps[j] = steps[j], steps[i]
		}
		for _, s := range steps {
			c.add(s, p.src[at])
			at += int(s.n)
		}
		p.prices.learn(c)
	}
	p.last = p.nodes[end-start].last
	return steps, c
}

// walk finds the cheapest way from start to each place up to end.
func (p *parser) walk(start, end int, found [][]match) {
	src, prices, nodes := p.src, p.prices, p.nodes[:end-start+1]
	for i := range nodes {
		nodes[i].price = never
	}
	nodes[0] = node{last: p.last}
	for i := range nodes {
		here := &nodes[i]
		if i > 0 {
			if here.price == never {
				continue // in the middle of a long match
			}
			here.last = nodes[i-int(here.n)].last.after(here.step)
		}
		if i == end-start {
			return
		}
		at, limit := start+i, end-start-i
		if price := here.price + prices.symbol[src[at]]; price < nodes[i+1].price {
			nodes[i+1].price, nodes[i+1].step = price, step{n: 1, slot: -1}
		}
		longest := 0
		try := func(from, n int, dist, slot int32, extra int) {
			longest = max(longest, n)
			base := here.price + int32(extra)*bit + matchTime
			row := prices.symbol[literals+int(slot)*headers:][:headers]
			if n > nice {
				if price := base + row[headers-1] + prices.more(n); price < nodes[i+n].price {
					nodes[i+n].price, nodes[i+n].step = price, step{int32(n), dist, slot}
				}
				return
			}
			for m := from; m <= n; m++ {
				price := base
				if m < longLength {
					price += row[m-minLength]
				} else {
					price += row[headers-1] + prices.long[m]
				}
				if price < nodes[i+m].price {
					nodes[i+m].price, nodes[i+m].step = price, step{int32(m), dist, slot}
				}
			}
		}
		for r, dist := range here.last {
			if int(dist) <= at {
				if n := common(src, at-int(dist), at, 0, limit); n >= minLength {
					try(minLength, n, dist, int32(r), 0)
				}
			}
		}
		from := minLength + 1
		for _, m := range found[i] {
			n := min(int(m.n), limit)
			if n == nice {
				n = common(src, at-int(m.dist), at, n, limit)
			}
			if n < from {
				continue
			}
			slot, extra := spanOf(uint32(m.dist-1), directDistances)
			try(from, n, m.dist, int32(repeats+slot), extra)
			from = n + 1
		}
		if longest > nice { // nothing that begins within is better
			for j := i + 1; j < i+longest; j++ {
				nodes[j].price = never
			}
		}
	}
}
