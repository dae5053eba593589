package importer

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// The set against a plain map, with hashes that crowd one segment too.
func TestHashSetAgainstMap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 5))
	set, plain := newHashSet(), map[uint64]bool{}
	for i := range 20_000 {
		h := rnd.Uint64()
		switch i % 4 {
		case 1:
			h %= 500 // one segment, the first slots, and again and again
		case 2:
			h |= 0xff << 56
		}
		h = max(h, 1) // 0 stands for a free slot and counts as 1
		if set.has(h) != plain[h] {
			t.Fatalf("has(%#x) = %v", h, !plain[h])
		}
		if set.add(h) != plain[h] {
			t.Fatalf("add(%#x) = %v", h, !plain[h])
		}
		plain[h] = true
	}
	for h := range plain {
		if !set.has(h) {
			t.Fatalf("%#x is gone", h)
		}
	}
	if one := newHashSet(); one.has(0) || one.add(0) || !one.has(1) || !one.add(1) {
		t.Error("0 does not count as 1")
	}
}

// Two million keys fit into 28 MiB, and growing takes no more than a segment
// beside them.
func TestHashSetMemory(t *testing.T) {
	const keys, most = 2_000_000, 28 << 20
	rnd := rand.New(rand.NewPCG(1, 2))
	set := newHashSet()
	worst, reached := 0.0, 0
	bytes := func() (n int) {
		for i := range set.segments {
			n += cap(set.segments[i].slots) * 8
		}
		return n
	}
	for n := 1; n <= keys; n++ {
		set.add(rnd.Uint64())
		if n >= 100_000 && n%1000 == 0 {
			worst = max(worst, float64(bytes())/float64(n))
		}
		reached = n
	}
	if got := bytes(); got > most || reached != keys {
		t.Errorf("%d keys take %d bytes, want %d at most", reached, got, most)
	}
	// The slots grow by a quarter when 4 of 5 are in use: never more than
	// 8 / (4/5 / (5/4)) = 12.5 bytes a key, and size classes of the allocator.
	if worst > 13 {
		t.Errorf("%.2f bytes a key, want 12.5", worst)
	}
	largest := 0
	for i := range set.segments {
		largest = max(largest, len(set.segments[i].slots)*8)
	}
	if largest > most/100 {
		t.Errorf("a segment takes %d bytes: growth has a peak", largest)
	}
	runtime.KeepAlive(set)
}

// Values whose hashes are the same are still told apart, whatever their order.
func TestExactTellsApart(t *testing.T) {
	t.Parallel()
	first := &collected{set: newHashSet()}
	h := keyHash(first.set.seed, fieldEmail, "a@x.org")
	first.suspects = []uint64{h, h, 7}
	d := first.confirm()
	if len(d.suspects) != 2 {
		t.Fatalf("%d hashes, want each once", len(d.suspects))
	}
	// As if another value with the same hash had come first.
	s, second := d.lookup(fieldEmail, "a@x.org")
	s.second, s.number, s.line = second+1, 3, 30
	if _, found := d.find(fieldEmail, "A@x.org"); found {
		t.Error("another value with the same hash counts as the same")
	}
	d.add(fieldEmail, "A@X.org", place{4, 40})
	if at, found := d.find(fieldEmail, "a@x.ORG"); !found || at != (place{4, 40}) || len(d.more) != 1 {
		t.Errorf("found %v at %v, want the user on line 40", found, at)
	}
	if _, found := d.find(fieldUsername, "a@x.org"); found {
		t.Error("a user name equals an address")
	}
	if d.add(fieldEmail, "b@x.org", place{5, 50}); len(d.more) != 1 {
		t.Error("a value that nobody suspects was kept")
	}
}
