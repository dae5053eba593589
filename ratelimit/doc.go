// Package ratelimit paces requests to an HTTP API so that no rate limit of the
// API is tripped and next to none of its allowance is left unused.
//
// It was made for Auth0, whose published limits it knows by plan (see [Named]),
// and serves any API that limits requests by token buckets: describe the limits
// with [Parse], or as a [Plan] literal, and call [Limiter.Acquire] before each
// request and [Ticket.Done] after it:
//
//	t, err := limiter.Acquire(ctx, &ratelimit.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery})
//	if err != nil {
//		return nil, err // the context has ended, or ends before the request could go
//	}
//	resp, err := http.DefaultTransport.RoundTrip(r)
//	if err != nil {
//		t.Done(ratelimit.Outcome{Sent: true})
//		return nil, err
//	}
//	t.Done(ratelimit.Outcome{
//		Sent: true, Answered: true, Status: resp.StatusCode, Header: resp.Header,
//		Rejected: resp.StatusCode == http.StatusTooManyRequests,
//	})
//
// Those two verbs are what nearly all callers want. [Limiter.Submit] is Acquire
// for event loops, which must not block. [Limiter.JobDone] and
// [Limiter.JobRunning] are for limits on what runs at a time.
//
// # What it does
//
// A request may draw from several buckets, one for the whole API and others for
// groups of endpoints. It is admitted when each of them has room, and all are
// debited at once; while it waits it holds nothing, so that an exhausted group
// holds up no other. Waiting requests go by [Priority], then fairly by
// [Request].Flow, then in order of arrival.
//
// The limiter keeps an account of each bucket as the server must see it, and
// corrects it by the x-ratelimit-limit and x-ratelimit-remaining headers of every
// answer. It reads them as bounds, since requests under way may or may not be
// counted in them, and keeps a token or two unspent for what they leave open. It
// finds out by itself whether tokens come back one by one or in fixed windows of
// up to a minute, at what rate they do, whether other programs draw from the same
// buckets, and when the server changes a limit. Longer windows, as of an API that
// grants 5,000 an hour on the hour, have to stand in the plan: "5000/h, windows of
// 1h". The first request of a bucket goes ahead alone, since a program that ran
// before may have emptied it. Without any headers the plan's figures alone are
// followed.
//
// # Reporting what became of a request
//
// Done must be called once for every ticket, as soon as the answer's header is
// there and before the body is read, for requests that fail as well: a ticket that
// is never settled counts as under way for ever. [Outcome] distinguishes three
// cases. A request that failed before anything of it was written (Sent is false)
// has cost nothing, and its tokens are given back. One that was sent and not
// answered may have been charged, and stays debited until later answers show
// otherwise. An answer is read for its figures.
//
// A rejection is no loss: wait for another ticket with Requeue set and send the
// request again. [Feedback] says which limit it was, as far as that can be told.
//
// # Concurrency
//
// A [Limiter] is safe for concurrent use, and there should be one for all requests
// that count against the same limits. Its lock is held for arithmetic only: hooks,
// callbacks and the methods of [Details] are called without it. It starts no
// goroutine; a single timer wakes what waits.
//
// A [Ticket] belongs to the goroutine that received it.
package ratelimit
