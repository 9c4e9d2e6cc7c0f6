package pack

// compress returns src packed: see the package comment.
func compress(src []byte) []byte {
	// Matches are looked for in the next blocks while steps are chosen in this one.
	type batch struct {
		start, end int
		found      [][]match
	}
	batches := make(chan batch, 2)
	go func() {
		f := newFinder(src)
		for start := 0; start < len(src); start += blockSize {
			b := batch{start, min(start+blockSize, len(src)), nil}
			all := make([]match, 0, 4*blockSize)
			for i := b.start; i < b.end; i++ {
				from := len(all)
				all = f.at(i, all)
				b.found = append(b.found, all[from:len(all):len(all)])
			}
			batches <- b
		}
		close(batches)
	}()
	w := &bitWriter{out: make([]byte, 0, len(src)/2)}
	p := newParser(src)
	var symbolSizes [symbols]uint8
	var lengthSizes [lengths]uint8
	for b := range batches {
		steps, c := p.block(b.start, b.end, b.found)
		symbolCode, lengthCode := codeLengths(c.symbol[:]), codeLengths(c.length[:])
		w.putSizes(symbolCode, symbolSizes[:])
		w.putSizes(lengthCode, lengthSizes[:])
		w.putSteps(src[b.start:b.end], steps, symbolCode, lengthCode)
	}
	w.put(0, 7) // the last byte is written
	return w.out
}

// putSteps writes a block's steps; size are the lengths of the codes.
func (w *bitWriter) putSteps(src []byte, steps []step, symbolSize, lengthSize []uint8) {
	symbolCode, lengthCode := codes(symbolSize), codes(lengthSize)
	for _, s := range steps {
		if s.slot < 0 {
			w.put(symbolCode[src[0]], int(symbolSize[src[0]]))
			src = src[1:]
			continue
		}
		src = src[s.n:]
		symbol := s.symbol()
		w.put(symbolCode[symbol], int(symbolSize[symbol]))
		if s.n >= longLength {
			v := uint32(s.n - longLength)
			slot, extra := spanOf(v, directLengths)
			w.put(lengthCode[slot], int(lengthSize[slot]))
			w.put(v&(1<<extra-1), extra)
		}
		if s.slot >= repeats {
			v := uint32(s.dist - 1)
			_, extra := spanOf(v, directDistances)
			w.put(v&(1<<extra-1), extra)
		}
	}
}
