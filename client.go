package auth0

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// Client talks to one tenant. Every call of it, of whichever package, goes
// through Call or Do, and so through one throttle, one way of retrying and one
// token. A Client is safe for concurrent use and meant to live as long as the
// program; nothing of it can be changed after New.
type Client struct {
	base         *url.URL
	http         *http.Client
	transport    *Transport
	credentials  credentials
	tokens       *tokenCache // nil without credentials
	logger       *slog.Logger
	userAgent    string
	retries      int
	retryFirst   time.Duration
	retryMax     time.Duration
	attempt      time.Duration
	reserve      float64
	customDomain string
}

// New returns a client for a tenant. The domain may be bare
// ("example.eu.auth0.com") or begin with https://; http:// is accepted for
// loopback addresses only. Nothing is sent before the first call.
//
// Credentials come from WithClientSecret, WithPrivateKey, WithToken or
// WithTokenSource. Without any, calls are sent unauthorised, which suits an HTTP
// client that authorises them itself.
func New(domain string, opts ...Option) (*Client, error) {
	base, err := parseDomain(domain)
	if err != nil {
		return nil, err
	}
	cfg := config{retries: 2, retryFirst: 500 * time.Millisecond, retryMax: 30 * time.Second}
	for _, o := range opts {
		if o == nil {
			continue
		}
		if err := o(&cfg); err != nil {
			return nil, err
		}
	}
	c := &Client{
		base:         base,
		credentials:  cfg.credentials,
		logger:       cfg.logger,
		userAgent:    strings.TrimSpace(cfg.userAgent + " headroom-go-auth0"),
		retries:      cfg.retries,
		retryFirst:   cfg.retryFirst,
		retryMax:     cfg.retryMax,
		attempt:      cfg.attempt,
		reserve:      cfg.reserve,
		customDomain: cfg.customDomain,
	}
	if err := c.connect(&cfg); err != nil {
		return nil, err
	}
	source := cfg.source
	if source == nil && cfg.credentials.clientID != "" {
		audience := cfg.audience
		if audience == "" {
			audience = base.String() + "/api/v2/"
		}
		source = &clientCredentials{c: c, audience: audience}
	}
	if source != nil {
		c.tokens = &tokenCache{src: source, now: time.Now}
	}
	return c, nil
}

// Names of the environment variables that NewFromEnv reads.
const (
	EnvDomain       = "AUTH0_DOMAIN"
	EnvClientID     = "AUTH0_CLIENT_ID"
	EnvClientSecret = "AUTH0_CLIENT_SECRET"
	EnvToken        = "AUTH0_TOKEN"
	EnvPlan         = "AUTH0_PLAN"
)

// NewFromEnv returns a client for the tenant that the environment names:
// AUTH0_DOMAIN, and either AUTH0_TOKEN or AUTH0_CLIENT_ID with
// AUTH0_CLIENT_SECRET, and AUTH0_PLAN if set. A token wins over an id and
// secret. Options given here win over the environment; credentials among them
// make those of the environment unnecessary.
func NewFromEnv(opts ...Option) (*Client, error) {
	domain := os.Getenv(EnvDomain)
	if domain == "" {
		return nil, fmt.Errorf("auth0: %s is not set; set it to the tenant's domain, as in example.eu.auth0.com", EnvDomain)
	}
	token, id, secret := os.Getenv(EnvToken), os.Getenv(EnvClientID), os.Getenv(EnvClientSecret)
	var all []Option
	switch {
	case token != "":
		all = append(all, WithToken(token))
	case id != "" && secret != "":
		all = append(all, WithClientSecret(id, secret))
	}
	var own config
	for _, o := range opts {
		if o != nil {
			if err := o(&own); err != nil {
				return nil, err
			}
		}
	}
	if len(all) == 0 && own.source == nil && own.credentials.clientID == "" {
		return nil, fmt.Errorf("auth0: no credentials in the environment; set %s, or %s and %s", EnvToken, EnvClientID, EnvClientSecret)
	}
	if plan := os.Getenv(EnvPlan); plan != "" && own.plan == nil && own.limiter == nil {
		all = append(all, WithPlan(plan))
	}
	return New(domain, append(all, opts...)...)
}

// connect puts the throttle under the HTTP client.
func (c *Client) connect(cfg *config) error {
	hc := http.Client{}
	if cfg.httpClient != nil {
		hc = *cfg.httpClient
	}
	if own, ok := hc.Transport.(*Transport); ok {
		if cfg.limiter != nil || cfg.plan != nil || cfg.maxRejections != 0 {
			return errors.New("auth0: the HTTP client has a Transport with a limiter of its own already; give it the plan or limiter, and not New")
		}
		c.transport = own
	} else {
		limiter := cfg.limiter
		switch {
		case limiter == nil:
			l, err := ratelimit.New(ratelimit.Options{Plan: cfg.plan, Reserve: cfg.reserve})
			if err != nil {
				return err
			}
			limiter, c.reserve = l, 0
		case cfg.plan != nil:
			return errors.New("auth0: WithLimiter excludes WithPlan; the limiter has a plan")
		}
		c.transport = &Transport{
			Base:          hc.Transport,
			Limiter:       limiter,
			Host:          c.base.Host,
			MaxRejections: cfg.maxRejections,
			Logger:        cfg.logger,
		}
		if hc.Transport == nil {
			c.transport.Base = pooledTransport()
		}
	}
	hc.Transport = keepIdle{c.transport}
	hc.CheckRedirect = c.checkRedirect(hc.CheckRedirect)
	c.http = &hc
	return nil
}

