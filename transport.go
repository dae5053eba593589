package auth0

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// DefaultMaxRejections is how many rejections of one request Transport answers
// by waiting and sending it again, unless told otherwise.
const DefaultMaxRejections = 10

// Bounds on what Transport reads of a body in order to understand it. The body
// reaches the server, or the caller, complete in any case.
const (
	peekRejection  = 8 << 10   // of an answer that may be a rejection
	peekJob        = 64 << 10  // of an answer that starts or describes a job
	peekRequest    = 64 << 10  // of a request whose limit depends on its body
	drainRejection = 256 << 10 // of a rejection, so that its connection is used again
)

// ErrAttemptTimeout is the error of an attempt that took longer than its
// timeout. The context of the call may have time left.
var ErrAttemptTimeout error = attemptTimeoutError{}

// attemptTimeoutError is a net.Error, so that programs which ask for timeouts
// find it.
type attemptTimeoutError struct{}

func (attemptTimeoutError) Error() string { return "auth0: the attempt took longer than its timeout" }

// Timeout returns true.
func (attemptTimeoutError) Timeout() bool { return true }

// Temporary returns true.
func (attemptTimeoutError) Temporary() bool { return true }

// Transport is an http.RoundTripper that sends a request only when every rate
// limit that the server will charge has room for it. It serves any HTTP client
// and needs nothing else of this module:
//
//	client := &http.Client{Transport: &auth0.Transport{}}
//
// A request that is rejected nevertheless, in whichever form, waits for its
// turn and is sent again, if its body can be: it has none, it has a GetBody, or
// it was small enough to be kept while it was sent. Other rejections are handed
// back as they came; RateLimitFrom tells what is known of them. Answers that
// look like rejections but are not of a rate limit (too_many_attempts of
// attack protection, slow_down while polling) are never sent again, nor is a 429
// that cannot be told from them because the caller asked for an encoding other
// than gzip.
//
// The zero value is ready to use. A Transport is safe for concurrent use; its
// fields must not be changed after its first use.
type Transport struct {
	// Base sends the requests. Nil is http.DefaultTransport.
	Base http.RoundTripper
	// Limiter paces the requests. Nil gives each host a limiter of its own,
	// created at the host's first request and kept as long as the Transport. Set
	// one of your own to read its Snapshot, or to give it hooks or a reserve.
	Limiter *ratelimit.Limiter
	// Host, when not empty, is the one host, as in URLs, whose requests are
	// paced; others pass as they are.
	Host string
	// Plan is the plan of limiters that the Transport creates. Nil recognises
	// the plan from the answers.
	Plan *ratelimit.Plan
	// MaxRejections is how many rejections of one request are answered by
	// sending it again. 0 is DefaultMaxRejections, a negative number none.
	MaxRejections int
	// MaxWait is the longest wait for which a rejected request is sent again; a
	// rejection that asks for more, such as a quota of the day, is handed back.
	// 0 leaves it to the request's context.
	MaxWait time.Duration
	// Logger is told of every request at debug level. Nil logs nothing.
	Logger *slog.Logger

	// limiters are those of the hosts, where Limiter is nil. It is no sync.Map,
	// whose code the compiler would make anew in every package that uses a client.
	limiters struct {
		sync.RWMutex
		of map[string]*hostLimiter
	}
}

type hostLimiter struct {
	once sync.Once
	l    *ratelimit.Limiter
	err  error
}

// NewTransport returns a Transport that sends through base (nil is
// http.DefaultTransport) and is paced by limiter (nil gives each host one of its
// own).
func NewTransport(base http.RoundTripper, limiter *ratelimit.Limiter) *Transport {
	return &Transport{Base: base, Limiter: limiter}
}

