package table

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestMedian_oddAndEven(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Median(c.in); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

// filled is a table with one figure where more is better.
func filled(better int, runs map[string][]float64) *Table {
	t := New(Offloads, "test", Barewire, Linux)
	for _, s := range []string{Barewire, Linux} {
		for _, v := range runs[s] {
			t.Add(TCPIn, "Mbit/s", better, s, v)
		}
	}
	return t
}

func TestRatio_roundsArePaired(t *testing.T) {
	// A machine that halves its speed in the second round halves both.
	r := filled(1, map[string][]float64{Barewire: {300, 150, 310}, Linux: {100, 50, 100}}).Rows[0]
	got, least, most, ok := r.Ratio(Barewire, Linux)
	if !ok || got != 3 || least != 3 || math.Abs(most-3.1) > 1e-9 {
		t.Errorf("ratio %v (%v to %v) %v; want 3 (3 to 3.1)", got, least, most, ok)
	}
	r = filled(-1, map[string][]float64{Barewire: {2}, Linux: {10}}).Rows[0]
	if got, _, _, _ := r.Ratio(Barewire, Linux); got != 5 {
		t.Errorf("where less is better the ratio is %v, want 5", got)
	}
	r = filled(1, map[string][]float64{Barewire: {2, 4}, Linux: {1}}).Rows[0]
	if _, least, most, _ := r.Ratio(Barewire, Linux); least != 2 || most != 4 {
		t.Errorf("with a round missing the spread is %v to %v, want 2 to 4", least, most)
	}
	if _, _, _, ok := r.Ratio(Barewire, GVisor); ok {
		t.Error("there is a ratio to a side without runs")
	}
}

func TestJudge_barsOfBothKinds(t *testing.T) {
	for _, c := range []struct {
		ours, theirs float64
		reached      bool
	}{{250, 100, true}, {249, 100, false}} {
		j := filled(1, map[string][]float64{Barewire: {c.ours}, Linux: {c.theirs}}).Rows[0].Judge()
		if len(j) != 1 || j[0].Reached != c.reached {
			t.Errorf("%v to %v: %+v", c.ours, c.theirs, j)
		}
	}
	size := New(Size, "size", Barewire)
	size.Add(LeastMemory, "MiB", -1, Barewire, 33)
	if j := size.Rows[0].Judge(); j[0].Reached || !j[0].Known {
		t.Errorf("33 MiB of 32: %+v", j)
	}
	smp := New(SMP, "smp", Barewire, Barewire2)
	smp.Add(TCPIn, "Mbit/s", 1, Barewire, 100)
	if j := smp.Rows[0].Judge(); j[0].Known || j[0].String() != "not measured" {
		t.Errorf("with one side only: %+v", j)
	}
}

func TestCompare_slowerMachine_isNoChange(t *testing.T) {
	old := &Result{Tables: []*Table{filled(1, map[string][]float64{Barewire: {300, 310, 290}, Linux: {100, 101, 99}})}}
	for _, c := range []struct {
		name          string
		new           map[string][]float64
		worse, better bool
	}{
		{"half as quick a machine", map[string][]float64{Barewire: {150, 155, 145}, Linux: {50, 50.5, 49.5}}, false, false},
		{"worse", map[string][]float64{Barewire: {200, 205, 195}, Linux: {100, 101, 99}}, true, false},
		{"worse, within the spread", map[string][]float64{Barewire: {200, 400, 250}, Linux: {100, 101, 99}}, false, false},
		{"better", map[string][]float64{Barewire: {400, 410, 390}, Linux: {100, 101, 99}}, false, true},
	} {
		l := Compare(old, &Result{Tables: []*Table{filled(1, c.new)}})
		if len(l) != 1 || l[0].Worse != c.worse || l[0].Better != c.better {
			t.Errorf("%s: %+v", c.name, l)
		}
		if n := Changes(io.Discard, l); (n == 1) != c.worse {
			t.Errorf("%s: %d got worse", c.name, n)
		}
	}
}

func TestCompare_figureOfItsOwn(t *testing.T) {
	size := func(v float64) *Result {
		s := New(Size, "size", Barewire)
		s.Add(ImageSize, "MB", -1, Barewire, v)
		return &Result{Tables: []*Table{s}}
	}
	if l := Compare(size(4), size(5)); len(l) != 1 || !l[0].Worse {
		t.Errorf("4 to 5 MB: %+v", l)
	}
	if l := Compare(size(4), size(3)); len(l) != 1 || !l[0].Better {
		t.Errorf("4 to 3 MB: %+v", l)
	}
	if l := Compare(size(0), size(2)); len(l) != 1 || !l[0].Worse {
		t.Errorf("0 to 2 allocations: %+v", l)
	}
}

func TestJSON_roundTrip(t *testing.T) {
	r := &Result{Conditions: []string{"busy"}, Tables: []*Table{filled(1, map[string][]float64{Barewire: {3, 1}, Linux: {2}})}}
	r.Tables[0].Note("round %d", 1)
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	var x, y bytes.Buffer
	r.Markdown(&x)
	got.Markdown(&y)
	if x.String() != y.String() || !strings.Contains(x.String(), "2.5 × Linux") {
		t.Errorf("read back it is\n%s\nand was\n%s", y.String(), x.String())
	}
	for _, bad := range []string{"", "[]", `{"tables":[null]}`, `{"tables":[{"rows":[null]}]}`} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken for a result", bad)
		}
	}
}

func TestSVG_isWellFormedAndHasEverySide(t *testing.T) {
	tb := filled(1, map[string][]float64{Barewire: {3, 1, 2}, Linux: {2}})
	tb.Title = `a <b> & "c"`
	tb.Add("nothing at all", "", -1, Linux, 0)
	var b bytes.Buffer
	if err := tb.SVG(&b); err != nil {
		t.Fatal(err)
	}
	bars := 0
	d := xml.NewDecoder(&b)
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 1+3 { // the ground and the sides that have runs
		t.Errorf("%d rectangles", bars)
	}
}
