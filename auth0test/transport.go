package auth0test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// bodyMax bounds the body of any request; more is refused unread with 413.
const bodyMax = 16 << 20

// RoundTrip answers a request in memory, so that a Tenant can stand as the
// Transport of any [http.Client]. Every host is taken for the tenant's.
//
// It waits as Faults say, by Options.Sleep, and returns early with the
// context's error when the request's context ends. A request whose context ends
// on its way up never arrives; on its way down it has been acted on. Lost
// connections are *[net.OpError]s that wrap ECONNRESET, refused ones ECONNREFUSED.
// Hooks of [httptrace.ClientTrace] are called for the connection that is asked
// for, for what was written and for the first byte of the answer. The request is
// not changed, and its body is closed before RoundTrip returns.
func (t *Tenant) RoundTrip(r *http.Request) (*http.Response, error) {
	defer closeBody(r)
	if r.URL == nil {
		return nil, errors.New("auth0test: the request has no URL")
	}
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.URL.Path == ReportPath {
		return t.response(r, t.report(r.Method)), nil
	}
	body, err := readBody(r.Body)
	if err != nil {
		return nil, err
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(hostPort(r.URL))
	}
	f, err := t.depart(r, body)
	if err != nil {
		return nil, err
	}
	if f.refuse {
		t.count(func(s *stats) { s.refused++ })
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	if trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	a, err := t.travel(ctx, r, body, f)
	if err != nil {
		return nil, err
	}
	if trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	return t.response(r, a), nil
}

// hostPort returns the address that a connection for a URL leads to.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "http" {
		port = "80"
	} else if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// closeBody closes a request's body. What closing one fails at is no matter of
// the request's.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// readBody reads a request's body, up to one byte more than is allowed.
func readBody(body io.Reader) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(body, bodyMax+1))
	if err != nil {
		return nil, fmt.Errorf("auth0test: reading the request's body: %w", err)
	}
	return b, nil
}

// clockBack is how far the clock may fall behind the time of New. The time of
// testing/synctest begins decades ago, and would stand still for a tenant that
// was made outside.
const clockBack = 365 * 24 * time.Hour

// depart decides what becomes of a request.
func (t *Tenant) depart(r *http.Request, body []byte) (fate, error) {
	if back := t.started.Sub(t.o.Clock()); back > clockBack {
		return fate{}, fmt.Errorf("auth0test: the clock is %d days behind the time at which the tenant was made; make the tenant inside the bubble of testing/synctest that uses it", back/(24*time.Hour))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.fate(r, body)
	if stalled := t.stall(&t.faults, t.tick()+f.up); stalled > 0 {
		f.up += stalled
	}
	return f, nil
}

func (t *Tenant) count(change func(*stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.stats)
}

// errLost is a connection that broke.
func errLost() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// travel carries a request up, has it handled, and carries the answer down.
func (t *Tenant) travel(ctx context.Context, r *http.Request, body []byte, f fate) (answer, error) {
	if err := t.o.Sleep(ctx, f.up); err != nil {
		return answer{}, err
	}
	if f.loseRequest {
		t.count(func(s *stats) { s.lostRequests++ })
		return answer{}, errLost()
	}
	a, event := t.arrive(r, body, f)
	if t.o.Observe != nil {
		t.o.Observe(event)
	}
	if err := t.o.Sleep(ctx, f.down); err != nil {
		return answer{}, err
	}
	if f.loseAnswer {
		return answer{}, errLost()
	}
	return a, nil
}

// arrive has a request handled.
func (t *Tenant) arrive(r *http.Request, body []byte, f fate) (answer, Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := newCall(r, body, t.tick())
	if len(body) > bodyMax {
		a := failure(http.StatusRequestEntityTooLarge, "", "Request Entity Too Large")
		t.stats.note(c.now, a, f)
		return a, Event{Time: wall(c.now), Method: c.method, Path: c.path, Status: a.status, Lost: f.loseAnswer}
	}
	return t.handle(c, f)
}

// response dresses an answer as a response.
func (t *Tenant) response(r *http.Request, a answer) *http.Response {
	a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	if a.status == http.StatusNoContent {
		a.header.Del("Content-Length")
	}
	body := a.body
	if r.Method == http.MethodHead {
		body = nil
	}
	t.unclosed.Add(1)
	return &http.Response{
		Status:     strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode: a.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.header,
		Body:          &responseBody{Reader: bytes.NewReader(body), tenant: t},
		ContentLength: int64(len(a.body)),
		Request:       r,
	}
}

// responseBody counts itself as closed once.
type responseBody struct {
	*bytes.Reader
	tenant *Tenant
	once   sync.Once
}

// Close counts the body as closed and gives no more of it.
func (b *responseBody) Close() error {
	b.once.Do(func() { b.tenant.unclosed.Add(-1) })
	b.Reset(nil)
	return nil
}

// Client returns an http.Client that speaks to the tenant in memory.
func (t *Tenant) Client() *http.Client { return &http.Client{Transport: t} }
