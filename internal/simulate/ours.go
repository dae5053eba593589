package main

import (
	"strconv"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// ours is package ratelimit under the simulated clock, always with work waiting.
type ours struct {
	w       *world
	limiter *ratelimit.Limiter
	header  map[string][]string // of every answer; read before Done returns
	values  [4][]string
}

// backlog is how many requests are kept waiting.
const backlog = 8

// clock is the client's clock: it may run fast or slow, and its timers are up
// to a millisecond late.
type clock struct {
	w    *world
	rate float64
}

var origin = time.Unix(epoch, 0)

func (c *clock) Now() time.Time {
	return origin.Add(time.Duration(float64(c.w.now) * c.rate))
}

func (c *clock) AfterFunc(d time.Duration, f func()) ratelimit.Timer {
	t := &timer{c: c, f: f}
	t.Reset(d)
	return t
}

type timer struct {
	c   *clock
	f   func()
	set int
}

func (t *timer) Reset(d time.Duration) bool {
	t.set++
	set := t.set
	late := time.Duration(t.c.w.rng.Int64N(int64(time.Millisecond)))
	t.c.w.at(t.c.w.now+time.Duration(float64(d)/t.c.rate)+late+1, func() {
		if t.set == set {
			t.f()
		}
	})
	return true
}

func (t *timer) Stop() bool { t.set++; return true }

func (o *ours) start(w *world) {
	o.w = w
	limits := w.sc.configured
	if limits == nil {
		limits = w.sc.limits
	}
	p := &ratelimit.Plan{Name: "simulated"}
	for i, l := range limits {
		p.Buckets = append(p.Buckets, ratelimit.Bucket{
			Name: "bucket " + string(rune('a'+i)), API: "simulated", Burst: l.burst,
			Rate:    ratelimit.Rate{Count: l.count, Per: l.per},
			Matches: []ratelimit.Match{{Method: "*", Path: "/*"}},
		})
	}
	limiter, err := ratelimit.New(ratelimit.Options{Plan: p, Clock: &clock{w, w.sc.clientClock()}})
	if err != nil {
		panic(err)
	}
	o.limiter = limiter
	o.header = make(map[string][]string, 4)
	for i := range o.values {
		o.values[i] = make([]string, 1)
	}
	for range backlog {
		o.submit(false)
	}
}

var (
	first = &ratelimit.Request{Method: "POST", Path: "/api/v2/users"}
	again = &ratelimit.Request{Method: "POST", Path: "/api/v2/users", Requeue: true}
)

func (o *ours) submit(requeue bool) {
	r := first
	if requeue {
		r = again
	}
	o.limiter.Submit(r, func(t ratelimit.Ticket, err error) {
		if err != nil {
			panic(err)
		}
		if !requeue {
			o.w.at(o.w.now, func() { o.submit(false) })
		}
		o.w.send(func(ok bool, h header) { o.answer(&t, ok, h) })
	})
}

func (o *ours) answer(t *ratelimit.Ticket, ok bool, h header) {
	out := ratelimit.Outcome{Sent: true, Answered: true, Status: 201, Rejected: !ok, Header: o.header}
	if !ok {
		out.Status = 429
	}
	o.values[0][0] = h.date
	o.header["Date"] = o.values[0]
	if h.limit > 0 {
		o.values[1][0], o.values[2][0], o.values[3][0] = strconv.FormatInt(h.limit, 10), strconv.FormatInt(h.remaining, 10), strconv.FormatInt(h.reset, 10)
		o.header["X-Ratelimit-Limit"], o.header["X-Ratelimit-Remaining"], o.header["X-Ratelimit-Reset"] = o.values[1], o.values[2], o.values[3]
	} else {
		delete(o.header, "X-Ratelimit-Limit")
		delete(o.header, "X-Ratelimit-Remaining")
		delete(o.header, "X-Ratelimit-Reset")
	}
	t.Done(out)
	if !ok {
		o.submit(true)
	}
}
