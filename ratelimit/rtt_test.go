package ratelimit

import (
	"testing"
	"time"
)

func TestRoundTripBins(t *testing.T) {
	t.Parallel()
	for i := 1; i < 168; i++ {
		lo, hi := rttEdge(i), rttEdge(i+1)
		if lo >= hi || i >= 8 && float64(hi) > 1.13*float64(lo) {
			t.Errorf("bin %d is from %d to %d", i, lo, hi)
		}
		for _, ns := range []int64{lo, hi - 1} {
			if got := rttBin(ns); got != i {
				t.Errorf("%d ns is in bin %d, want %d", ns, got, i)
			}
		}
	}
	if rttBin(-5) != 0 || rttBin(0) != 0 || rttBin(1<<62) != 167 {
		t.Error("extremes are not in the outer bins")
	}
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	ms := int64(time.Millisecond)
	near := func(got, want int64) bool { return got >= want*7/8 && got <= want*9/8+1 }
	r := newRoundTrips()
	if r.p95 != rttFirst {
		t.Errorf("before any answer: %d", r.p95)
	}
	r.add(50 * ms)
	if !near(r.p95, 50*ms) || !near(r.low, 50*ms) || r.p95 < 50*ms || r.low > 50*ms {
		t.Errorf("after one of 50 ms: %d to %d", r.low, r.p95)
	}
	for i := range int64(200) { // evenly from 50 to 250 ms
		r.add((50 + i) * ms)
	}
	if !near(r.low, 50*ms) || !near(r.p95, 240*ms) {
		t.Errorf("50 to 250 ms: low %d, p95 %d", r.low, r.p95)
	}
	// Rare spikes do not make the 95th percentile.
	for i := range 1000 {
		d := 50 * ms
		if i%50 == 0 {
			d = 3000 * ms
		}
		r.add(d)
	}
	if !near(r.p95, 50*ms) {
		t.Errorf("2 %% of 3 s among 50 ms: p95 %d", r.p95)
	}
	// What is long past is forgotten, the least as well as the most.
	for range 4000 {
		r.add(400 * ms)
	}
	if !near(r.low, 400*ms) || !near(r.p95, 400*ms) {
		t.Errorf("after thousands of 400 ms: low %d, p95 %d", r.low, r.p95)
	}
	// Wide scatter leaves figures that make sense.
	for i := range int64(5000) {
		r.add((1 + i*7919%10000) * ms)
	}
	if r.p95 < 8000*ms || r.p95 > 11000*ms || r.low > 500*ms {
		t.Errorf("evenly to 10 s: low %d, p95 %d", r.low, r.p95)
	}
	round := r.round
	for range 64 {
		r.add(r.p95 - 1)
	}
	if r.p95 > 0 && r.round < round {
		t.Error("round runs backwards")
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	r := newRoundTrips()
	i := int64(0)
	for b.Loop() {
		r.add(i % 100 * int64(time.Millisecond))
		i++
	}
}
