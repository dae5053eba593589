// Package speed measures what pacing costs a request, beside golang.org/x/time/rate
// and a plain http.Client.
//
// The cases are benchmarks like any other: go test -bench . ./speed runs them,
// and Measure runs them from a program.
package speed

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/headroom-go/auth0/ratelimit"
)

// A Case is one thing that is measured.
type Case struct {
	// What is done, and who does it: cases of one What are comparable.
	What, Who string
	// Budget is the most time that an operation should take, 0 for none. Times
	// depend on the machine, so that it is shown and not enforced.
	Budget time.Duration
	// Over is the Who whose time is subtracted before the budget is applied.
	Over string
	// Times is the most that the time may be as a multiple of that of Over, 0
	// for no such budget.
	Times float64
	// Bench measures it.
	Bench func(b *testing.B)
}

// Who does it.
const (
	Ours = "headroom"
	Rate = "x/time/rate"
	HTTP = "net/http"
	// Floor is two readings of the clock and two rounds of a mutex: what anything
	// costs that notes when a request begins and when it ends.
	Floor = "clock and mutex"
	// FloorRead is that and the three figures of an answer as whole numbers: what
	// anything costs that also learns from answers, before it has learned.
	FloorRead = "clock, mutex, 3 headers"
)

// ceiling is the largest figure that a plan may have: buckets of this size and
// rate never make anyone wait.
const ceiling = 10_000_000

// planText has a request of one bucket, GET /api/v2/one, and of three,
// GET /api/v2/three/{id}. Each placeholder is burst and rate of a bucket.
const planText = `plan  bench

[management]
name    burst  sustained  key     requests
all     %[1]d  %[2]d/s    tenant  global * /api/v2/*
wide    %[1]d  %[2]d/s    tenant  * /api/v2/three/*
narrow  %[1]d  %[2]d/s    tenant  GET /api/v2/three/{id}
`

// limiter returns a limiter whose buckets all have the given figures, and that
// knows its server already: the first request of each route was answered.
func limiter(tb testing.TB, burst, persec int) *ratelimit.Limiter {
	tb.Helper()
	plan, err := ratelimit.Parse(fmt.Sprintf(planText, burst, persec))
	if err != nil {
		tb.Fatal(err)
	}
	l, err := ratelimit.New(ratelimit.Options{Plan: plan})
	if err != nil {
		tb.Fatal(err)
	}
	answer := answered(burst)
	for _, r := range []ratelimit.Request{oneBucket(), threeBuckets()} {
		t, err := l.Acquire(context.Background(), &r)
		if err != nil {
			tb.Fatal(err)
		}
		t.Done(answer)
	}
	return l
}

func oneBucket() ratelimit.Request {
	return ratelimit.Request{Method: "GET", Path: "/api/v2/one", Template: "/api/v2/one"}
}

func threeBuckets() ratelimit.Request {
	return ratelimit.Request{Method: "GET", Path: "/api/v2/three/4", Template: "/api/v2/three/{id}"}
}

// answered is the outcome of a request to a bucket that is full again, headers
// included, as every answer of Auth0 has them.
func answered(burst int) ratelimit.Outcome {
	return ratelimit.Outcome{Sent: true, Answered: true, Status: 200, Header: map[string][]string{
		"Date":                  {time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
		"X-Ratelimit-Limit":     {fmt.Sprint(burst)},
		"X-Ratelimit-Remaining": {fmt.Sprint(burst - 1)},
		"X-Ratelimit-Reset":     {fmt.Sprint(time.Now().Unix() + 1)},
	}}
}

// unheaded is the outcome of a request whose answer says nothing of limits.
func unheaded() ratelimit.Outcome {
	return ratelimit.Outcome{Sent: true, Answered: true, Status: 200}
}

// Cases returns everything that is measured, in the order of the table.
func Cases() []Case {
	one, three := "acquire and complete, 1 bucket", "acquire and complete, 3 buckets"
	many := ", 1,000 goroutines"
	cases := []Case{
		{What: one, Who: Ours, Bench: func(b *testing.B) { acquire(b, oneBucket(), answered(ceiling)) }},
		{What: one, Who: Rate, Bench: func(b *testing.B) { reserve(b, 1) }},
		{What: one + many, Who: Ours, Bench: func(b *testing.B) { acquireParallel(b, oneBucket()) }},
		{What: one + many, Who: Rate, Bench: func(b *testing.B) { reserveParallel(b, 1) }},
		{What: three, Who: Ours, Budget: 150 * time.Nanosecond, Bench: func(b *testing.B) { acquire(b, threeBuckets(), answered(ceiling)) }},
		{What: three + ", no headers in the answer", Who: Ours, Bench: func(b *testing.B) { acquire(b, threeBuckets(), unheaded()) }},
		{What: three, Who: Rate, Bench: func(b *testing.B) { reserve(b, 3) }},
		{What: three, Who: Floor, Bench: func(b *testing.B) { clockAndMutex(b, nil) }},
		{What: three, Who: FloorRead, Bench: func(b *testing.B) { clockAndMutex(b, answered(ceiling).Header) }},
		{What: three + many, Who: Ours, Bench: func(b *testing.B) { acquireParallel(b, threeBuckets()) }},
		{What: three + many, Who: Rate, Bench: func(b *testing.B) { reserveParallel(b, 3) }},
		{What: queued, Who: Ours, Bench: handOff},
		{What: queued, Who: Rate, Bench: wait},
	}
	return append(append(cases, routes()...), trips()...)
}

// acquire measures Acquire and Done, routing and the reading of the answer's
// headers included.
func acquire(b *testing.B, r ratelimit.Request, answer ratelimit.Outcome) {
	l, ctx := limiter(b, ceiling, ceiling), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		t, err := l.Acquire(ctx, &r)
		if err != nil {
			b.Fatal(err)
		}
		t.Done(answer)
	}
}

func acquireParallel(b *testing.B, r ratelimit.Request) {
	l, answer, ctx := limiter(b, ceiling, ceiling), answered(ceiling), context.Background()
	parallel(b, func(pb *testing.PB) {
		r := r
		for pb.Next() {
			t, err := l.Acquire(ctx, &r)
			if err != nil {
				b.Error(err)
				return
			}
			t.Done(answer)
		}
	})
}

func clockAndMutex(b *testing.B, answer http.Header) {
	var mu sync.Mutex
	start, sum := time.Now(), time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			mu.Lock()
			sum += time.Since(start)
			mu.Unlock()
		}
		if answer == nil {
			continue
		}
		for _, name := range [...]string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"} {
			if _, err := strconv.ParseInt(answer[name][0], 10, 64); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// reserve measures Reserve on n limiters in turn. It neither charges them all
// or none, nor learns anything from an answer.
func reserve(b *testing.B, n int) {
	ls := limiters(n)
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range ls {
			if !l.Reserve().OK() {
				b.Fatal("a reservation was refused")
			}
		}
	}
}

func reserveParallel(b *testing.B, n int) {
	ls := limiters(n)
	parallel(b, func(pb *testing.PB) {
		for pb.Next() {
			for _, l := range ls {
				if !l.Reserve().OK() {
					b.Error("a reservation was refused")
					return
				}
			}
		}
	})
}

func limiters(n int) []*rate.Limiter {
	ls := make([]*rate.Limiter, n)
	for i := range ls {
		ls[i] = rate.NewLimiter(ceiling, ceiling)
	}
	return ls
}

// goroutines is how many callers the parallel cases have.
const goroutines = 1000

func parallel(b *testing.B, body func(pb *testing.PB)) {
	b.ReportAllocs()
	b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	b.RunParallel(body)
}