// pooledTransport is the default transport with room for as many idle
// connections to the one host as a busy program needs.
func pooledTransport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = t.MaxIdleConns
	return t
}

// keepIdle hides CloseIdleConnections from the retrying client, which would
// close everybody's connections whenever one call fails.
type keepIdle struct{ http.RoundTripper }

// checkRedirect keeps tokens and bodies on the tenant's own host, and an error
// page from passing for an answer.
func (c *Client) checkRedirect(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if info, _ := RateLimitFrom(req.Response); info.Rejected {
			return http.ErrUseLastResponse
		}
		if c, _ := req.Context().Value(callKey{}).(*call); c != nil {
			c.moved.Store(true)
		}
		if !c.ownHost(req.URL) {
			if hasBody(req) {
				return errors.New("auth0: refused to send a body to another host that the tenant redirected to")
			}
			req.Header.Del("Authorization")
			req.Header.Del("DPoP")
		}
		if next != nil {
			return next(req, via)
		}
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}
}

func (c *Client) ownHost(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && strings.EqualFold(u.Host, c.base.Host)
}

// Domain returns the tenant's host, with its port where it has one.
func (c *Client) Domain() string { return c.base.Host }

// BaseURL returns the scheme and host that paths are appended to, without a
// slash at the end.
func (c *Client) BaseURL() string { return c.base.String() }

// ClientID returns the id of the application that the client acts as, "" when
// it was given a token or a source of tokens.
func (c *Client) ClientID() string { return c.credentials.clientID }

// Limiter returns the limiter that paces the client, for its snapshot or to
// share it. It is nil under a Transport of one's own that has no limiter set.
func (c *Client) Limiter() *ratelimit.Limiter { return c.transport.Limiter }

// Transport returns the client's throttle, to put under other HTTP clients that
// talk to the same tenant.
func (c *Client) Transport() *Transport { return c.transport }

// Token returns the access token that calls are authorised with, fetching one
// if need be.
func (c *Client) Token(ctx context.Context) (Token, error) {
	if c.tokens == nil {
		return Token{}, errors.New("auth0: the client has no credentials; give New WithClientSecret, WithPrivateKey, WithToken or WithTokenSource")
	}
	return c.tokens.Token(ctx)
}

// AddClientAuth puts the application's proof of identity into the form of a
// request: client_id with client_secret or a fresh client_assertion. It fails
// for clients that were given no such credentials.
func (c *Client) AddClientAuth(form url.Values) error {
	if c.credentials.clientID == "" {
		return errors.New("auth0: the client has no client id; give New WithClientSecret or WithPrivateKey")
	}
	return c.credentials.apply(form, c.BaseURL()+"/", c.now())
}

// CloseIdleConnections closes connections that no call uses.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }

// String names the tenant and no more.
func (c *Client) String() string { return "auth0.Client of " + c.base.Host }

// GoString is String: the fields of a client are secrets.
func (c *Client) GoString() string { return c.String() }

// Format writes String, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c *Client) now() time.Time { return time.Now() }

