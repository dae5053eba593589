package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ranges is a set of positions, kept as sorted spans that do not touch. An
// import of a million users that is nearly in order is a handful of spans.
type ranges []span

type span struct{ from, to int } // both included

// parseRanges reads "3,7-9,12".
func parseRanges(s string) (ranges, error) {
	var r ranges
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
			return nil, fmt.Errorf("%q is not a position or a span such as 7-9", part)
		}
		r.addSpan(from, to)
	}
	return r, nil
}

func (r *ranges) add(n int) { r.addSpan(n, n) }

func (r *ranges) addSpan(from, to int) {
	s := *r
	// i: the first span that touches or follows; j: the first that lies beyond.
	i, _ := slices.BinarySearchFunc(s, from-1, func(e span, v int) int { return e.to - v })
	j := i
	for j < len(s) && s[j].from <= to+1 {
		from, to = min(from, s[j].from), max(to, s[j].to)
		j++
	}
	*r = slices.Replace(s, i, j, span{from, to})
}

func (r ranges) has(n int) bool {
	i, _ := slices.BinarySearchFunc(r, n, func(e span, v int) int { return e.to - v })
	return i < len(r) && r[i].from <= n
}

// prefix returns the n for which 1 to n are all in the set, and the rest.
func (r ranges) prefix() (int, ranges) {
	if len(r) > 0 && r[0].from == 1 {
		return r[0].to, r[1:]
	}
	return 0, r
}

// count returns how many positions the set holds.
func (r ranges) count() int {
	n := 0
	for _, e := range r {
		n += e.to - e.from + 1
	}
	return n
}

func (r ranges) String() string {
	var b strings.Builder
	for i, e := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(e.from))
		if e.to > e.from {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(e.to))
		}
	}
	return b.String()
}
