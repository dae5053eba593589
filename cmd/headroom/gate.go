package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// errHalted is what a request meets that was called off before it left.
var errHalted = errors.New("called off before it was sent")

// A gate is the last stop before the network, below the throttle. It counts
// what really leaves and what comes back, knows of every user whether a
// request for it has left, and can call off those that have not.
type gate struct {
	base http.RoundTripper
	date func(time.Time) // told the tenant's time with each answer; may be nil

	mu       sync.Mutex
	halted   bool
	flights  map[*flight]struct{}
	inFlight int
	sent     int
	rejected int
	lost     int
	first    time.Time // when the first and the last request to the API left
	last     time.Time
}

// A flight is one call through the gate, repeats by the throttle included.
type flight struct {
	cancel  context.CancelFunc
	away    bool // sent, and its answer is still to come
	lost    bool // sent, and no answer came
	unsent  bool // no connection was made for it
	stopped bool // called off before it was sent
	status  int  // of the last answer
}

type flightKey struct{}

func newGate(base http.RoundTripper) *gate {
	return &gate{base: base, flights: map[*flight]struct{}{}}
}

// open starts a flight that halt may call off; close ends it.
func (g *gate) open(ctx context.Context) (context.Context, *flight) {
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{cancel: cancel}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flights[f] = struct{}{}
	if g.halted {
		f.stop()
	}
	return context.WithValue(ctx, flightKey{}, f), f
}

// close ends the flight and returns what became of it.
func (g *gate) close(f *flight) flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.flights, f)
	f.cancel()
	return *f
}

func (f *flight) stop() {
	f.stopped = true
	f.cancel()
}

// halt calls off every flight that has not left, and those to come.
func (g *gate) halt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.halted = true
	for f := range g.flights {
		if !f.away {
			f.stop()
		}
	}
}

// RoundTrip sends the request, unless it has been called off.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(req.URL.Path, "/api/") {
		return g.base.RoundTrip(req) // a token, fetched on behalf of whoever asked first
	}
	f, _ := req.Context().Value(flightKey{}).(*flight)
	if !g.depart(f) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errHalted
	}
	resp, err := g.base.RoundTrip(req)
	g.arrive(f, resp, err)
	if err == nil && g.date != nil {
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			g.date(at)
		}
	}
	return resp, err
}

func (g *gate) depart(f *flight) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f != nil {
		if f.stopped {
			return false
		}
		f.away, f.lost, f.unsent = true, true, false
	}
	g.inFlight++
	g.sent++
	g.last = time.Now()
	if g.first.IsZero() {
		g.first = g.last
	}
	return true
}

func (g *gate) arrive(f *flight, resp *http.Response, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	rejected := err == nil && resp.StatusCode == http.StatusTooManyRequests
	if rejected {
		g.rejected++
	}
	if err != nil {
		g.lost++
	}
	if f == nil {
		return
	}
	switch {
	case err == nil:
		f.status, f.lost = resp.StatusCode, false
	case unsent(err):
		f.lost, f.unsent = false, true
	}
	if rejected || err != nil {
		// It may be sent once more, and until then it can be called off.
		f.away = false
		if g.halted {
			f.stop()
		}
	}
}

// unsent reports whether err says that no connection was made.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

type traffic struct {
	inFlight, sent, rejected, lost int
	first, last                    time.Time
}

func (g *gate) traffic() traffic {
	g.mu.Lock()
	defer g.mu.Unlock()
	return traffic{g.inFlight, g.sent, g.rejected, g.lost, g.first, g.last}
}
