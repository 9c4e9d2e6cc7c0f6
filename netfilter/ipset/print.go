package ipset

import (
	"fmt"
	"strings"
)

// list is list and save.
func (r *run) list(name string) error {
	l, err := r.s.all(name)
	if err != nil {
		return err
	}
	var b []byte
	if r.output == "xml" {
		b = append(b, "<ipsets>\n"...)
	}
	for i, sl := range l {
		r.s.mu.Lock()
		name, refs := sl.name, sl.refs
		r.s.mu.Unlock()
		set := sl.set.Load()
		switch {
		case r.names && r.output != "xml":
			b = append(append(b, name...), '\n')
		case r.output == "save":
			b = set.header(fmt.Appendf(b, "create %s %s ", name, set.typ.name))
			b = append(b, '\n')
			for _, row := range set.rows(r.sorted) {
				b = fmt.Appendf(b, "add %s %s\n", name, row)
			}
		case r.output == "xml":
			b = set.xml(b, name, refs, r.sorted)
		default:
			if i > 0 {
				b = append(b, '\n')
			}
			rows := set.rows(r.sorted)
			b = fmt.Appendf(b, "Name: %s\nType: %s\nRevision: %d\nHeader: ", name, set.typ.name, set.typ.revision)
			b = set.header(b)
			b = fmt.Appendf(b, "\nSize in memory: %d\nReferences: %d\nNumber of entries: %d\n", set.memory(), refs, len(rows))
			if !r.terse {
				b = append(b, "Members:\n"...)
				for _, row := range rows {
					b = append(append(b, row...), '\n')
				}
			}
		}
		r.out.Write(b)
		b = b[:0]
	}
	if r.output == "xml" {
		b = append(b, "</ipsets>\n"...)
	}
	r.out.Write(b)
	return nil
}

// xml appends a set in that form.
func (set *Set) xml(b []byte, name string, refs int, sorted bool) []byte {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\"", "&quot;").Replace
	rows := set.rows(sorted)
	b = fmt.Appendf(b, "<ipset name=\"%s\">\n<type>%s</type>\n<revision>%d</revision>\n<header>", escape(name), set.typ.name, set.typ.revision)
	b = appendTags(b, string(set.header(nil)))
	b = fmt.Appendf(b, "\n<memsize>%d</memsize>\n<references>%d</references>\n<numentries>%d</numentries>\n</header>\n<members>\n", set.memory(), refs, len(rows))
	for _, row := range rows {
		elem, rest, _ := strings.Cut(row, " ")
		rest, comment, has := strings.Cut(rest, "comment \"")
		b = fmt.Appendf(b, "<member><elem>%s</elem>", escape(elem))
		b = appendTags(b, rest)
		if has {
			b = fmt.Appendf(b, "<comment>\"%s</comment>", escape(comment))
		}
		b = append(b, "</member>\n"...)
	}
	return append(b, "</members>\n</ipset>\n"...)
}

// appendTags turns "name value" pairs and single words into tags.
func appendTags(b []byte, s string) []byte {
	words := strings.Fields(s)
	for i := 0; i < len(words); i++ {
		switch w := words[i]; w {
		case "counters", "comment", "forceadd", "nomatch":
			b = fmt.Appendf(b, "<%s/>", w)
		default:
			if i+1 < len(words) {
				b = fmt.Appendf(b, "<%s>%s</%s>", w, words[i+1], w)
				i++
			}
		}
	}
	return b
}
