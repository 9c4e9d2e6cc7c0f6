// Package table keeps what was measured on several sides and judges it: medians,
// spread, ratios between sides, and the bars those must reach. Results are
// written as Markdown, JSON and SVG, and compared with earlier ones.
//
// Figures of a shared machine mean little by themselves. What is compared is
// always a ratio of two sides that took turns: a table with that of another day
// as well, see [Compare].
package table

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Result is one whole measurement.
type Result struct {
	Conditions []string      `json:"conditions"` // of machine and moment
	Took       time.Duration `json:"took_ns"`
	Tables     []*Table      `json:"tables"`
}

// Table is what was measured in one setting.
type Table struct {
	Group string   `json:"group"` // one of the groups of [Bars]
	Title string   `json:"title"`
	Sides []string `json:"sides"` // the first is compared with the others
	Rows  []*Row   `json:"rows"`
	Notes []string `json:"notes,omitempty"`
}

// Row is one thing that was measured.
type Row struct {
	Name   string               `json:"name"`
	Unit   string               `json:"unit"`
	Better int                  `json:"better"` // +1: more is, -1: less is, 0: it is not compared
	Runs   map[string][]float64 `json:"runs"`   // of each side, in order
	Bars   []Bar                `json:"bars,omitempty"`
}

// New makes an empty table.
func New(group, title string, sides ...string) *Table {
	return &Table{Group: group, Title: title, Sides: sides}
}

// Row returns the row of a figure, nil when there is none.
func (t *Table) Row(name string) *Row {
	if i := slices.IndexFunc(t.Rows, func(r *Row) bool { return r.Name == name }); i >= 0 {
		return t.Rows[i]
	}
	return nil
}

// Add enters one measurement. A new figure gets the bars it has in the table's
// group.
func (t *Table) Add(name, unit string, better int, side string, v float64) {
	r := t.Row(name)
	if r == nil {
		r = &Row{Name: name, Unit: unit, Better: better, Runs: map[string][]float64{}, Bars: Bars(t.Group, name)}
		t.Rows = append(t.Rows, r)
	}
	if !slices.Contains(t.Sides, side) {
		t.Sides = append(t.Sides, side)
	}
	r.Runs[side] = append(r.Runs[side], v)
}

// Note adds a remark.
func (t *Table) Note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// Median is the median of a side's runs, and their spread: least and most. ok
// is false when the side has none.
func (r *Row) Median(side string) (median, least, most float64, ok bool) {
	l := r.Runs[side]
	if len(l) == 0 {
		return 0, 0, 0, false
	}
	return Median(l), slices.Min(l), slices.Max(l), true
}

// Median is the median of figures, of which there must be one.
func Median(l []float64) float64 {
	l = slices.Sorted(slices.Values(l))
	return (l[(len(l)-1)/2] + l[len(l)/2]) / 2
}

// Ratio is how many times better side a is than side b: that of the medians.
// least and most are those of runs of the same round, or, where a round is
// missing, those that any two runs make. ok is false when a side has no runs.
func (r *Row) Ratio(a, b string) (ratio, least, most float64, ok bool) {
	x, y := r.Runs[a], r.Runs[b]
	if len(x) == 0 || len(y) == 0 {
		return 0, 0, 0, false
	}
	ratio = r.times(Median(x), Median(y))
	least, most = ratio, ratio
	for i := range x {
		for j := range y {
			if len(x) != len(y) || i == j {
				v := r.times(x[i], y[j])
				least, most = min(least, v), max(most, v)
			}
		}
	}
	return ratio, least, most, true
}

// times is how many times better x is than y.
func (r *Row) times(x, y float64) float64 {
	if r.Better < 0 {
		x, y = y, x
	}
	if y == 0 {
		return 0
	}
	return x / y
}

// JSON writes a result for a later comparison.
func (r *Result) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// Read reads what [Result.JSON] has written.
func Read(r io.Reader) (*Result, error) {
	var v Result
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		return nil, fmt.Errorf("not a saved result: %w", err)
	}
	for _, t := range v.Tables {
		if t == nil || slices.Contains(t.Rows, nil) {
			return nil, fmt.Errorf("not a saved result: it has an empty table or row")
		}
	}
	return &v, nil
}
