package toolchain

import (
	"bytes"
	"fmt"
	"go/build/constraint"
	"path"
)

// kernelTags are the build tags whose value inside the kernel's rooms is known when the GOROOT is derived: what needs a machine
// of its own is marked tamago. They are answered there and then, so that no tag has to be given to the go command, where
// the program and its modules would see it too: `//go:build tamago` in a program means what it means on Linux.
// read-only
var kernelTags = map[string]bool{"tamago": true}

// goosTags are those of tamago's goos package: an image is never tiny, whatever the program's own tags say. read-only
var goosTags = map[string]bool{"tiny": false}

// resolveTags answers the known tags in the build constraint of a Go or assembly file. It returns the file with what
// remains of the constraint (an empty line if nothing does, so that lines keep their numbers) and keep false if the file is
// never built. Files that are not source pass as they are.
func resolveTags(name string, data []byte, known map[string]bool) (text []byte, keep bool, err error) {
	if ext := path.Ext(name); ext != ".go" && ext != ".s" {
		return data, true, nil
	}
	start, end, ok := constraintLine(data)
	if !ok {
		return data, true, nil
	}
	expr, err := constraint.Parse(string(bytes.TrimSpace(data[start:end])))
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	left, value := answer(expr, known)
	if left == nil && !value {
		return nil, false, nil
	}
	line := ""
	if left != nil {
		line = "//go:build " + left.String()
	}
	text = append(text, data[:start]...)
	text = append(text, line...)
	return append(text, data[end:]...), true, nil
}

// constraintLine finds the //go:build line, without its newline: it stands among the blank lines and line comments at the top.
func constraintLine(data []byte) (start, end int, ok bool) {
	for start < len(data) {
		end = len(data)
		if n := bytes.IndexByte(data[start:], '\n'); n >= 0 {
			end = start + n
		}
		line := bytes.TrimSpace(data[start:end])
		if constraint.IsGoBuild(string(line)) {
			return start, end, true
		}
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			break
		}
		start = end + 1
	}
	return 0, 0, false
}

// answer evaluates x as far as the known tags decide it: left is what remains open, or nil, and then value is the answer.
func answer(x constraint.Expr, known map[string]bool) (left constraint.Expr, value bool) {
	switch x := x.(type) {
	case *constraint.TagExpr:
		if v, ok := known[x.Tag]; ok {
			return nil, v
		}
		return x, false
	case *constraint.NotExpr:
		left, value := answer(x.X, known)
		if left == nil {
			return nil, !value
		}
		return &constraint.NotExpr{X: left}, false
	case *constraint.AndExpr:
		return answerPair(x.X, x.Y, false, known, func(a, b constraint.Expr) constraint.Expr { return &constraint.AndExpr{X: a, Y: b} })
	case *constraint.OrExpr:
		return answerPair(x.X, x.Y, true, known, func(a, b constraint.Expr) constraint.Expr { return &constraint.OrExpr{X: a, Y: b} })
	}
	return x, false
}

// answerPair is answer for a pair of which one side that is decides settles it; join puts together what remains of both.
func answerPair(x, y constraint.Expr, decides bool, known map[string]bool, join func(a, b constraint.Expr) constraint.Expr) (left constraint.Expr, value bool) {
	a, av := answer(x, known)
	b, bv := answer(y, known)
	switch {
	case a == nil && av == decides || b == nil && bv == decides:
		return nil, decides
	case a == nil:
		return b, bv
	case b == nil:
		return a, av
	}
	return join(a, b), false
}
