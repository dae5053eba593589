package main

import (
	"math/rand/v2"
	"testing"
)

func TestParseRanges(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":               "",
		"3":              "3",
		"3,7-9, 12":      "3,7-9,12",
		"9,8,7":          "7-9",
		"1-5,3-8,10,9":   "1-10",
		"5-5":            "5",
		"20,1-3,10-12,4": "1-4,10-12,20",
	} {
		r, err := parseRanges(in)
		if err != nil || r.String() != want {
			t.Errorf("parseRanges(%q) = %q, %v; want %q", in, r, err, want)
		}
	}
	for _, in := range []string{"x", "0", "-3", "5-4", "1,,2", "1-", "1-2-3", "99999999999999999999"} {
		if r, err := parseRanges(in); err == nil {
			t.Errorf("parseRanges(%q) = %q, want an error", in, r)
		}
	}
}

// Against a plain map, positions added in random order.
func TestRangesAgainstMap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 11))
	for range 200 {
		var r ranges
		plain := map[int]bool{}
		for range 60 {
			n := 1 + rnd.IntN(80)
			r.add(n)
			plain[n] = true
		}
		if r.count() != len(plain) {
			t.Fatalf("%v holds %d positions, want %d", r, r.count(), len(plain))
		}
		for n := range 85 {
			if r.has(n) != plain[n] {
				t.Fatalf("%v.has(%d) = %v", r, n, r.has(n))
			}
		}
		for i := 1; i < len(r); i++ {
			if r[i].from <= r[i-1].to+1 {
				t.Fatalf("%v: spans touch", r)
			}
		}
		skip, rest := r.prefix()
		for n := 1; n <= skip; n++ {
			if !plain[n] {
				t.Fatalf("prefix %d of %v holds %d", skip, r, n)
			}
		}
		if plain[skip+1] || rest.count()+skip != len(plain) {
			t.Fatalf("prefix of %v is %d, %v", r, skip, rest)
		}
		again, err := parseRanges(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%v read back as %v, %v", r, again, err)
		}
	}
}
