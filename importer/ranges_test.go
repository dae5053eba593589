package importer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
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
		r, err := ParseRanges(in)
		if err != nil || r.String() != want {
			t.Errorf("ParseRanges(%q) = %q, %v; want %q", in, r, err, want)
		}
	}
	for _, in := range []string{"x", "0", "-3", "5-4", "1,,2", "1-", "1-2-3", "99999999999999999999"} {
		if r, err := ParseRanges(in); err == nil {
			t.Errorf("ParseRanges(%q) = %q, want an error", in, r)
		}
	}
}

// A span of nobody, as of "the first 0", adds nobody, and none is too long.
func TestRangesAtTheEdges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spans [][2]int
		want  string
		count int
	}{
		{[][2]int{{1, 0}}, "", 0},
		{[][2]int{{5, 9}, {7, 3}, {2, 1}}, "5-9", 5},
		{[][2]int{{0, 0}, {-7, -3}}, "", 0},
		{[][2]int{{-2, 3}}, "1-3", 3},
		{[][2]int{{5, 9}, {1, math.MaxInt}}, "1-" + strconv.Itoa(math.MaxInt), math.MaxInt},
		{[][2]int{{5, math.MaxInt}, {7, 8}}, "5-" + strconv.Itoa(math.MaxInt), math.MaxInt - 4},
	} {
		var r Ranges
		for _, s := range tt.spans {
			r.AddSpan(s[0], s[1])
		}
		if r.String() != tt.want || r.Count() != tt.count {
			t.Errorf("%v: %q of %d, want %q of %d", tt.spans, r, r.Count(), tt.want, tt.count)
		}
		if (len(r.spans) == 0) != (tt.count == 0) {
			t.Errorf("%v: %d spans of %d positions", tt.spans, len(r.spans), tt.count)
		}
	}
}

// Against a plain map, positions added in random order.
func TestRangesAgainstMap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 11))
	for range 200 {
		var r Ranges
		plain := map[int]bool{}
		for range 60 {
			n := 1 + rnd.IntN(80)
			r.Add(n)
			plain[n] = true
		}
		if r.Count() != len(plain) {
			t.Fatalf("%v holds %d positions, want %d", r, r.Count(), len(plain))
		}
		for n := range 85 {
			if r.Has(n) != plain[n] {
				t.Fatalf("%v.Has(%d) = %v", r, n, r.Has(n))
			}
		}
		for i := 1; i < len(r.spans); i++ {
			if r.spans[i].from <= r.spans[i-1].to+1 {
				t.Fatalf("%v: spans touch", r)
			}
		}
		skip, rest := r.Prefix()
		for n := 1; n <= skip; n++ {
			if !plain[n] {
				t.Fatalf("prefix %d of %v holds %d", skip, r, n)
			}
		}
		if plain[skip+1] || rest.Count()+skip != len(plain) {
			t.Fatalf("prefix of %v is %d, %v", r, skip, rest)
		}
		again, err := ParseRanges(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%v read back as %v, %v", r, again, err)
		}
	}
}

func TestRangesSpansAndCopies(t *testing.T) {
	t.Parallel()
	r, err := ParseRanges("9,1-3,5")
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for from, to := range r.Spans() {
		got = append(got, from, to)
		if from == 5 {
			break
		}
	}
	if !slices.Equal(got, []int{1, 3, 5, 5}) {
		t.Errorf("spans %v", got)
	}
	other := r.Clone()
	other.AddSpan(3, 6)
	if other.String() != "1-6,9" || r.String() != "1-3,5,9" {
		t.Errorf("after a change of the copy: %v and %v", other, r)
	}
	other.AddAll(r)
	if other.String() != "1-6,9" {
		t.Errorf("with what it had already: %v", other)
	}
	// In JSON a set is a string.
	text, err := json.Marshal(map[string]Ranges{"a": r, "b": {}})
	if err != nil || string(text) != `{"a":"1-3,5,9","b":""}` {
		t.Errorf("JSON %s, %v", text, err)
	}
	var back map[string]Ranges
	if err := json.Unmarshal(text, &back); err != nil || back["a"].String() != "1-3,5,9" || back["b"].Count() != 0 {
		t.Errorf("read back %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"a":"3-1"}`), &back); err == nil {
		t.Error("a span that ends before it begins was read")
	}
}
