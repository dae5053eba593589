package main

import (
	"math"
	"time"
)

// Today's approaches, each the core of what its family of clients does. All
// have work for as many workers as they use and send a rejected request again.

// peerWorkers is how many requests the approaches that pace by worker may have
// in flight.
const peerWorkers = 32

// exactLocal is a token bucket of the right size and rate on the client's
// clock, without a look at any header.
type exactLocal struct {
	w      *world
	tokens []float64
	last   float64
}

func (e *exactLocal) start(w *world) {
	e.w = w
	for _, l := range w.sc.told() {
		e.tokens = append(e.tokens, float64(l.burst))
	}
	e.next()
}

func (e *exactLocal) next() {
	now := e.w.now.Seconds() * e.w.sc.clientClock()
	wait := 0.0
	for i, l := range e.w.sc.told() {
		e.tokens[i] = min(float64(l.burst), e.tokens[i]+(now-e.last)*l.rate())
		wait = max(wait, (1-e.tokens[i])/l.rate())
	}
	e.last = now
	if wait > 0 {
		e.w.at(e.w.now+time.Duration(wait/e.w.sc.clientClock()*1e9)+1, e.next)
		return
	}
	for i := range e.tokens {
		e.tokens[i]--
	}
	e.w.send(func(ok bool, _ header) {})
	e.w.at(e.w.now, e.next)
}

// lastHeader sends while the last answer showed a rest, and else waits for its reset.
type lastHeader struct {
	w      *world
	latest header
}

func (c *lastHeader) start(w *world) {
	c.w = w
	c.latest.remaining = 1
	for range peerWorkers {
		c.worker()
	}
}

func (c *lastHeader) worker() {
	now := epoch + c.w.now.Seconds()
	if c.latest.remaining <= 0 && float64(c.latest.reset) > now {
		c.w.at(c.w.now+time.Duration((float64(c.latest.reset)-now)*1e9)+1, c.worker)
		return
	}
	c.w.send(func(_ bool, h header) {
		if h.limit > 0 {
			c.latest = h
		}
		c.worker()
	})
}

// oneInFlight sends the next request when the last is answered, and waits for
// the next token when none was left.
type oneInFlight struct{ w *world }

func (c *oneInFlight) start(w *world) { c.w = w; c.next() }

func (c *oneInFlight) next() {
	c.w.send(func(ok bool, h header) {
		if h.limit > 0 && h.remaining == 0 {
			rate := math.Inf(1)
			for _, l := range c.w.sc.told() {
				rate = min(rate, l.rate())
			}
			c.w.at(c.w.now+time.Duration(1e9/rate), c.next)
			return
		}
		c.next()
	})
}

// sleepAfter429 sends from every worker and sleeps until reset after a rejection.
type sleepAfter429 struct{ w *world }

func (c *sleepAfter429) start(w *world) {
	c.w = w
	for range peerWorkers {
		c.worker()
	}
}

func (c *sleepAfter429) worker() {
	c.w.send(func(ok bool, h header) {
		if ok {
			c.worker()
			return
		}
		wait := time.Second
		if h.limit > 0 {
			wait = max(time.Duration((float64(h.reset)-epoch-c.w.now.Seconds())*1e9), 250*time.Millisecond)
		}
		c.w.at(c.w.now+wait, c.worker)
	})
}
