package importer

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Ranges is a set of positions from 1, kept as sorted spans that do not touch:
// the numbers of a million users that are nearly in order are a handful of
// spans. The zero value is empty. A copy shares memory with the original: use
// [Ranges.Clone] before changing one of them. It is not for concurrent changes.
type Ranges struct{ spans []span }

type span struct{ from, to int } // both included

// ParseRanges reads positions and spans such as "3,7-9,12".
func ParseRanges(s string) (Ranges, error) {
	var r Ranges
	if strings.TrimSpace(s) == "" {
		return r, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		a, b, isSpan := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.Atoi(a)
		to := from
		if err == nil && isSpan {
			to, err = strconv.Atoi(b)
		}
		if err != nil || from < 1 || to < from {
			return Ranges{}, fmt.Errorf("%q is not a position or a span such as 7-9", part)
		}
		r.AddSpan(from, to)
	}
	return r, nil
}

// Add adds one position.
func (r *Ranges) Add(n int) { r.AddSpan(n, n) }

// AddSpan adds all positions from one to another, both included: none when to
// is smaller. There are none before 1.
func (r *Ranges) AddSpan(from, to int) {
	if from = max(from, 1); to < from {
		return
	}
	s := r.spans
	if n := len(s); n > 0 && s[n-1].from <= from && from-1 <= s[n-1].to { // the usual case: in order
		s[n-1].to = max(s[n-1].to, to)
		return
	}
	// i: the first span that touches or follows; j: the first that lies beyond.
	i, _ := slices.BinarySearchFunc(s, from-1, func(e span, v int) int { return e.to - v })
	j := i
	for j < len(s) && s[j].from-1 <= to {
		from, to = min(from, s[j].from), max(to, s[j].to)
		j++
	}
	r.spans = slices.Replace(s, i, j, span{from, to})
}

// AddAll adds the positions of another set.
func (r *Ranges) AddAll(other Ranges) {
	for _, e := range other.spans {
		r.AddSpan(e.from, e.to)
	}
}

// Has reports whether a position is in the set.
func (r Ranges) Has(n int) bool {
	i, _ := slices.BinarySearchFunc(r.spans, n, func(e span, v int) int { return e.to - v })
	return i < len(r.spans) && r.spans[i].from <= n
}

// Prefix returns the n for which 1 to n are all in the set, and the rest.
func (r Ranges) Prefix() (int, Ranges) {
	if len(r.spans) > 0 && r.spans[0].from == 1 {
		return r.spans[0].to, Ranges{r.spans[1:]}
	}
	return 0, r
}

// Count returns how many positions the set holds.
func (r Ranges) Count() int {
	n := 0
	for _, e := range r.spans {
		n += e.to - e.from + 1
	}
	return n
}

// Spans yields the first and the last position of each span, in order.
func (r Ranges) Spans() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for _, e := range r.spans {
			if !yield(e.from, e.to) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with the set.
func (r Ranges) Clone() Ranges { return Ranges{slices.Clone(r.spans)} }

// String returns the set in the form that [ParseRanges] reads.
func (r Ranges) String() string {
	text, _ := r.AppendText(nil)
	return string(text)
}

// AppendText appends the form of [Ranges.String] to b. It never fails.
func (r Ranges) AppendText(b []byte) ([]byte, error) {
	for i, e := range r.spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(e.from), 10)
		if e.to > e.from {
			b = append(b, '-')
			b = strconv.AppendInt(b, int64(e.to), 10)
		}
	}
	return b, nil
}

// MarshalText returns the form of [Ranges.String], so that JSON holds a set as a
// string. It never fails.
func (r Ranges) MarshalText() ([]byte, error) { return r.AppendText(nil) }

// UnmarshalText reads what MarshalText wrote.
func (r *Ranges) UnmarshalText(text []byte) error {
	read, err := ParseRanges(string(text))
	if err == nil {
		*r = read
	}
	return err
}
