package auth0

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/go-retryablehttp"
)

// maxErrorBody is how much of an error's answer is kept.
const maxErrorBody = 64 << 10

// longestRetryAfter is the longest Retry-After of a 503 that is waited for; an
// outage announced for longer is the caller's to know.
const longestRetryAfter = 5 * time.Minute

// sending is one call on its way.
type sending struct {
	c       *Client
	method  string
	route   string
	request *request
	call    *call
	payload *payload
	url     *url.URL
	header  http.Header
	stream  bool

	backoff *backoff.ExponentialBackOff
	delay   time.Duration
	retried int

	resp *http.Response // the last answer, nil when none came
	read bool           // its body was read
	body []byte
}

// send does what Call and Do have in common.
func (c *Client) send(ctx context.Context, method, path string, args []string, query url.Values, body any, r *request, stream bool) (*sending, error) {
	if r.err != nil {
		return nil, r.err
	}
	plain, escaped, err := fillPath(path, args)
	if err != nil {
		return nil, err
	}
	p, err := newPayload(body, r)
	if err != nil {
		return nil, err
	}
	s := &sending{c: c, method: method, route: path, request: r, payload: p, stream: stream}
	s.call = &call{Admission: r.admission, path: escaped, attempt: c.attempt, prepare: r.prepare, own: c.ownHost}
	s.call.Template = path
	s.call.Reserve = max(s.call.Reserve, c.reserve)
	if r.attempt != 0 {
		s.call.attempt = max(r.attempt, 0)
	}
	s.url = &url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: plain, RawPath: escaped, RawQuery: mergeQuery(query, r.query)}
	s.header = s.headers()

	err = s.authorised(ctx)
	s.capture()
	return s, err
}

func mergeQuery(query, extra url.Values) string {
	if len(extra) == 0 {
		return query.Encode()
	}
	all := make(url.Values, len(query)+len(extra))
	maps.Copy(all, query)
	maps.Copy(all, extra)
	return all.Encode()
}

func (s *sending) headers() http.Header {
	h := make(http.Header, 6)
	h.Set("User-Agent", s.c.userAgent)
	h.Set("Accept", "application/json")
	if !s.payload.empty() && s.payload.contentType != "" {
		h.Set("Content-Type", s.payload.contentType)
	}
	for k, v := range s.request.header {
		h[k] = append([]string(nil), v...)
	}
	domain := s.request.customDomain
	if domain == "" && acceptsCustomDomain(s.method, s.route) {
		domain = s.c.customDomain
	}
	if domain != "" {
		h.Set("Auth0-Custom-Domain", domain)
	}
	return h
}

// acceptsCustomDomain names the operations that put links into mails or
// tickets.
func acceptsCustomDomain(method, route string) bool {
	switch method + " " + strings.TrimPrefix(route, "/api/v2") {
	case "POST /users", "PATCH /users/{id}",
		"POST /tickets/email-verification", "POST /tickets/password-change",
		"POST /jobs/verification-email",
		"POST /organizations/{id}/invitations",
		"POST /guardian/enrollments/ticket",
		"POST /self-service-profiles/{id}/sso-ticket",
		"POST /branding/phone/templates/{id}/try":
		return true
	}
	return false
}

// authorised sends the call with a token, and once more with a fresh one after
// a 401: the server has done nothing then, so any call may be repeated.
func (s *sending) authorised(ctx context.Context) error {
	token, own, err := s.token(ctx)
	if err != nil {
		return err
	}
	err = s.repeated(ctx, token)
	if !errors.Is(err, ErrUnauthorized) || !own || !s.c.tokens.drop(token) || !s.payload.replayable() {
		return err
	}
	fresh, tokenErr := s.c.tokens.Token(ctx)
	if tokenErr != nil {
		return tokenErr
	}
	if fresh.AccessToken == token {
		return err // the source has nothing new to offer
	}
	return s.repeated(ctx, fresh.AccessToken)
}

