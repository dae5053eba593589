package ratelimit

import (
	"math/bits"
	"time"
)

// roundTrips summarises the round-trip times of about the last 256 answers in a
// histogram with eight bins an octave, so that adding one costs no more than an
// addition. Every 256 answers all weights are halved: an answer counts eight,
// four, two, one, and then no more.
type roundTrips struct {
	bins  [168]uint16 // weights
	n     uint32
	round uint32 // changes whenever p95 or low do
	p95   int64  // ns, the upper edge of its bin
	low   int64  // ns, the lower edge of the smallest seen
}

const (
	rttUnit   = 16 // bins begin at 2^16 ns, about 65 us
	rttWeight = 8  // of an answer when it is new
	rttFirst  = int64(200 * time.Millisecond)

	// rttMost is the upper edge of the last bin, 2^37 ns or about 137 s: longer
	// times are not told apart.
	rttMost = int64(8) << (168 / 8) << (rttUnit - 3)
)

func newRoundTrips() roundTrips { return roundTrips{p95: rttFirst, round: 1} }

func (r *roundTrips) add(ns int64) {
	r.bins[rttBin(ns)] += rttWeight
	r.n++
	if r.n%256 == 0 {
		for i := range r.bins {
			r.bins[i] /= 2
		}
	}
	if r.n < 32 || r.n%32 == 0 {
		r.summarise()
	}
}

func (r *roundTrips) summarise() {
	total, lowest := uint32(0), -1
	for i, c := range r.bins {
		if c > 0 && lowest < 0 {
			lowest = i
		}
		total += uint32(c)
	}
	left := total / 20
	top := len(r.bins) - 1
	for ; top > 0; top-- {
		c := uint32(r.bins[top])
		if c > left {
			break
		}
		left -= c
	}
	p95, low := rttEdge(top+1), rttEdge(lowest)
	if p95 != r.p95 || low != r.low {
		r.p95, r.low = p95, low
		r.round++
	}
}

func rttBin(ns int64) int {
	u := uint64(max(ns, 0)) >> (rttUnit - 3)
	if u < 8 {
		return 0
	}
	o := bits.Len64(u) - 4 // octave
	i := o*8 + int(u>>o) - 8
	return min(i, 167)
}

// rttEdge returns the lower edge of a bin in nanoseconds.
func rttEdge(i int) int64 {
	if i <= 0 {
		return 0
	}
	return (8 + int64(i%8)) << (i / 8) << (rttUnit - 3)
}