// CloseIdleConnections closes the idle connections of the base transport.
func (t *Transport) CloseIdleConnections() {
	if b, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		b.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

// limiter returns the limiter for a host, nil when the host is not paced.
func (t *Transport) limiter(host string) (*ratelimit.Limiter, error) {
	if t.Host != "" && !strings.EqualFold(t.Host, host) {
		return nil, nil
	}
	if t.Limiter != nil {
		return t.Limiter, nil
	}
	t.limiters.RLock()
	h := t.limiters.of[host]
	t.limiters.RUnlock()
	if h == nil {
		host = strings.Clone(strings.ToLower(host))
		t.limiters.Lock()
		if h = t.limiters.of[host]; h == nil {
			if t.limiters.of == nil {
				t.limiters.of = map[string]*hostLimiter{}
			}
			h = &hostLimiter{}
			t.limiters.of[host] = h
		}
		t.limiters.Unlock()
	}
	h.once.Do(func() { h.l, h.err = ratelimit.New(ratelimit.Options{Plan: t.Plan}) })
	return h.l, h.err
}

// callKey is where a context carries a *call.
type callKey struct{}

// call is what a typed client tells the Transport of a request, and learns from
// it.
type call struct {
	Admission
	path    string                      // the escaped path that Template belongs to, "" for any
	attempt time.Duration               // bound on each attempt, 0 for none
	prepare []func(*http.Request) error // see Prepare
	own     func(*url.URL) bool         // the only URLs whose requests are prepared
	sent    atomic.Int32                // times the request was sent
	reached atomic.Bool                 // an attempt may have been carried out
	unsent  atomic.Bool                 // the last attempt failed before its first byte was written
	moved   atomic.Bool                 // an attempt was redirected: what is unsent may be only what came after
	refused atomic.Bool                 // the limiter or a function of Prepare kept the request back
}

// exchangeKey is where the context of a sent request carries its *exchange.
type exchangeKey struct{}

// exchange is the state of one round trip. It is also where RateLimitFrom
// finds, through the request of a response, what the throttle knows of it.
type exchange struct {
	req     *http.Request
	call    *call
	limiter *ratelimit.Limiter
	admit   ratelimit.Request
	matched string // the template that the limiter found

	trace httptrace.ClientTrace
	// traced is set when the base reports its progress, wrote when it may have
	// written the first byte.
	traced, wrote atomic.Bool

	body     *replayBody // the request's own body, nil when there is none or GetBody makes copies
	fields   map[string]string
	parsed   bool
	claims   map[string]any
	unsigned bool // claims were looked for

	feedback   ratelimit.Feedback
	rejected   bool
	busy       bool
	rejections int
	waited     time.Duration
}

// RoundTrip sends req when its limits have room. Its errors are those of the
// base, of the context, and of the limiter: *ratelimit.WaitError when the
// request cannot be admitted before its deadline, ratelimit.ErrQueueFull.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	limiter, err := t.limiter(req.URL.Host)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	ctx := req.Context()
	c, _ := ctx.Value(callKey{}).(*call)
	if limiter == nil {
		out, err := c.prepared(req)
		if err != nil {
			closeBody(req)
			return nil, err
		}
		if c != nil {
			c.sent.Add(1)
			c.unsent.Store(false)
			c.reached.Store(true)
		}
		return t.base().RoundTrip(out)
	}
	x := &exchange{req: req, call: c, limiter: limiter}
	x.admit = ratelimit.Request{
		Method:   req.Method,
		Path:     req.URL.EscapedPath(),
		RawQuery: req.URL.RawQuery,
		Details:  x,
	}
	if x.admit.Method == "" {
		x.admit.Method = http.MethodGet
	}
	if c != nil {
		if c.path == "" || c.path == x.admit.Path {
			x.admit.Template = c.Template
		}
		x.admit.Priority, x.admit.Flow, x.admit.Reserve = c.Priority, c.Flow, c.Reserve
	}
	if hasBody(req) && req.GetBody == nil {
		x.body = &replayBody{src: req.Body}
		if mayRouteByBody(x.admit.Path, req.Header) {
			x.peekRequest() // now, and not while the limiter looks at the request
		}
	}
	x.trace.GetConn = func(string) { x.traced.Store(true) }
	x.trace.WroteHeaders = func() { x.wrote.Store(true) }
	ctx = httptrace.WithClientTrace(context.WithValue(ctx, exchangeKey{}, x), &x.trace)

	for {
		resp, again, err := t.attempt(ctx, x)
		if !again {
			return resp, err
		}
		x.rejections++
		x.admit.Requeue = true
	}
}

