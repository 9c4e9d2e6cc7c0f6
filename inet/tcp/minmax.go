package tcp

// minmax is the least of the samples of a window of time, kept as the best
// three (Linux: lib/win_minmax.c). Time is what its user counts it in.
type minmax struct {
	s [3]struct {
		t, v uint32
	}
}

func (m *minmax) get() uint32 { return m.s[0].v }

func (m *minmax) reset(t, v uint32) {
	for i := range m.s {
		m.s[i].t, m.s[i].v = t, v
	}
}

func (m *minmax) runningMin(win, t, v uint32) {
	if v <= m.s[0].v || t-m.s[2].t > win {
		m.reset(t, v)
		return
	}
	if v <= m.s[1].v {
		m.s[2].t, m.s[2].v = t, v
		m.s[1] = m.s[2]
	} else if v <= m.s[2].v {
		m.s[2].t, m.s[2].v = t, v
	}
	m.slide(win, t, v)
}

func (m *minmax) slide(win, t, v uint32) {
	dt := t - m.s[0].t
	n := struct{ t, v uint32 }{t, v}
	switch {
	case dt > win:
		m.s[0], m.s[1], m.s[2] = m.s[1], m.s[2], n
		if t-m.s[0].t > win {
			m.s[0], m.s[1] = m.s[1], m.s[2]
			m.s[2] = n
		}
	case m.s[1].t == m.s[0].t && dt > win/4:
		m.s[1], m.s[2] = n, n
	case m.s[2].t == m.s[1].t && dt > win/2:
		m.s[2] = n
	}
}
