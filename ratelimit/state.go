package ratelimit

import (
	"cmp"
	"sort"
	"time"
)

// Snapshot is the state of a limiter at one moment.
type Snapshot struct {
	Plan    string        // the plan in force; of the plan "auto", the one recognised so far
	Waiting int           // requests that wait
	RTT     time.Duration // 95th percentile of the last round trips
	Buckets []BucketState // every bucket that a request has drawn from, by API and name
}

// BucketState is the state of one bucket. Figures in tokens are fractions:
// refill is continuous.
type BucketState struct {
	Name, API string
	// Key tells counters of a keyed bucket apart, 0 for a tenant-wide one. It
	// is a hash that holds for this process only.
	Key uint64
	// Burst and Rate are the plan's figures.
	Burst int64
	Rate  Rate
	// Learned is true once answers have shown other figures than the plan's;
	// LearnedBurst and LearnedRate (requests a second, net of what other
	// consumers take) are those in use.
	Learned      bool
	LearnedBurst int64
	LearnedRate  float64
	// Refill is "continuous" or "fixed window" once refill has been seen, ""
	// before that.
	Refill string
	// Estimate is the content as far as it is known, less all requests under
	// way, and Floor what is kept unspent of it.
	Estimate, Floor float64
	// Waiting requests, and those InFlight. For a limit on concurrency InFlight
	// counts the jobs that run as well.
	Waiting, InFlight int
	// Sent and Rejected count requests since the bucket was first used.
	Sent, Rejected int64
	// NextReady is how long until a request can go, 0 for now, and negative
	// when that hangs on an answer.
	NextReady time.Duration
	// Concurrent is the most at a time, for a limit on concurrency.
	Concurrent int
}

// Snapshot returns the state of every bucket. It holds the lock for as long as
// the copy takes.
func (l *Limiter) Snapshot() Snapshot {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Snapshot{Plan: l.plan.Load().Name, Waiting: l.waiting, RTT: time.Duration(l.rtt.p95)}
	waiting := make(map[*bucket]int)
	for _, c := range l.active {
		for _, b := range c.buckets {
			waiting[b] += c.waiting
		}
	}
	for _, b := range l.buckets {
		st := BucketState{
			Name: b.spec.Name, API: b.spec.API, Key: b.key, Burst: b.spec.Burst, Rate: b.spec.Rate,
			Waiting: waiting[b], Sent: b.sent, Rejected: b.rejected, Concurrent: b.spec.Concurrent,
		}
		if b.slots != nil {
			st.InFlight = b.slots.limit - b.slots.free(now)
		} else {
			l.refresh(b, now)
			b.advance(now)
			st.InFlight = int(b.sent - b.done)
			st.Estimate, st.Floor = b.tokens(b.level), b.tokens(b.base+b.headroom)
			st.LearnedBurst, st.LearnedRate = b.burst, b.rate(b.gain)
			st.Learned = b.learned || b.gain != b.inc
			st.Refill = [...]string{"", "continuous", "fixed window"}[b.mode]
		}
		switch at := b.readyAt(now, 0); at {
		case never:
			st.NextReady = -1
		default:
			st.NextReady = time.Duration(max(at-now, 0))
		}
		s.Buckets = append(s.Buckets, st)
	}
	sort.Slice(s.Buckets, func(i, j int) bool {
		a, b := &s.Buckets[i], &s.Buckets[j]
		return cmp.Or(cmp.Compare(a.API, b.API), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key)) < 0
	})
	return s
}