// token returns the token to send, "" for none. own is true when it is the
// client's, of which another may be had.
func (s *sending) token(ctx context.Context) (token string, own bool, err error) {
	switch r := s.request; {
	case r.bearer != "":
		return r.bearer, false, nil
	case r.bearerSource != nil:
		t, err := r.bearerSource.Token(ctx)
		if err == nil && t.AccessToken == "" {
			err = errEmptyToken
		}
		return t.AccessToken, false, err
	case s.c.tokens == nil || !strings.HasPrefix(s.route, "/api/v2/"):
		return "", false, nil
	}
	t, err := s.c.tokens.Token(ctx)
	return t.AccessToken, true, err
}

// repeated sends the request, repeats it where that is safe, and turns the
// outcome into an answer or an error.
func (s *sending) repeated(ctx context.Context, token string) error {
	s.resp, s.read, s.body = nil, false, nil
	s.retried, s.backoff = 0, nil
	if token != "" {
		s.header.Set("Authorization", "Bearer "+token)
	}
	req := (&http.Request{
		Method: s.method,
		URL:    s.url,
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: s.header.Clone(),
		Host:   s.url.Host,
	}).WithContext(context.WithValue(ctx, callKey{}, s.call))
	rr := &retryablehttp.Request{Request: req}
	switch p := s.payload; {
	case p.open != nil:
		if err := rr.SetBody(retryablehttp.ReaderFunc(func() (io.Reader, error) { return p.open(), nil })); err != nil {
			return err
		}
		req.ContentLength = p.size
		if p.size == 0 {
			req.Body, req.GetBody = http.NoBody, nil
		}
	case p.once != nil:
		body, ok := p.once.(io.ReadCloser)
		if !ok {
			body = io.NopCloser(p.once)
		}
		req.Body, req.ContentLength = body, -1
	}
	if !s.stream {
		rr.SetResponseHandler(s.readAnswer)
	}
	rc := retryablehttp.Client{
		HTTPClient: s.c.http,
		RetryMax:   s.c.retries,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			return s.again(ctx, resp, err), nil
		},
		Backoff:      func(time.Duration, time.Duration, int, *http.Response) time.Duration { return s.delay },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		// http.Client adds the cookies of a jar to the header that it is given.
		PrepareRetry: func(r *http.Request) error { r.Header = s.header.Clone(); return nil },
	}
	resp, err := rc.Do(rr)
	s.resp = resp
	if err == nil && s.failed(resp) && !s.read {
		err = s.readAnswer(resp)
	}
	if err != nil {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		e := s.newError()
		e.err = withoutURL(err)
		return e
	}
	if s.failed(resp) {
		e := s.newError()
		e.read(s.body, resp.Header.Get("Content-Type"))
		if e.Status < 400 {
			e.Message = first(e.Message, "the answer is a redirect")
		}
		return e
	}
	return nil
}

// failed reports whether an answer is a failure of the call: an error status,
// a rejection in any form, or, where a value is expected, a redirect.
func (s *sending) failed(resp *http.Response) bool {
	if resp.StatusCode >= 400 || resp.StatusCode >= 300 && !s.stream {
		return true
	}
	x := exchangeOf(resp)
	return x != nil && x.rejected
}

// readAnswer reads and closes the body of an answer: all of a success, the
// beginning of a failure.
func (s *sending) readAnswer(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	s.read = true
	var err error
	switch {
	case s.failed(resp):
		// What an error page ends in is worth no failure of its own.
		s.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	case s.method == http.MethodHead: // its Content-Length is that of the answer to GET
		s.body = nil
	case resp.ContentLength > 0 && resp.ContentLength < 1<<20:
		s.body = make([]byte, resp.ContentLength)
		var n int
		n, err = io.ReadFull(resp.Body, s.body)
		s.body = s.body[:n]
	default:
		s.body, err = io.ReadAll(resp.Body)
	}
	return err
}