// Call sends one request and decodes its answer. It is what every generated
// method is made of, and serves any endpoint that has no method:
//
//	var noBody any
//	user, err := auth0.Call[map[string]any](ctx, client, "GET", "/api/v2/users/{id}",
//		[]string{"auth0|123"}, query, noBody, opts)
//
// path is the template of the route, without a query and without escapes; args
// fill its braces in order, each escaped as one segment. An empty arg, ".", and
// ".." are refused.
//
// body is nil, url.Values (sent as a form), *Multipart, []byte or an io.Reader
// with the option ContentType, or anything else, sent as JSON. Nil pointers
// send no body. An io.Reader that is not a bytes.Reader, bytes.Buffer or
// strings.Reader can be sent once only, so such calls are not retried.
//
// T is what the JSON of the answer is decoded into. NoContent ignores the
// answer, []byte and json.RawMessage take it as it is. An answer without a body
// gives the zero value, or a pointer to it. Fields of unexpected types are left
// out and reported to Capture and the logger.
//
// Calls under /api/v2/ are authorised with the client's token, others only with
// Bearer or BearerFrom. Errors are *Error, or the token source's own.
func Call[T any](ctx context.Context, c *Client, method, path string, args []string, query url.Values, body any, opts []RequestOption) (T, error) {
	var v T
	if err := c.call(ctx, method, path, args, query, body, opts, &v); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// call is Call for the value that into points to. It is a function of its own
// since the compiler makes one of Call for every type.
func (c *Client) call(ctx context.Context, method, path string, args []string, query url.Values, body any, opts []RequestOption, into any) error {
	s, err := c.send(ctx, method, path, args, query, body, newRequest(opts), false)
	if err != nil {
		return err
	}
	return s.unexpected(decodeBody(s.body, into, s.report))
}

// Do sends one request, as Call does, and returns the answer for reading as it
// arrives. The caller closes its body. Statuses from 400 on and rejections are
// errors.
func (c *Client) Do(ctx context.Context, method, path string, args []string, query url.Values, body any, opts ...RequestOption) (*http.Response, error) {
	s, err := c.send(ctx, method, path, args, query, body, newRequest(opts), true)
	if err != nil {
		return nil, err
	}
	return s.resp, nil
}

// fillPath puts args into the braces of a template. It returns the path plain
// and escaped.
func fillPath(template string, args []string) (plain, escaped string, err error) {
	if !strings.HasPrefix(template, "/") {
		return "", "", fmt.Errorf("auth0: path %q does not begin with a slash", template)
	}
	if i := strings.IndexAny(template, "?#%"); i >= 0 {
		// What follows is not printed: it may be personal.
		return "", "", fmt.Errorf("auth0: the path has a %q, which would be escaped; pass parameters as query, and ids in args with {id} in the path", template[i])
	}
	if !strings.Contains(template, "{") && len(args) == 0 {
		return template, template, nil
	}
	var p, e strings.Builder
	rest, used := template, 0
	for {
		before, after, ok := strings.Cut(rest, "{")
		p.WriteString(before)
		e.WriteString(before)
		if !ok {
			break
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok {
			return "", "", fmt.Errorf("auth0: path %q has an open brace", template)
		}
		if used == len(args) {
			return "", "", fmt.Errorf("auth0: path %q needs more than %d arguments", template, len(args))
		}
		arg := args[used]
		switch arg {
		case "":
			return "", "", fmt.Errorf("auth0: %s of %s is empty", name, template)
		case ".", "..":
			return "", "", fmt.Errorf("auth0: %s of %s is %q, which would name another path", name, template, arg)
		}
		p.WriteString(arg)
		e.WriteString(url.PathEscape(arg))
		used++
		rest = after
	}
	if used < len(args) {
		return "", "", fmt.Errorf("auth0: path %q takes %d arguments, not %d", template, used, len(args))
	}
	return p.String(), e.String(), nil
}

// payload is the body of a call.
type payload struct {
	contentType string
	size        int64 // -1 when not known
	open        func() io.Reader
	once        io.Reader // a body that can be read only once, in place of open
}

func (p *payload) empty() bool      { return p.open == nil && p.once == nil }
func (p *payload) replayable() bool { return p.once == nil }

func bytesPayload(data []byte, contentType string) *payload {
	return &payload{contentType: contentType, size: int64(len(data)), open: func() io.Reader { return bytes.NewReader(data) }}
}

func newPayload(body any, r *request) (*payload, error) {
	if r.hasRaw {
		return bytesPayload(r.raw, r.contentType), nil
	}
	if v := reflect.ValueOf(body); v.Kind() == reflect.Pointer && v.IsNil() {
		return &payload{}, nil
	}
	switch b := body.(type) {
	case nil:
		return &payload{}, nil
	case url.Values:
		return bytesPayload([]byte(b.Encode()), first(r.contentType, "application/x-www-form-urlencoded")), nil
	case *Multipart:
		segments, contentType, err := b.encode()
		if err != nil {
			return nil, err
		}
		size := 0
		for _, s := range segments {
			size += len(s)
		}
		return &payload{contentType: contentType, size: int64(size), open: func() io.Reader { return segmentReader(segments) }}, nil
	case json.RawMessage:
		return bytesPayload(b, first(r.contentType, "application/json")), nil
	case []byte:
		if r.contentType == "" {
			return nil, errors.New("auth0: a body given as bytes needs the option ContentType")
		}
		return bytesPayload(b, r.contentType), nil
	case io.Reader:
		return readerPayload(b, r)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("auth0: encoding the request: %w", err)
	}
	return bytesPayload(data, first(r.contentType, "application/json")), nil
}

func readerPayload(body io.Reader, r *request) (*payload, error) {
	if r.contentType == "" {
		return nil, errors.New("auth0: a body given as a reader needs the option ContentType")
	}
	// What is in memory can be read again from where it stands now.
	p := &payload{contentType: r.contentType}
	switch b := body.(type) {
	case *bytes.Buffer:
		return bytesPayload(b.Bytes(), r.contentType), nil
	case *bytes.Reader:
		at := *b
		p.size = int64(b.Len())
		p.open = func() io.Reader { again := at; return &again }
	case *strings.Reader:
		at := *b
		p.size = int64(b.Len())
		p.open = func() io.Reader { again := at; return &again }
	default:
		p.size, p.once = -1, body
	}
	return p, nil
}
