package authentication_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is a tenant made of a function, which gets the body read.
type stub func(r *http.Request, body string) answer

func (s stub) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	a := s(req, string(body))
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: req,
	}, nil
}

// answer is what a stub says.
type answer struct {
	status int
	header http.Header
	body   string
}

func reply(status int, contentType, body string, header ...string) answer {
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return answer{status, h, body}
}

func replyJSON(status int, body string, header ...string) answer {
	return reply(status, "application/json", body, header...)
}

// newClient returns a client of a tenant whose limits hold nothing back and
// whose failures are not repeated, unless options say otherwise.
func newClient(tb testing.TB, s stub, opts ...auth0.Option) *auth0.Client {
	tb.Helper()
	l, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "roomy", Buckets: []ratelimit.Bucket{{
		Name: "other", API: "management", Burst: 1, Rate: ratelimit.Rate{Count: 1, Per: time.Second},
		Matches: []ratelimit.Match{{Method: "GET", Path: "/not/asked/for"}},
	}}}})
	if err != nil {
		tb.Fatal(err)
	}
	base := []auth0.Option{
		auth0.WithHTTPClient(&http.Client{Transport: s}), auth0.WithLimiter(l), auth0.WithMaxRejections(0), auth0.WithRetries(0),
	}
	c, err := auth0.New("example.auth0.com", append(base, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// rsaKeys makes each key once: they take a while.
var rsaKeys sync.Map

// rsaKey returns the key of a name, the same each time.
func rsaKey(tb testing.TB, name string) *rsa.PrivateKey {
	tb.Helper()
	once, _ := rsaKeys.LoadOrStore(name, sync.OnceValue(func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return k
	}))
	return once.(func() *rsa.PrivateKey)()
}

// call is a call of the project's list.
type call struct {
	Name, Go, Method, Path, Grant, Is string
	Status                            int
	Browser, Legacy                   bool
	Auth                              []string
	Params                            []param
	Answer                            []param
	Errors                            []struct {
		Status int
		Code   string
	}
}

type param struct {
	In, Name, Type, Value string
	Required              bool
	Fields                []string
}

func calls(tb testing.TB) []call {
	tb.Helper()
	data, err := os.ReadFile("testdata/calls.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all []call
	if err := json.Unmarshal(data, &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// exampleKey signs for the tenant of the examples.
var exampleKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})