// attempt admits and sends the request once. again is true when the answer was
// a rejection and the request should be sent once more.
func (t *Transport) attempt(ctx context.Context, x *exchange) (resp *http.Response, again bool, err error) {
	ticket, err := x.limiter.Acquire(x.req.Context(), &x.admit)
	if err != nil {
		// Closed whether or not it was sent before: the base closes only what it
		// was given.
		closeBody(x.req)
		if x.call != nil {
			x.call.refused.Store(true)
		}
		t.log(x, "auth0: not admitted", 0, err)
		return nil, false, err
	}
	x.matched = ticket.Route()
	x.waited += ticket.Wait()
	x.rejected, x.busy = false, false
	x.wrote.Store(false)

	var cancel context.CancelFunc
	if x.call != nil && x.call.attempt > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, x.call.attempt, ErrAttemptTimeout)
	}
	out, err := x.outgoing(ctx)
	if err != nil {
		ticket.Done(ratelimit.Outcome{})
		if cancel != nil {
			cancel()
		}
		return nil, false, err
	}
	if x.call != nil {
		x.call.sent.Add(1)
		x.call.unsent.Store(false)
	}
	resp, err = t.base().RoundTrip(out)
	if resp == nil && err == nil {
		err = errors.New("auth0: the base transport returned neither an answer nor an error")
	}
	if err != nil {
		// Without reports from the base there is no telling: the tokens stay
		// spent then, which errs on the safe side.
		unsent := x.traced.Load() && !x.wrote.Load()
		x.feedback = ticket.Done(ratelimit.Outcome{Sent: !unsent})
		if x.call != nil {
			x.call.unsent.Store(unsent)
			if !unsent {
				x.call.reached.Store(true)
			}
		}
		err = attemptError(x.req.Context(), ctx, err)
		if cancel != nil {
			cancel()
		}
		t.log(x, "auth0: failed", 0, err)
		return nil, false, err
	}
	if resp.Request == nil {
		resp.Request = out
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if cancel != nil {
		parent := x.req.Context()
		resp.Body = &attemptBody{
			ReadCloser: resp.Body, cancel: cancel,
			name: func(err error) error { return attemptError(parent, ctx, err) },
		}
	}

	outcome := ratelimit.Outcome{Sent: true, Answered: true, Status: resp.StatusCode, Header: resp.Header}
	var verdict verdict
	if mayReject(resp, x.admit.Path) {
		verdict = judge(resp)
		outcome.Rejected, outcome.Busy = verdict.rejected, verdict.busy
	} else {
		x.watchJob(resp, &outcome)
	}
	x.rejected, x.busy = outcome.Rejected, outcome.Busy
	if x.call != nil && !x.rejected {
		x.call.reached.Store(true)
	}
	x.feedback = ticket.Done(outcome)
	if !outcome.Rejected {
		t.log(x, "auth0: sent", resp.StatusCode, nil)
		return resp, false, nil
	}
	t.log(x, "auth0: rejected by a rate limit", resp.StatusCode, nil)
	if verdict.sealed || !t.shouldRequeue(x) {
		return resp, false, nil
	}
	_, _ = io.CopyN(io.Discard, resp.Body, drainRejection)
	_ = resp.Body.Close()
	return nil, true, nil
}

// shouldRequeue reports whether a rejected request is to be sent again.
func (t *Transport) shouldRequeue(x *exchange) bool {
	most := t.MaxRejections
	if most == 0 {
		most = DefaultMaxRejections
	}
	if x.rejections >= most || x.body != nil && !x.body.complete() {
		return false
	}
	ctx := x.req.Context()
	if ctx.Err() != nil {
		return true // Acquire says so at once, with the error that callers expect
	}
	if t.MaxWait > 0 && x.feedback.Wait > t.MaxWait {
		return false
	}
	// The rejection itself says more than the error of a wait that is known to
	// be in vain.
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > x.feedback.Wait
}

// outgoing returns the request to send: the caller's is never touched.
func (x *exchange) outgoing(ctx context.Context) (*http.Request, error) {
	out := x.req.WithContext(ctx)
	switch {
	case x.body != nil:
		out.Body = x.body.next()
	case x.rejections > 0 && x.req.GetBody != nil && hasBody(x.req):
		body, err := x.req.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	prepared, err := x.call.prepared(out)
	if err != nil {
		closeBody(out)
	}
	return prepared, err
}

// prepared returns req as the functions of Prepare leave it, with a header of
// its own; req itself where there are none.
func (c *call) prepared(req *http.Request) (*http.Request, error) {
	if c == nil || len(c.prepare) == 0 || !c.own(req.URL) {
		return req, nil
	}
	out := *req
	out.Header = req.Header.Clone()
	for _, f := range c.prepare {
		if err := f(&out); err != nil {
			c.refused.Store(true)
			return nil, err
		}
	}
	return &out, nil
}

func (t *Transport) log(x *exchange, msg string, status int, err error) {
	if t.Logger == nil {
		return
	}
	ctx := x.req.Context()
	if !t.Logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("method", x.admit.Method), slog.String("route", x.route()))
	if status != 0 {
		attrs = append(attrs, slog.Int("status", status))
	}
	attrs = append(attrs, slog.Duration("waited", x.waited))
	if x.feedback.Bucket != "" {
		attrs = append(attrs, slog.String("bucket", x.feedback.Bucket), slog.Int64("remaining", x.feedback.Remaining))
	}
	if x.rejected {
		attrs = append(attrs, slog.Int("rejections", x.rejections+1), slog.Duration("wait", x.feedback.Wait))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", redact(err.Error())))
	}
	t.Logger.LogAttrs(ctx, slog.LevelDebug, msg, attrs...)
}

