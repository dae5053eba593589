package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// paced is an http.RoundTripper that keeps to an API's limits.
type paced struct {
	limiter *ratelimit.Limiter
	base    http.RoundTripper
}

func (p *paced) RoundTrip(r *http.Request) (*http.Response, error) {
	t, err := p.limiter.Acquire(r.Context(), &ratelimit.Request{
		Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery,
	})
	if err != nil {
		return nil, err
	}
	resp, err := p.base.RoundTrip(r)
	if err != nil {
		t.Done(ratelimit.Outcome{Sent: true})
		return nil, err
	}
	t.Done(ratelimit.Outcome{
		Sent: true, Answered: true, Status: resp.StatusCode, Header: resp.Header,
		Rejected: resp.StatusCode == http.StatusTooManyRequests,
	})
	return resp, nil
}

// Any HTTP client keeps to the limits of any API once its transport asks first.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, "hello from", r.URL.Path)
	}))
	defer server.Close()

	plan, err := ratelimit.Parse(`
plan   acme

[orders]
name        burst  sustained  key     requests
Orders API  100    20/s       tenant  global * /orders/*
Searches    10     30/min     tenant  GET /orders/search
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := ratelimit.New(ratelimit.Options{Plan: plan})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: &paced{limiter, server.Client().Transport}}

	for _, path := range []string{"/orders/1", "/orders/search"} {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := client.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		fmt.Print(string(body))
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			fmt.Println(err)
		}
	}
	for _, b := range limiter.Snapshot().Buckets {
		fmt.Printf("%s: %d sent, %d rejected\n", b.Name, b.Sent, b.Rejected)
	}
	// Output:
	// hello from /orders/1
	// hello from /orders/search
	// Orders API: 2 sent, 0 rejected
	// Searches: 1 sent, 0 rejected
}

// reports is a plan of one's own as a literal.
func reports() *ratelimit.Plan {
	return &ratelimit.Plan{Name: "reports", Buckets: []ratelimit.Bucket{
		{
			Name: "Reports", API: "reports", Burst: 5, Rate: ratelimit.Rate{Count: 5, Per: time.Hour},
			Matches: []ratelimit.Match{{Method: "GET", Path: "/reports/{id}"}},
		},
		{
			Name: "Exports", API: "reports", Concurrent: 2,
			Matches: []ratelimit.Match{{Method: "POST", Path: "/exports"}},
		},
	}}
}

// shown are the headers of an answer.
func shown(limit, remaining string) http.Header {
	return http.Header{"X-Ratelimit-Limit": {limit}, "X-Ratelimit-Remaining": {remaining}}
}

// A request that cannot go before its deadline fails at once.
func ExampleLimiter_Acquire() {
	limiter, err := ratelimit.New(ratelimit.Options{Plan: reports()})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := &ratelimit.Request{Method: "GET", Path: "/reports/7"}
	ticket, err := limiter.Acquire(context.Background(), request)
	if err != nil {
		fmt.Println(err)
		return
	}
	ticket.Done(ratelimit.Outcome{Sent: true, Answered: true, Status: 200, Header: shown("5", "0")})

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = limiter.Acquire(ctx, request)
	if wait, ok := errors.AsType[*ratelimit.WaitError](err); ok {
		fmt.Println(wait.Bucket, "is used up for", wait.Route)
		fmt.Println("a token takes 12 minutes:", wait.Wait >= 12*time.Minute-time.Second)
	}
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// Reports is used up for GET /reports/{id}
	// a token takes 12 minutes: true
	// true
}

// What Done returns says which limit turned a request back.
func ExampleTicket_Done() {
	limiter, err := ratelimit.New(ratelimit.Options{Plan: reports()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ticket, err := limiter.Acquire(context.Background(), &ratelimit.Request{Method: "GET", Path: "/reports/7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	feedback := ticket.Done(ratelimit.Outcome{
		Sent: true, Answered: true, Status: 429, Rejected: true, Header: shown("5", "0"),
	})
	fmt.Println(feedback.Kind, feedback.Bucket, feedback.Wait)
	// Output:
	// bucket Reports 12m0s
}

// An event loop asks without blocking.
func ExampleLimiter_Submit() {
	limiter, err := ratelimit.New(ratelimit.Options{Plan: reports()})
	if err != nil {
		fmt.Println(err)
		return
	}
	send := func(ticket ratelimit.Ticket, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("sent", ticket.Route())
		ticket.Done(ratelimit.Outcome{Sent: true, Answered: true, Status: 200, Header: shown("5", "4")})
	}
	cancel := limiter.Submit(&ratelimit.Request{Method: "GET", Path: "/reports/7"}, send)
	fmt.Println("given up in time:", cancel())
	// Output:
	// sent /reports/{id}
	// given up in time: false
}

// A job that an answer started keeps its slot until it is over.
func ExampleLimiter_JobDone() {
	limiter, err := ratelimit.New(ratelimit.Options{Plan: reports()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, job := range []string{"job_1", "job_2"} {
		ticket, err := limiter.Acquire(context.Background(), &ratelimit.Request{Method: "POST", Path: "/exports"})
		if err != nil {
			fmt.Println(err)
			return
		}
		ticket.Done(ratelimit.Outcome{Sent: true, Answered: true, Status: 202, Job: job})
	}
	exports := func() ratelimit.BucketState { return limiter.Snapshot().Buckets[0] }
	fmt.Println(exports().InFlight, "of", exports().Concurrent)
	limiter.JobDone("job_1")
	fmt.Println(exports().InFlight, "of", exports().Concurrent)
	// Output:
	// 2 of 2
	// 1 of 2
}

// Hooks feed logs and metrics.
func ExampleHooks() {
	limiter, err := ratelimit.New(ratelimit.Options{Plan: reports(), Hooks: &ratelimit.Hooks{
		Admitted: func(e ratelimit.Event) { fmt.Println("admitted", e.Route) },
		Learned:  func(e ratelimit.Event) { fmt.Println("learned the", e.Detail, "of", e.Bucket) },
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ticket, err := limiter.Acquire(context.Background(), &ratelimit.Request{Method: "GET", Path: "/reports/7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ticket.Done(ratelimit.Outcome{Sent: true, Answered: true, Status: 200, Header: shown("8", "7")})
	// Output:
	// admitted GET /reports/{id}
	// learned the limit of Reports
}