// again decides whether an attempt is repeated, and after which delay.
// retryablehttp asks it after each attempt, and once more after the answer was
// read.
func (s *sending) again(ctx context.Context, resp *http.Response, err error) bool {
	if ctx.Err() != nil || s.retried >= s.c.retries || !s.payload.replayable() || s.request.repeat == repeatNever {
		return false
	}
	after := time.Duration(0)
	switch {
	case err != nil:
		if !s.mayRepeatAfter(ctx, err) {
			return false
		}
	case resp.StatusCode < 500 || resp.StatusCode == http.StatusNotImplemented || !s.safe():
		return false
	default:
		if x := exchangeOf(resp); x != nil && x.rejected {
			return false // the throttle has done what could be done
		}
		if resp.StatusCode == http.StatusServiceUnavailable {
			after = retryAfter(resp.Header, s.c.now())
		}
	}
	if s.backoff == nil {
		s.backoff = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(s.c.retryFirst),
			backoff.WithMaxInterval(s.c.retryMax),
			backoff.WithMaxElapsedTime(0))
	}
	if after > longestRetryAfter {
		return false
	}
	delay := max(s.backoff.NextBackOff(), after)
	if deadline, ok := ctx.Deadline(); ok && deadline.Sub(s.c.now()) <= delay {
		return false // the failure itself says more than a context that ended
	}
	s.delay = delay
	s.retried++
	return true
}

// safe reports whether repeating the call does no harm when the server has
// carried it out already.
func (s *sending) safe() bool {
	if s.request.repeat == repeatAlways {
		return true
	}
	switch s.method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}

func (s *sending) mayRepeatAfter(ctx context.Context, err error) bool {
	if s.call.refused.Load() {
		return false // kept back on purpose, after waiting was considered
	}
	// A request that never left may be repeated whatever it does.
	if !s.safe() && (!s.call.unsent.Load() || s.call.moved.Load()) {
		return false
	}
	retry, _ := retryablehttp.DefaultRetryPolicy(ctx, nil, err)
	return retry
}

// newError returns an Error with everything but the body read.
func (s *sending) newError() *Error {
	e := &Error{
		Method: s.method, Route: s.route,
		Limit: -1, Remaining: -1,
		Attempts: int(s.call.sent.Load()),
		notSent:  !s.call.reached.Load(),
	}
	if s.resp == nil {
		return e
	}
	info, _ := RateLimitFrom(s.resp)
	e.Status = s.resp.StatusCode
	e.RequestID = requestIDOf(s.resp.Header)
	e.Limit, e.Remaining, e.Reset, e.RetryAfter = info.Limit, info.Remaining, info.Reset, info.RetryAfter
	e.Bucket, e.NextIn, e.rejected = info.Bucket, info.NextIn, info.Rejected
	return e
}

// unexpected returns the error of an answer that could not be decoded, nil for
// one that could.
func (s *sending) unexpected(err error) error {
	if err == nil {
		return nil
	}
	e := s.newError()
	e.body = s.body[:min(len(s.body), maxErrorBody)]
	e.Code, e.err = "invalid_answer", fmt.Errorf("the answer is not the JSON that was expected: %w", err)
	return e
}

// capture fills what the caller captures.
func (s *sending) capture() {
	for _, m := range s.request.meta {
		*m = Meta{Attempts: int(s.call.sent.Load()), Body: s.body}
		if s.resp == nil {
			m.RateLimit = RateLimit{Limit: -1, Remaining: -1}
			continue
		}
		m.Status, m.Header = s.resp.StatusCode, s.resp.Header
		m.RateLimit, _ = RateLimitFrom(s.resp)
	}
}

// report passes on a field that did not fit its type.
func (s *sending) report(m Mismatch) {
	for _, meta := range s.request.meta {
		meta.Mismatches = append(meta.Mismatches, m)
	}
	if s.c.logger != nil {
		s.c.logger.LogAttrs(context.Background(), slog.LevelDebug, "auth0: a field has an unexpected type",
			slog.String("method", s.method), slog.String("route", s.route),
			slog.String("got", m.Got), slog.String("want", m.Want))
	}
}