// route names the request in logs. A path that no template describes may hold
// personal data and is left out.
func (x *exchange) route() string {
	return first(x.admit.Template, x.matched, "unknown")
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// attemptError names the attempt's own timeout as the cause where it was.
func attemptError(parent, ctx context.Context, err error) error {
	if parent.Err() == nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrAttemptTimeout) {
		return ErrAttemptTimeout
	}
	return err
}

// attemptBody ends the timeout of an attempt with its answer.
type attemptBody struct {
	io.ReadCloser
	cancel context.CancelFunc
	name   func(error) error // names the timeout where it is what an error comes of
}

func (b *attemptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.name(err)
	}
	return n, err
}

// Close closes the body and ends the timeout.
func (b *attemptBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// replayBody keeps what is read of a request's body, up to a bound, so that a
// body without GetBody can be sent again. It never reads ahead: the body
// streams to the server as it would without it.
type replayBody struct {
	src io.ReadCloser

	mu     sync.Mutex
	kept   []byte
	over   bool  // more was read than is kept
	err    error // what ended the source: io.EOF when all was read
	used   bool  // the source was handed out
	closed bool
}

// next returns the body for one more attempt: the source, or the copy of it.
func (b *replayBody) next() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used {
		return io.NopCloser(bytes.NewReader(b.kept))
	}
	b.used = true
	if len(b.kept) == 0 && b.err == nil {
		return &replayReader{b: b}
	}
	return &replayReader{b: b, head: b.kept}
}

// complete reports whether the body can be sent again.
func (b *replayBody) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Is(b.err, io.EOF) && !b.over
}

// peek reads the body up to the bound before it is sent.
func (b *replayBody) peek() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.used && b.err == nil && len(b.kept) < peekRequest {
		var chunk [4096]byte
		n, err := b.src.Read(chunk[:min(len(chunk), peekRequest-len(b.kept))])
		b.kept = append(b.kept, chunk[:n]...)
		b.err = err
	}
	return b.kept
}

// replayReader reads the source once, keeping what it reads.
type replayReader struct {
	b    *replayBody
	head []byte // read before the request was sent
}

func (r *replayReader) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	b := r.b
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := b.src.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.kept)+n > peekRequest {
		b.over, b.kept = true, nil
	}
	if !b.over {
		b.kept = append(b.kept, p[:n]...)
	}
	if err != nil {
		b.err = err
	}
	return n, err
}

// Close closes the source once.
func (r *replayReader) Close() error {
	r.b.mu.Lock()
	again := r.b.closed
	r.b.closed = true
	r.b.mu.Unlock()
	if again {
		return nil
	}
	return r.b.src.Close()
}

// BodyField returns a field of a form or JSON body for routes whose limit
// depends on one. The limiter calls it while it routes the request.
func (x *exchange) BodyField(name string) string {
	if !x.parsed {
		x.parsed = true
		x.fields = x.parseBody()
	}
	return x.fields[name]
}

// peekRequest reads the beginning of the body. One that stalls is closed when the
// context ends, as the base would do.
func (x *exchange) peekRequest() []byte {
	stop := context.AfterFunc(x.req.Context(), func() { closeBody(x.req) })
	defer stop()
	return x.body.peek()
}

func (x *exchange) parseBody() map[string]string {
	if !hasBody(x.req) {
		return nil
	}
	form, readable := bodyFormat(x.req.Header)
	if !readable {
		return nil
	}
	var data []byte
	if x.body != nil {
		data = x.peekRequest()
	} else if copied, err := x.req.GetBody(); err == nil {
		data, _ = io.ReadAll(io.LimitReader(copied, peekRequest))
		_ = copied.Close()
	}
	fields := map[string]string{}
	if form {
		values, _ := url.ParseQuery(string(data))
		for k := range values {
			fields[k] = values.Get(k)
		}
		return fields
	}
	members, err := splitObject(data)
	if err != nil {
		return nil
	}
	for _, m := range members {
		var s string
		if json.Unmarshal(m.value, &s) == nil {
			fields[m.name] = s
		}
	}
	return fields
}

