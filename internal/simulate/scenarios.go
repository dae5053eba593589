package main

import (
	"math/rand/v2"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// typical is the Management API's limit on the enterprise plan in production.
var typical = limit{burst: 50, count: 16, per: time.Second}

// scenarios are those that every change of the engine is held to, an hour each.
// want is the least share of the allowance, and rejections the most in an hour
// on average over the seeds.
func scenarios() []*scenario {
	base := func(name string, change func(*scenario)) *scenario {
		sc := &scenario{name: name, limits: []limit{typical}, net: wan, want: 0.999}
		if change != nil {
			change(sc)
		}
		return sc
	}
	return []*scenario{
		base("wan: 30-50 ms each way", nil),
		base("bad: 30 ms + Exp(15), 1 % spikes to 500 ms", func(s *scenario) { s.net = bad }),
		base("stall: the uplink stops 300 ms a minute", func(s *scenario) { s.net = stall }),
		base("start with 25 % taken", func(s *scenario) { s.initial = 0.25 }),
		base("start with 50 % taken", func(s *scenario) { s.initial = 0.5 }),
		base("start with 90 % taken", func(s *scenario) { s.initial = 0.9 }),
		base("start with nothing left", func(s *scenario) { s.initial = 1 }),
		base("told 0.75 of the rate", func(s *scenario) { s.configured = []limit{{50, 12, time.Second, 0}} }),
		base("told 1.5 times the rate", func(s *scenario) { s.configured = []limit{{50, 24, time.Second, 0}} }),
		base("client clock 1 % fast", func(s *scenario) { s.clock = 1.01 }),
		base("client clock 1 % slow", func(s *scenario) { s.clock = 0.99 }),
		base("another consumer, 1 %", func(s *scenario) { s.foreign = 0.01; s.rejections = 3 }),
		base("another consumer, 20 %", func(s *scenario) { s.foreign = 0.2; s.rejections = 3 }),
		base("fixed windows of a second", func(s *scenario) {
			s.limits = []limit{{50, 16, time.Second, time.Second}}
			s.reset = resetWindowEnd
			s.rejections = 3
		}),
		base("two buckets: 50 at 16/s, 20 at 200/min", func(s *scenario) {
			s.limits = []limit{typical, {20, 200, time.Minute, 0}}
		}),
		base("three buckets: 100 at 100/s, 30 at 30/s, 15 at 15/s", func(s *scenario) {
			s.limits = []limit{{100, 100, time.Second, 0}, {30, 30, time.Second, 0}, {15, 15, time.Second, 0}}
		}),
		base("two buckets, headers of the API level only", func(s *scenario) {
			s.limits = []limit{typical, {20, 200, time.Minute, 0}}
			s.show = showFirst
		}),
		base("two buckets of one size, 10 at 100 and 150/min", func(s *scenario) {
			s.limits = []limit{{10, 150, time.Minute, 0}, {10, 100, time.Minute, 0}}
		}),
		base("limits jump: 50/16 to 100/32 to 50/16", func(s *scenario) {
			s.jump = []jump{{20 * time.Minute, limit{100, 32, time.Second, 0}}, {40 * time.Minute, typical}}
			s.rejections = 3
		}),
		base("tokens on whole seconds: 40 at 500/min", func(s *scenario) {
			s.limits = []limit{{40, 500, time.Minute, 0}}
			s.granular = true
		}),
		base("no headers", func(s *scenario) {
			s.headers = func(*world, header) header { return header{} }
		}),
		base("stale headers, ten seconds at a time", func(s *scenario) {
			s.headers = func(w *world, h header) header {
				if w.now >= w.staleUntil {
					w.stale, w.staleUntil = h, w.now+10*time.Second
				}
				return w.stale
			}
		}),
		base("half of the headers missing", func(s *scenario) {
			s.headers = func(w *world, h header) header {
				if w.rng.IntN(2) == 0 {
					return header{}
				}
				return h
			}
		}),
		base("reset means a full bucket", func(s *scenario) { s.reset = resetFull }),
		base("reset means the end of a window", func(s *scenario) { s.reset = resetWindowEnd }),
	}
}

// published returns one limit of each kind that any published plan has.
func published() []limit {
	seen := make(map[limit]bool)
	var out []limit
	for _, name := range ratelimit.Names() {
		p, err := ratelimit.Named(name)
		if err != nil {
			panic(err)
		}
		for _, b := range p.Buckets {
			l := limit{burst: b.Burst, count: b.Rate.Count, per: b.Rate.Per}
			if b.Concurrent > 0 || seen[l] {
				continue
			}
			seen[l] = true
			out = append(out, l)
		}
	}
	return out
}

var networks = []network{wan, bad, stall}

// on returns the plain scenario of a published limit on a network. An hour is
// the measure; a slow limit runs until 5,000 tokens have come, for else the
// token or two that are still there at the end would count for more than the
// pacing. most cuts the runs of limits above 50 a second short, 0 for an hour in
// full: caution costs a bucket some tokens once, which must be little of an
// hour's, and then nothing in the second half.
func on(l limit, n network, most time.Duration) *scenario {
	sc := &scenario{name: l.String() + " " + n.name, limits: []limit{l}, net: n, want: 0.999}
	if l.rate() <= 5.0/60 {
		sc.want = 0.99
	}
	sc.length = max(time.Hour, time.Duration(5000/l.rate()*1e9))
	if most > 0 && l.rate() > 50 {
		sc.length, sc.short = most, true
	}
	return sc
}

func ms(f float64) time.Duration { return time.Duration(f * float64(time.Millisecond)) }

// The networks. One way each.
var (
	wan = network{name: "wan", oneWay: func(r *rand.Rand) time.Duration { return ms(30 + 20*r.Float64()) }}
	bad = network{name: "bad", oneWay: func(r *rand.Rand) time.Duration {
		if r.Float64() < 0.01 {
			return ms(30 + 470*r.Float64())
		}
		return ms(30 + 15*r.ExpFloat64())
	}}
	stall = network{name: "stall", oneWay: wan.oneWay, stall: 300 * time.Millisecond}
)
