package table

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
)

// Measures of a plot, in pixels.
const (
	svgWidth  = 860
	svgLabel  = 150 // the sides' names
	svgValue  = 190 // what stands behind a bar
	svgBar    = 16
	svgGap    = 5
	svgHead   = 26 // a figure's name
	svgMargin = 12
)

// colours of the sides, in their order; they differ in lightness too. read-only.
var colours = []string{"#0b6e99", "#e08a1e", "#7b9e3c", "#8a5a9e", "#999999", "#555555"}

// SVG draws the table: for each figure a bar for each side, as long as its
// median, with a line from the least to the most of its rounds. Figures have
// units of their own, so each has its own scale, from zero.
func (t *Table) SVG(w io.Writer) error {
	var b bytes.Buffer
	y := svgMargin + 22
	for _, r := range t.Rows {
		y += svgHead + len(t.present(r))*(svgBar+svgGap)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", svgWidth, y+svgMargin)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	text(&b, svgMargin, svgMargin+12, `font-size="15" font-weight="bold"`, t.Title)
	y = svgMargin + 22
	for _, r := range t.Rows {
		less := ""
		if r.Better < 0 {
			less = ", less is better"
		}
		text(&b, svgMargin, y+svgHead-8, `font-weight="bold"`, fmt.Sprintf("%s (%s%s)", r.Name, r.Unit, less))
		y += svgHead
		scale := 0.0
		for _, s := range t.Sides {
			if _, _, most, ok := r.Median(s); ok {
				scale = max(scale, most)
			}
		}
		if scale <= 0 {
			scale = 1
		}
		for i, s := range t.Sides {
			m, least, most, ok := r.Median(s)
			if !ok {
				continue
			}
			at := func(v float64) float64 {
				return svgMargin + svgLabel + max(0, v)/scale*(svgWidth-2*svgMargin-svgLabel-svgValue)
			}
			text(&b, svgMargin, y+svgBar-4, "", s)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", svgMargin+svgLabel, y, at(m)-at(0), svgBar, colours[i%len(colours)])
			if least != most {
				fmt.Fprintf(&b, `<path d="M%.1f %dH%.1fM%.1f %dv6M%.1f %dv6" stroke="black" fill="none"/>`+"\n", at(least), y+svgBar/2, at(most), at(least), y+svgBar/2-3, at(most), y+svgBar/2-3)
			}
			text(&b, int(at(most))+8, y+svgBar-4, "", r.cell(s))
			y += svgBar + svgGap
		}
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// present are the sides that have runs of a row.
func (t *Table) present(r *Row) (l []string) {
	for _, s := range t.Sides {
		if len(r.Runs[s]) > 0 {
			l = append(l, s)
		}
	}
	return l
}

func text(b *bytes.Buffer, x, y int, attributes, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>`, x, y, attributes)
	xml.EscapeText(b, []byte(s))
	b.WriteString("</text>\n")
}
