package speed

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
)

// trips measures an http.Client over a transport that answers at once, without
// and with auth0.Transport between them.
func trips() []Case {
	get, post := "GET over a stub, http.Client", "POST of JSON over a stub, http.Client"
	return []Case{
		{What: get, Who: HTTP, Bench: func(b *testing.B) { trip(b, plain(), getUser) }},
		{What: get, Who: Ours, Over: HTTP, Budget: 3 * time.Microsecond, Bench: func(b *testing.B) { trip(b, paced(b), getUser) }},
		{What: post, Who: HTTP, Bench: func(b *testing.B) { trip(b, plain(), postUser) }},
		{What: post, Who: Ours, Over: HTTP, Budget: 3 * time.Microsecond, Bench: func(b *testing.B) { trip(b, paced(b), postUser) }},
	}
}

// A requester makes the request that is sent.
type requester func() (*http.Request, error)

// stub answers every request from a bucket that is full again.
type stub struct{ header http.Header }

func newStub() stub { return stub{http.Header(answered(ceiling).Header)} }

func (s stub) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: s.header, Body: http.NoBody, Request: r,
	}, nil
}

func plain() *http.Client { return &http.Client{Transport: newStub()} }

func paced(tb testing.TB) *http.Client {
	tb.Helper()
	return &http.Client{Transport: &auth0.Transport{Base: newStub(), Limiter: limiter(tb, ceiling, ceiling)}}
}

func getUser() (*http.Request, error) {
	return http.NewRequest(http.MethodGet, "https://bench.eu.auth0.com/api/v2/three/4", nil) //nolint:noctx // measured without a context of its own, as most callers send it
}

func postUser() (*http.Request, error) {
	body := strings.NewReader(`{"connection":"Username-Password-Authentication","email":"ada@example.com"}`)
	r, err := http.NewRequest(http.MethodPost, "https://bench.eu.auth0.com/api/v2/one", body) //nolint:noctx // as above
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}

func trip(b *testing.B, c *http.Client, request requester) {
	b.ReportAllocs()
	for b.Loop() {
		if err := send(c, request); err != nil {
			b.Fatal(err)
		}
	}
}

func send(c *http.Client, request requester) error {
	r, err := request()
	if err != nil {
		return err
	}
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	if _, err = io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if err = resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}
