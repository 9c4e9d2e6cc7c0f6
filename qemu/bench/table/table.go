// Package table keeps what was measured on several peers and prints it: medians,
// spread, and the first peer's ratio to each other one.
package table

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Table is what was measured in one setting.
type Table struct {
	Title string   `json:"title"`
	Rows  []*Row   `json:"rows"`
	Notes []string `json:"notes,omitempty"`
}

// Row is one thing that was measured.
type Row struct {
	Name   string               `json:"name"`
	Unit   string               `json:"unit"`
	Better int                  `json:"better"` // +1: more is, -1: less is
	Runs   map[string][]float64 `json:"runs"`   // of each peer, in order
	peers  []string
}

// New makes an empty table.
func New(title string) *Table { return &Table{Title: title} }

// Add enters one measurement.
func (t *Table) Add(name, unit string, better int, peer string, v float64) {
	i := slices.IndexFunc(t.Rows, func(r *Row) bool { return r.Name == name })
	if i < 0 {
		t.Rows = append(t.Rows, &Row{Name: name, Unit: unit, Better: better, Runs: map[string][]float64{}})
		i = len(t.Rows) - 1
	}
	r := t.Rows[i]
	if !slices.Contains(r.peers, peer) {
		r.peers = append(r.peers, peer)
	}
	r.Runs[peer] = append(r.Runs[peer], v)
}

// Note adds a remark.
func (t *Table) Note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// Median is the median of a peer's runs, and their spread: least and most.
func (r *Row) Median(peer string) (median, least, most float64) {
	l := r.Runs[peer]
	if len(l) == 0 {
		return 0, 0, 0
	}
	return Median(l), slices.Min(l), slices.Max(l)
}

// Median is the median of figures, of which there must be one.
func Median(l []float64) float64 {
	l = slices.Sorted(slices.Values(l))
	return (l[(len(l)-1)/2] + l[len(l)/2]) / 2
}

// Ratio is how many times better peer a is than peer b.
func (r *Row) Ratio(a, b string) float64 {
	x, _, _ := r.Median(a)
	y, _, _ := r.Median(b)
	if r.Better < 0 {
		x, y = y, x
	}
	if y == 0 {
		return 0
	}
	return x / y
}

// Markdown writes the table, the first of peers compared with the others.
func (t *Table) Markdown(w io.Writer, peers []string) {
	fmt.Fprintf(w, "## %s\n\n| figure | unit |", t.Title)
	for _, p := range peers {
		fmt.Fprintf(w, " %s |", p)
	}
	for _, p := range peers[1:] {
		fmt.Fprintf(w, " times %s |", p)
	}
	fmt.Fprint(w, "\n|---|---|")
	for range 2*len(peers) - 1 {
		fmt.Fprint(w, "---|")
	}
	fmt.Fprintln(w)
	for _, r := range t.Rows {
		fmt.Fprintf(w, "| %s | %s |", r.Name, r.Unit)
		for _, p := range peers {
			m, lo, hi := r.Median(p)
			fmt.Fprintf(w, " %.4g (%.4g–%.4g) |", m, lo, hi)
		}
		for _, p := range peers[1:] {
			fmt.Fprintf(w, " %.2f |", r.Ratio(peers[0], p))
		}
		fmt.Fprintln(w)
	}
	for _, n := range t.Notes {
		fmt.Fprintf(w, "\n- %s\n", n)
	}
	fmt.Fprintln(w)
}

// JSON writes tables for a later comparison.
func JSON(w io.Writer, l []*Table) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(l)
}
