package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/headroom-go/auth0/internal/enforce"
)

// world is one simulated run: events in virtual time, a server with buckets, a
// network, perhaps another consumer, and one client that always has work.
type world struct {
	now    time.Duration // true time
	events eventHeap
	seq    uint64
	rng    *rand.Rand
	sc     *scenario
	end    time.Duration

	buckets    []*enforce.Bucket
	stale      header // what a caching server repeats
	date       string
	dateAt     int64
	staleUntil time.Duration

	accepted, rejected, foreign int64
	arrived                     func(ok bool) // told of every request of the client
}

// header is what an answer shows; limit 0 means no x-ratelimit header.
type header struct {
	limit, remaining, reset int64
	date                    string
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type eventHeap []event

func (h eventHeap) less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (w *world) at(t time.Duration, do func()) {
	w.seq++
	h := append(w.events, event{max(t, w.now), w.seq, do})
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if !h.less(i, p) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
	w.events = h
}

func (w *world) step() bool {
	h := w.events
	if len(h) == 0 || h[0].at > w.end {
		return false
	}
	e := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h[n].do = nil
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h.less(c+1, c) {
			c++
		}
		if !h.less(c, i) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	w.events = h
	w.now = e.at
	e.do()
	return true
}

// limit is one bucket of the server.
type limit struct {
	burst, count int64
	per          time.Duration
	window       time.Duration // fixed windows in place of continuous refill
}

func (l limit) String() string {
	per := "/s"
	switch l.per {
	case time.Minute:
		per = "/min"
	case time.Hour:
		per = "/h"
	case 24 * time.Hour:
		per = "/day"
	}
	return fmt.Sprintf("%d at %d%s", l.burst, l.count, per)
}

func (l limit) rate() float64 { return float64(l.count) / l.per.Seconds() }

type resetReading int

const (
	resetNextToken resetReading = iota
	resetFull
	resetWindowEnd
)

type showing int

const (
	showEmptier showing = iota
	showFirst
)

type network struct {
	name   string
	oneWay func(r *rand.Rand) time.Duration
	stall  time.Duration // every minute the uplink stands still for so long
}

// scenario is what a run is held to.
type scenario struct {
	name       string
	limits     []limit // of the server, in the order of evaluation
	configured []limit // what the client is told; nil: the same
	net        network
	clock      float64 // client seconds per second; 0 is 1.0001
	foreign    float64 // share of the last limit's rate that another consumer takes
	initial    float64 // share of the buckets that is empty at the start
	granular   bool    // tokens of per-minute limits arrive on whole seconds
	reset      resetReading
	show       showing
	headers    func(w *world, h header) header // what the server shows in place of h
	jump       []jump
	length     time.Duration // 0 is an hour
	want       float64       // least share of the allowance to be used
	short      bool          // the run is a part of the hour that want speaks of
	rejections float64       // most rejections an hour
}

// clientClock is how many seconds the client's clock counts in one. It is 100
// ppm fast unless the scenario says otherwise.
func (sc *scenario) clientClock() float64 {
	if sc.clock == 0 {
		return 1.0001
	}
	return sc.clock
}

// told are the limits that the client is told.
func (sc *scenario) told() []limit {
	if sc.configured != nil {
		return sc.configured
	}
	return sc.limits
}

// jump changes the server's limits in flight.
type jump struct {
	at    time.Duration
	limit limit
}

// result is what came of a run.
type result struct {
	allowance              int64 // what an ideal client would have used
	own, rejected, foreign int64 // requests
	hours                  float64
	late, lateAllowance    int64 // own and foreign in the second half, and the refill of it
}

func (r result) used() float64    { return float64(r.own+r.foreign) / float64(r.allowance) }
func (r result) perHour() float64 { return float64(r.rejected) / r.hours }

// arrive is a request reaching the server.
func (w *world) arrive() (ok bool, h header) {
	n := len(w.buckets)
	by := n
	for i, b := range w.buckets {
		if !b.Take(w.now) {
			by = i
			break
		}
	}
	ok = by == n
	shown := 0
	switch {
	case !ok:
		shown = by
	case w.sc.show == showEmptier:
		for i, b := range w.buckets {
			if b.Level(w.now) < w.buckets[shown].Level(w.now) {
				shown = i
			}
		}
	}
	b := w.buckets[shown]
	h = header{limit: b.Burst(), remaining: b.Level(w.now)}
	var reset time.Duration
	switch w.sc.reset {
	case resetNextToken:
		reset = b.NextToken(w.now)
	case resetFull:
		reset = b.Full(w.now)
	default:
		reset = b.WindowEnd(w.now)
	}
	h.reset = epoch + int64(math.Ceil(reset.Seconds()))
	if w.sc.headers != nil {
		h = w.sc.headers(w, h)
	}
	if sec := int64(w.now / time.Second); sec != w.dateAt || w.date == "" {
		w.dateAt, w.date = sec, time.Unix(epoch+sec, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	h.date = w.date
	return ok, h
}

const epoch = 1_800_000_000

// send carries a request to the server and its answer back.
func (w *world) send(answer func(ok bool, h header)) {
	at := w.now + w.sc.net.oneWay(w.rng)
	if s := w.sc.net.stall; s > 0 {
		if in := at % time.Minute; in < s { // frozen: arrives when the uplink moves again
			at += s - in
		}
	}
	w.at(at, func() {
		ok, h := w.arrive()
		if ok {
			w.accepted++
		} else {
			w.rejected++
		}
		if w.arrived != nil {
			w.arrived(ok)
		}
		w.at(w.now+w.sc.net.oneWay(w.rng), func() { answer(ok, h) })
	})
}

// client is one approach to pacing. start is called once; it keeps itself going
// with world.send and world.at.
type client interface{ start(w *world) }

func run(sc *scenario, c client, seed uint64) result {
	return runWith(sc, c, seed, func(*world) {})
}

// runWith is run with a word to the world before it starts.
func runWith(sc *scenario, c client, seed uint64, prepare func(*world)) result {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), sc: sc, end: sc.length}
	if w.end == 0 {
		w.end = time.Hour
	}
	allowance := math.Inf(1)
	for _, l := range sc.limits {
		b := enforce.New(l.burst, l.count, l.per, l.window)
		if sc.granular {
			b.SetTick(time.Second)
		}
		drained := int64(math.Round(sc.initial * float64(l.burst)))
		b.Drain(0, drained)
		w.buckets = append(w.buckets, b)
		a := float64(l.burst-drained) + refillIn(l, w.end)
		allowance = min(allowance, a)
	}
	for _, j := range sc.jump {
		w.at(j.at, func() { w.buckets[0].SetLimit(w.now, j.limit.burst, j.limit.count, j.limit.per) })
	}
	if len(sc.jump) > 0 {
		allowance = float64(sc.limits[0].burst)
		from, l := time.Duration(0), sc.limits[0]
		for _, j := range sc.jump {
			// A larger bucket comes with its additional tokens.
			allowance += l.rate()*(j.at-from).Seconds() + float64(max(0, j.limit.burst-l.burst))
			from, l = j.at, j.limit
		}
		rate := l.rate()
		allowance += rate * (w.end - from).Seconds()
	}
	if sc.foreign > 0 {
		rate := sc.foreign * sc.limits[len(sc.limits)-1].rate()
		var next func()
		next = func() {
			ok := true
			for _, b := range w.buckets {
				ok = ok && b.Take(w.now)
			}
			if ok {
				w.foreign++
			}
			w.at(w.now+time.Duration(w.rng.ExpFloat64()/rate*1e9), next)
		}
		w.at(time.Duration(w.rng.ExpFloat64()/rate*1e9), next)
	}
	half, early := w.end/2, int64(0)
	w.at(half, func() { early = w.accepted + w.foreign })
	prepare(w)
	c.start(w)
	for w.step() {
	}
	refilled := math.Inf(1)
	for _, l := range sc.limits {
		refilled = min(refilled, refillIn(l, w.end-half))
	}
	return result{
		allowance: int64(allowance), own: w.accepted, rejected: w.rejected, foreign: w.foreign, hours: w.end.Hours(),
		late: w.accepted + w.foreign - early, lateAllowance: int64(refilled),
	}
}

// refillIn is what a limit brings in t, burst aside.
func refillIn(l limit, t time.Duration) float64 {
	if l.window > 0 {
		lot := max(1, math.Floor(l.rate()*l.window.Seconds()))
		return math.Floor(t.Seconds()/l.window.Seconds()) * min(lot, float64(l.burst))
	}
	return l.rate() * t.Seconds()
}
