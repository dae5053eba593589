package authentication_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/authentication"
	"github.com/headroom-go/auth0/ratelimit"
)

// policyRow is a row of the published policy of the API-wide limit: an endpoint
// and the form in which it rejects.
type policyRow struct {
	method, path string
	kind, code   string // json, text, error_page or xml, with the code of json and xml
	status       int
}

func policyRows(t *testing.T) []policyRow {
	t.Helper()
	data, err := os.ReadFile("../auth0test/testdata/rejections.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var rows []policyRow
	for line := range strings.Lines(string(data)) {
		c := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || len(c) != 4 {
			continue
		}
		r := policyRow{method: c[0], path: c[1]}
		r.kind, r.code, _ = strings.Cut(c[2], ":")
		if r.status, err = strconv.Atoi(c[3]); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if len(rows) != 150 {
		t.Fatalf("%d rows, the policy has 150", len(rows))
	}
	return rows
}

// apiWide is the API-wide bucket of the published plan, alone, so that nothing
// else rejects: 300 at once, and one more each 200 ms.
func apiWide(t *testing.T) *ratelimit.Plan {
	t.Helper()
	free, err := ratelimit.Named("free")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range free.Buckets {
		if b.Name == "Authentication API" {
			if b.Burst != 300 || b.Rate != (ratelimit.Rate{Count: 300, Per: time.Minute}) {
				t.Fatalf("the bucket is %+v", b)
			}
			return &ratelimit.Plan{Name: "API-wide", Buckets: []ratelimit.Bucket{b}}
		}
	}
	t.Fatal("the plan has no API-wide bucket")
	return nil
}

// A client that does not know how a bucket refills holds half of it back, which
// takes half a minute to come.
const (
	nextToken = time.Minute / 300
	halfFull  = 150 * nextToken
)

// sender makes the request of a row.
type sender struct {
	name string
	send func(context.Context, *authentication.API, *auth0.Client, ...auth0.RequestOption) error
}

var braces = regexp.MustCompile(`\{[^}]*\}`)

// senders are all methods that send what the row is about. Pages of the login
// and endpoints without a method are asked for through the client alone.
func senders(listed []call, row policyRow) []sender {
	var all []sender
	invoke := invocations()
	for i, c := range listed {
		if c.Browser || c.Method != row.method || braces.ReplaceAllString(c.Path, "{}") != braces.ReplaceAllString(row.path, "{}") {
			continue
		}
		all = append(all, sender{c.Go, func(ctx context.Context, a *authentication.API, _ *auth0.Client, opts ...auth0.RequestOption) error {
			_, err := invoke[i](ctx, a, opts...)
			return err
		}})
	}
	if all != nil {
		return all
	}
	return []sender{{"client", func(ctx context.Context, _ *authentication.API, c *auth0.Client, opts ...auth0.RequestOption) error {
		var body any
		if row.method == http.MethodPost {
			body = url.Values{"state": {"s"}}
		}
		args := make([]string, strings.Count(row.path, "{"))
		for i := range args {
			args[i] = "some|value"
		}
		_, err := auth0.Call[auth0.NoContent](ctx, c, row.method, row.path, args, nil, body, opts)
		return err
	}}}
}

// drained is a tenant whose API-wide bucket is empty, and a client that does not
// know that.
type drained struct {
	tenant *auth0test.Tenant
	client *auth0.Client
	api    *authentication.API
	mu     sync.Mutex
	events []auth0test.Event
}

func newDrained(t *testing.T, opts ...auth0.Option) *drained {
	t.Helper()
	d := &drained{}
	d.tenant = auth0test.MustNew(auth0test.Options{Plan: apiWide(t), Empty: 1, Observe: func(e auth0test.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.events = append(d.events, e)
	}})
	var err error
	d.client, err = auth0.New(d.tenant.Domain(), append([]auth0.Option{
		auth0.WithOwnPlan(apiWide(t)), auth0.WithHTTPClient(&http.Client{Transport: d.tenant}), auth0.WithRetries(0),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	d.api = authentication.New(d.client, authentication.ClientSecretPost(clientID, clientSecret))
	return d
}

// Each of the 150 endpoints rejects in the form that is published for it. Where
// the throttle is not to repeat, each method that sends there reports a rate
// limit, which bucket it was, and when to come again.
func TestPolicyRejectionsAreReported(t *testing.T) {
	t.Parallel()
	listed := calls(t)
	for _, row := range policyRows(t) {
		for _, s := range senders(listed, row) {
			t.Run(row.method+" "+row.path+" "+s.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := newDrained(t, auth0.WithMaxRejections(0))
					var meta auth0.Meta
					err := s.send(t.Context(), d.api, d.client, auth0.Capture(&meta))
					if len(d.events) != 1 || !d.events[0].Rejected || d.events[0].Status != row.status || d.events[0].Bucket != "Authentication API" {
						t.Fatalf("the tenant answered %+v", d.events)
					}
					checkForm(t, row, meta)
					refused, ok := errors.AsType[*auth0.Error](err)
					if !ok || !errors.Is(err, auth0.ErrRateLimited) || !errors.Is(err, auth0.ErrNotSent) || errors.Is(err, auth0.ErrServer) {
						t.Fatalf("error %#v, want a rate limit", err)
					}
					if refused.Status != row.status || refused.Limit != 300 || refused.Remaining != 0 {
						t.Errorf("status %d, limit %d, remaining %d", refused.Status, refused.Limit, refused.Remaining)
					}
					if code := authentication.CodeOf(err); string(code) != row.code {
						t.Errorf("code %q, want %q", code, row.code)
					}
					if _, typed := errors.AsType[*authentication.Error](err); typed == (s.name == "client") {
						t.Errorf("error %T from %s", err, s.name)
					}
					l := meta.RateLimit
					if !l.Rejected || l.Kind != ratelimit.RejectBucket || l.Bucket != "Authentication API" {
						t.Errorf("the client was told %+v", l)
					}
					if refused.Bucket != l.Bucket || refused.NextIn != l.NextIn {
						t.Errorf("the error tells of %q and %v, the answer of %q and %v", refused.Bucket, refused.NextIn, l.Bucket, l.NextIn)
					}
					// What the client says is when the next one goes.
					start := time.Now()
					if err := s.send(t.Context(), d.api, d.client); errors.Is(err, auth0.ErrRateLimited) {
						t.Fatalf("the next one: %v", err)
					}
					took := d.events[1].Time.Sub(start)
					if l.NextIn != took || took < nextToken || took > halfFull {
						t.Errorf("the next one went after %v, where %v was said; want %v to %v", took, l.NextIn, nextToken, halfFull)
					}
				})
			})
		}
	}
}

// checkForm holds an answer to the published form of its row.
func checkForm(t *testing.T, row policyRow, meta auth0.Meta) {
	t.Helper()
	body, mediaType := string(meta.Body), meta.Header.Get("Content-Type")
	switch row.kind {
	case "json":
		var doc struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal(meta.Body, &doc); err != nil || doc.Error != row.code || doc.Description != "Global rate limit exceeded" || !strings.HasPrefix(mediaType, "application/json") {
			t.Errorf("%s: %s (%v)", mediaType, body, err)
		}
	case "text":
		if body != "Rate limit exceed" || !strings.HasPrefix(mediaType, "text/plain") {
			t.Errorf("%s: %s", mediaType, body)
		}
	case "error_page":
		if !strings.HasPrefix(body, "<!DOCTYPE html>") || !strings.HasPrefix(mediaType, "text/html") {
			t.Errorf("%s: %s", mediaType, body)
		}
	case "xml":
		if !strings.Contains(body, "<env:Value>"+row.code+"</env:Value>") || !strings.Contains(body, "Global rate limit exceeded") || !strings.Contains(mediaType, "xml") {
			t.Errorf("%s: %s", mediaType, body)
		}
	default:
		t.Errorf("unknown form %q", row.kind)
	}
}

// Each of the 150 is sent again without the caller noticing: once, when the
// bucket has a token, and the limit lets it pass.
func TestPolicyRejectionsAreRepeated(t *testing.T) {
	t.Parallel()
	listed := calls(t)
	for _, row := range policyRows(t) {
		for _, s := range senders(listed, row) {
			t.Run(row.method+" "+row.path+" "+s.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := newDrained(t)
					var meta auth0.Meta
					start := time.Now()
					err := s.send(t.Context(), d.api, d.client, auth0.Capture(&meta))
					if errors.Is(err, auth0.ErrRateLimited) {
						t.Fatalf("handed back: %v", err)
					}
					if len(d.events) != 2 || !d.events[0].Rejected || d.events[1].Rejected {
						t.Fatalf("the tenant answered %+v, want a rejection and then none", d.events)
					}
					took := d.events[1].Time.Sub(start)
					if took < nextToken || took > halfFull {
						t.Errorf("sent again after %v, want %v to %v", took, nextToken, halfFull)
					}
					if l := meta.RateLimit; l.Rejected || l.Rejections != 1 || l.Waited != took {
						t.Errorf("the client was told %+v", l)
					}
				})
			})
		}
	}
}

// All 150 at once, at a tenant whose bucket is empty: the first finds that out,
// the others wait, and all pass at the rate at which tokens come.
func TestPolicyRejectionsArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDrained(t)
		start := time.Now()
		var done sync.WaitGroup
		listed := calls(t)
		for _, row := range policyRows(t) {
			s := senders(listed, row)[0]
			done.Go(func() {
				if err := s.send(t.Context(), d.api, d.client); errors.Is(err, auth0.ErrRateLimited) || errors.Is(err, auth0.ErrNotSent) {
					t.Errorf("%s %s: %v", row.method, row.path, err)
				}
			})
		}
		done.Wait()
		report := d.tenant.Report()
		if report.Accepted != 150 || report.Rejected != 1 {
			t.Errorf("%d accepted, %d rejected; want 150 and 1", report.Accepted, report.Rejected)
		}
		// 150 tokens come in 30 s, and no client can be faster; at most it lets half
		// a bucket fill up first.
		if took := time.Since(start); took < halfFull || took > 2*halfFull {
			t.Errorf("it took %v, want %v to %v", took, halfFull, 2*halfFull)
		}
	})
}
