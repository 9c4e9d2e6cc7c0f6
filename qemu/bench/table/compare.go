package table

import (
	"fmt"
	"io"
)

// Change is how one comparison of two sides went from an earlier result to a
// later one.
type Change struct {
	Group, Figure string
	Of, Against   string // Against is empty for a figure that stands by itself
	Old, New      float64
	Factor        float64 // how many times better it got; below 1 it got worse
	Worse, Better bool    // beyond the spread of both, and by more than Noise
}

// Noise is the least change that counts: what is below it says nothing, however
// small the spread of a few rounds happened to be.
const Noise = 0.05

// Compare puts the ratios of two results beside each other, a ratio of ratios:
// so that a busier machine, which slows both sides, does not count. A figure
// without another side, as a size, is compared as it is. What only one of them
// has is left out.
func Compare(old, new *Result) []Change {
	var l []Change
	for _, t := range new.Tables {
		before := old.table(t)
		if before == nil || len(t.Sides) == 0 {
			continue
		}
		for _, r := range t.Rows {
			if r.Better == 0 {
				continue
			}
			was := before.Row(r.Name)
			if was == nil {
				continue
			}
			alone := true
			for _, side := range t.Sides[1:] {
				a, alo, ahi, ok := was.Ratio(t.Sides[0], side)
				b, blo, bhi, ok2 := r.Ratio(t.Sides[0], side)
				if !ok || !ok2 || a == 0 || b == 0 {
					continue
				}
				alone = false
				c := Change{Group: t.Group, Figure: r.Name, Of: t.Sides[0], Against: side, Old: a, New: b}
				c.judge(b/a, b < alo && a > bhi, b > ahi && a < blo)
				l = append(l, c)
			}
			a, alo, ahi, ok := was.Median(t.Sides[0])
			b, blo, bhi, ok2 := r.Median(t.Sides[0])
			if !alone || !ok || !ok2 || a == b {
				continue
			}
			c := Change{Group: t.Group, Figure: r.Name, Of: t.Sides[0], Old: a, New: b}
			f := r.times(b, a)
			if f == 0 && a != b { // from or to zero: no factor says it
				c.Worse, c.Better = (b < a) == (r.Better > 0), (b > a) == (r.Better > 0)
			} else if r.Better > 0 {
				c.judge(f, b < alo && a > bhi, b > ahi && a < blo)
			} else {
				c.judge(f, b > ahi && a < blo, b < alo && a > bhi)
			}
			l = append(l, c)
		}
	}
	return l
}

func (c *Change) judge(factor float64, below, above bool) {
	c.Factor = factor
	c.Worse = below && factor < 1-Noise
	c.Better = above && factor > 1+Noise
}

func (r *Result) table(like *Table) *Table {
	for _, t := range r.Tables {
		if t.Group == like.Group && t.Title == like.Title {
			return t
		}
	}
	return nil
}

// Changes writes a comparison and returns how many figures got worse.
func Changes(w io.Writer, l []Change) (worse int) {
	fmt.Fprint(w, "| group | figure | compared with | was | is | times better | |\n|---|---|---|---|---|---|---|\n")
	for _, c := range l {
		mark := ""
		switch {
		case c.Worse:
			mark, worse = "**worse**", worse+1
		case c.Better:
			mark = "better"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.3g | %.3g | %.2f | %s |\n", c.Group, c.Figure, c.Against, c.Old, c.New, c.Factor, mark)
	}
	fmt.Fprintf(w, "\n%d of %d got worse beyond the spread of the rounds.\n", worse, len(l))
	return worse
}
