package table

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Markdown writes a whole result: first how every bar stands, then the tables.
func (r *Result) Markdown(w io.Writer) {
	fmt.Fprintf(w, "# Measured beside the peers\n\n")
	for _, c := range r.Conditions {
		fmt.Fprintf(w, "- %s\n", c)
	}
	fmt.Fprintf(w, "- took %v\n\n", r.Took.Round(time.Second))
	r.Verdicts(w)
	for _, t := range r.Tables {
		t.Markdown(w)
	}
}

// Verdicts writes a line for every bar.
func (r *Result) Verdicts(w io.Writer) {
	reached, all := 0, 0
	var b strings.Builder
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			for _, j := range row.Judge() {
				all++
				if j.Reached {
					reached++
				}
				spread := ""
				if j.Known && j.Least != j.Most {
					spread = fmt.Sprintf("%.3g–%.3g", j.Least, j.Most)
				}
				if j.Close {
					spread += ", the bar is within"
				}
				fmt.Fprintf(&b, "| %s | %s | %v | %v | %s |\n", t.Group, row.Name, j.Bar, j, spread)
			}
		}
	}
	if all > 0 {
		fmt.Fprintf(w, "## %d of %d bars reached\n\n| group | figure | must reach | is | spread over rounds |\n|---|---|---|---|---|\n%s\n", reached, all, b.String())
	}
}

// Markdown writes the table: medians with their spread, and how many times
// better the first side is than each other one.
func (t *Table) Markdown(w io.Writer) {
	fmt.Fprintf(w, "## %s\n\n| figure | unit |", t.Title)
	for _, s := range t.Sides {
		fmt.Fprintf(w, " %s |", s)
	}
	compare := len(t.Sides) > 1 && slices.ContainsFunc(t.Rows, func(r *Row) bool { return r.Better != 0 })
	if compare {
		for _, s := range t.Sides[1:] {
			fmt.Fprintf(w, " times %s |", s)
		}
	}
	fmt.Fprint(w, " bar |\n|---|---|---|")
	columns := len(t.Sides)
	if compare {
		columns += len(t.Sides) - 1
	}
	fmt.Fprintln(w, strings.Repeat("---|", columns))
	for _, r := range t.Rows {
		fmt.Fprintf(w, "| %s | %s |", r.Name, r.Unit)
		for _, s := range t.Sides {
			fmt.Fprintf(w, " %s |", r.cell(s))
		}
		if compare {
			for _, s := range t.Sides[1:] {
				if v, _, _, ok := r.Ratio(t.Sides[0], s); ok {
					fmt.Fprintf(w, " %.2f |", v)
				} else {
					fmt.Fprint(w, " |")
				}
			}
		}
		var l []string
		for _, j := range r.Judge() {
			l = append(l, fmt.Sprintf("%v (%v)", j.Bar, j))
		}
		fmt.Fprintf(w, " %s |\n", strings.Join(l, "; "))
	}
	for _, n := range t.Notes {
		fmt.Fprintf(w, "\n- %s\n", n)
	}
	fmt.Fprintln(w)
}

// cell is a side's figure: median and spread.
func (r *Row) cell(side string) string {
	m, lo, hi, ok := r.Median(side)
	switch {
	case !ok:
		return "–"
	case lo == hi:
		return fmt.Sprintf("%.4g", m)
	}
	return fmt.Sprintf("%.4g (%.4g–%.4g)", m, lo, hi)
}