// bodyFormat reports whether a body is a form or JSON, the two kinds that are
// looked into.
func bodyFormat(h http.Header) (form, readable bool) {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	form = mediaType == "application/x-www-form-urlencoded"
	return form, form || mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// mayRouteByBody reports whether the limits of a path may depend on its body
// under any published plan; those of the Management API never do. A plan of
// one's own may ask for fields anywhere: BodyField reads the body then, when the
// limiter routes the request and before it takes its lock. Here it is read
// earlier, since a limiter that recognises its plan routes what waits anew.
func mayRouteByBody(path string, h http.Header) bool {
	if strings.HasPrefix(path, "/api/v2/") {
		return false
	}
	_, readable := bodyFormat(h)
	return readable
}

// TokenClaim returns a claim of the request's bearer token, for limits that
// are kept by subject or scope. The signature is not checked: the server does.
func (x *exchange) TokenClaim(name string) string {
	if !x.unsigned {
		x.unsigned = true
		x.claims = bearerClaims(x.req.Header.Get("Authorization"))
	}
	s, _ := x.claims[name].(string)
	return s
}

// ClientIP returns the address that a server acting for an end user says it
// acts for.
func (x *exchange) ClientIP() string {
	return x.req.Header.Get("Auth0-Forwarded-For")
}

func bearerClaims(authorization string) map[string]any {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") {
		return nil
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return nil
	}
	if claims := jwtClaims(token); claims != nil {
		return claims
	}
	return map[string]any{"sub": token}
}

// jwtClaims returns nil for what is not a JWT.
func jwtClaims(token string) map[string]any {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, ok := strings.Cut(rest, ".")
	if !ok {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return nil
	}
	var claims map[string]any
	if json.Unmarshal(data, &claims) != nil {
		return nil
	}
	return claims
}

// peekBody reads up to limit bytes of an answer and puts them back in front of
// the rest. all is true when the body ended within them.
func peekBody(resp *http.Response, limit int) (head []byte, all bool) {
	if resp.Body == nil || resp.Body == http.NoBody {
		return nil, true
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)))
	if err == nil && len(head) < limit {
		all = true
	}
	resp.Body = &peekedBody{head: head, err: err, rest: resp.Body}
	return head, all
}

// peekedBody is a body whose beginning was read already.
type peekedBody struct {
	head []byte
	err  error // what reading the beginning ended with
	rest io.ReadCloser
}

func (b *peekedBody) Read(p []byte) (int, error) {
	if len(b.head) > 0 {
		n := copy(p, b.head)
		b.head = b.head[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.rest.Read(p)
}

// Close closes the rest.
func (b *peekedBody) Close() error { return b.rest.Close() }

// Paths of import jobs, in the Management API.
const (
	jobsPath    = "/api/v2/jobs/"
	importsPath = "/api/v2/jobs/users-imports"
)

// watchJob follows jobs that hold one of the tenant's few slots: the answer
// that starts one names it, the answers to questions about it tell its end.
func (x *exchange) watchJob(resp *http.Response, outcome *ratelimit.Outcome) {
	path := x.admit.Path
	if !strings.HasPrefix(path, jobsPath) || resp.StatusCode/100 != 2 {
		return
	}
	switch {
	case x.admit.Method == http.MethodPost && path == importsPath:
		// The slot is taken now, so this small answer is read at once.
		if head, all := peekBody(resp, peekJob); all {
			head, _ = unpacked(resp.Header, head)
			outcome.Job = jobOf(head).ID
		}
	case x.admit.Method == http.MethodGet && !strings.Contains(path[len(jobsPath):], "/"):
		resp.Body = &jobBody{ReadCloser: resp.Body, header: resp.Header, limiter: x.limiter}
	}
}

type jobState struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func jobOf(body []byte) jobState {
	var j jobState
	_ = json.Unmarshal(body, &j)
	return j
}

// jobBody reads along while the caller reads the state of a job, and frees the
// job's slot when the job has ended.
type jobBody struct {
	io.ReadCloser
	header  http.Header
	limiter *ratelimit.Limiter
	seen    []byte
	told    bool
}

func (b *jobBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if len(b.seen)+n <= peekJob {
		b.seen = append(b.seen, p[:n]...)
	}
	if errors.Is(err, io.EOF) {
		b.tell()
	}
	return n, err
}

// Close looks at what was read, for callers that stop before the end.
func (b *jobBody) Close() error {
	b.tell()
	return b.ReadCloser.Close()
}

func (b *jobBody) tell() {
	if b.told {
		return
	}
	seen, _ := unpacked(b.header, b.seen)
	j := jobOf(seen)
	if j.ID == "" || j.Status != "completed" && j.Status != "failed" {
		return
	}
	b.told = true
	b.limiter.JobDone(j.ID)
}
