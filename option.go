package auth0

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// Option configures a Client. Options are applied in order; where two set the
// same thing, the later one counts.
type Option func(*config) error

// config is what options gather before New builds the client.
type config struct {
	plan          *ratelimit.Plan
	limiter       *ratelimit.Limiter
	reserve       float64
	maxRejections int
	httpClient    *http.Client
	logger        *slog.Logger
	userAgent     string
	retries       int
	retryFirst    time.Duration
	retryMax      time.Duration
	attempt       time.Duration
	audience      string
	customDomain  string
	source        TokenSource
	credentials   credentials
}

// WithPlan paces the client by a published plan: "enterprise",
// "enterprise/non-production", "free", "private-cloud-3000/burst" and the other
// names that ratelimit.Names lists. Without it the plan is recognised from the
// limits that answers show, starting carefully. An unknown name is an error
// that lists near ones.
func WithPlan(name string) Option {
	return func(c *config) error {
		if name == "" || name == "auto" {
			c.plan = nil
			return nil
		}
		plan, err := ratelimit.Named(name)
		if err != nil {
			return err
		}
		c.plan = plan
		return nil
	}
}

// WithOwnPlan paces the client by a plan of one's own, or a published one with
// changes. The plan must not be changed afterwards.
func WithOwnPlan(plan *ratelimit.Plan) Option {
	return func(c *config) error {
		if plan == nil {
			return errors.New("auth0: WithOwnPlan needs a plan; leave the option out to have it recognised")
		}
		c.plan = plan
		return nil
	}
}

// WithLimiter paces the client by a limiter that others use too. Everything in
// a process that talks to one tenant should share one limiter, since the
// tenant counts all of it together. It excludes WithPlan.
func WithLimiter(l *ratelimit.Limiter) Option {
	return func(c *config) error {
		if l == nil {
			return errors.New("auth0: WithLimiter needs a limiter; leave the option out to get one of the client's own")
		}
		c.limiter = l
		return nil
	}
}

// WithReserve leaves a share of every bucket, 0 to 0.9, to others: 0.2 keeps a
// fifth of the tenant's allowance for the production traffic beside this
// process. A single call leaves more with Reserve; the larger of both counts.
func WithReserve(share float64) Option {
	return func(c *config) error {
		if !(share >= 0 && share <= 0.9) {
			return fmt.Errorf("auth0: reserve %v is not between 0 and 0.9", share)
		}
		c.reserve = share
		return nil
	}
}

// WithMaxRejections sets how many rejections of one request are answered by
// waiting and sending it again before the rejection is handed to the caller.
// The default is DefaultMaxRejections; 0 hands back the first.
func WithMaxRejections(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("auth0: %d rejections cannot be allowed; 0 is the least", n)
		}
		if n == 0 {
			n = -1 // Transport reads 0 as "the default"
		}
		c.maxRejections = n
		return nil
	}
}

// WithHTTPClient sends requests through a client of one's own. It is not
// changed: its transport becomes the base of the throttle, and its timeout,
// cookie jar and redirect policy are kept. A transport that is a *Transport
// already is used as it is, with its own limiter.
//
// The timeout of an http.Client covers the wait for the throttle too; prefer a
// context, or WithAttemptTimeout, which does not.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) error {
		if hc == nil {
			return errors.New("auth0: WithHTTPClient needs a client; leave the option out for the default")
		}
		c.httpClient = hc
		return nil
	}
}

// WithLogger logs every request at debug level: method, route template,
// status, time waited. Nothing personal or secret is logged: no path values,
// queries, bodies or tokens. Without it nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error { c.logger = l; return nil }
}

// WithUserAgent puts the program's own name in front of the User-Agent header.
func WithUserAgent(name string) Option {
	return func(c *config) error {
		if strings.ContainsFunc(name, isControl) {
			return errors.New("auth0: a user agent cannot contain control characters")
		}
		c.userAgent = name
		return nil
	}
}

// WithRetries sets how often a call that failed with a 5xx status or on the
// network is repeated, 2 by default, 0 for never. Only calls that are safe to
// repeat are: GET, HEAD, PUT, DELETE, OPTIONS, calls with Idempotent, and those
// whose request never left the process. Rejections by a rate limit do not
// count: they are sent again by the throttle.
func WithRetries(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("auth0: %d retries cannot be made; 0 is the least", n)
		}
		c.retries = n
		return nil
	}
}

// WithRetryDelays sets the delay before the first retry and the largest one,
// 500 ms and 30 s by default. Delays grow by half each time and are spread by
// half in both directions. A Retry-After of the server, up to five minutes, is
// obeyed where it is longer.
func WithRetryDelays(first, most time.Duration) Option {
	return func(c *config) error {
		if first <= 0 || most < first {
			return fmt.Errorf("auth0: retry delays %v and %v must be positive and in order", first, most)
		}
		c.retryFirst, c.retryMax = first, most
		return nil
	}
}

// WithAttemptTimeout bounds each attempt of each call, from the moment the
// throttle admits it to the end of its answer. AttemptTimeout does it for one
// call. By default only the context bounds a call.
func WithAttemptTimeout(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("auth0: attempt timeout %v is negative", d)
		}
		c.attempt = d
		return nil
	}
}

// WithToken authorises calls with a fixed access token of the Management API.
func WithToken(token string) Option {
	return func(c *config) error {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("auth0: WithToken needs an access token, without spaces or line breaks")
		}
		c.source, c.credentials = StaticToken(token), credentials{}
		return nil
	}
}

// WithClientSecret authorises calls with tokens that the application gets for
// itself (client credentials grant), fetched when needed, shared by all calls
// and refreshed ahead of expiry.
func WithClientSecret(clientID, secret string) Option {
	return func(c *config) error {
		if clientID == "" || secret == "" {
			return errors.New("auth0: WithClientSecret needs a client id and a secret")
		}
		if strings.ContainsFunc(clientID+secret, isControl) {
			return errors.New("auth0: the client id or secret has a line break or another control character; trim what was read from a file")
		}
		c.source, c.credentials = nil, credentials{clientID: clientID, secret: secret}
		return nil
	}
}

// WithPrivateKey is WithClientSecret for applications that prove themselves
// with a signed assertion (private_key_jwt). The key may live in an HSM or a
// key service, as any crypto.Signer does.
func WithPrivateKey(key PrivateKey) Option {
	return func(c *config) error {
		if err := key.check(); err != nil {
			return err
		}
		c.source, c.credentials = nil, credentials{clientID: key.ClientID, key: &key}
		return nil
	}
}

// WithTokenSource authorises calls with tokens of one's own making. The client
// keeps each token until shortly before it expires, asks for one at a time, and
// asks again after a 401.
func WithTokenSource(s TokenSource) Option {
	return func(c *config) error {
		if s == nil {
			return errors.New("auth0: WithTokenSource needs a source")
		}
		c.source, c.credentials = s, credentials{}
		return nil
	}
}

// WithAudience sets the audience of the tokens that the client fetches. The
// default is the Management API of the domain, https://DOMAIN/api/v2/; a client
// on a custom domain has to name the one of the tenant's own domain.
func WithAudience(audience string) Option {
	return func(c *config) error { c.audience = audience; return nil }
}

// WithCustomDomain names the custom domain that links in mails and tickets are
// to carry. It goes with the operations that accept it and with no other.
// CustomDomain does it for one call.
func WithCustomDomain(domain string) Option {
	return func(c *config) error {
		if strings.ContainsFunc(domain, isControl) {
			return errors.New("auth0: a custom domain cannot contain control characters")
		}
		c.customDomain = domain
		return nil
	}
}

// RequestOption changes one call. The same option may be used for many calls at
// a time.
type RequestOption func(*request)

// request is what request options gather for one call.
type request struct {
	admission    Admission
	header       http.Header
	query        url.Values
	contentType  string
	raw          []byte
	hasRaw       bool
	attempt      time.Duration
	repeat       repeat
	meta         []*Meta
	bearer       string
	bearerSource TokenSource
	customDomain string
	cursor       string
	prepare      []func(*http.Request) error
	err          error
}

type repeat uint8

const (
	repeatByMethod repeat = iota
	repeatAlways
	repeatNever
)

func newRequest(opts []RequestOption) *request {
	r := &request{}
	for _, o := range opts {
		if o != nil {
			o(r)
		}
	}
	return r
}

func (r *request) failf(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("auth0: "+format, args...)
	}
}

// Priority orders the call among those that wait for the same buckets:
// interactive before normal before batch.
func Priority(p ratelimit.Priority) RequestOption {
	return func(r *request) { r.admission.Priority = p }
}

// Flow names the flow that the call belongs to. Calls of equal priority share
// the allowance fairly by flow, however many each has waiting.
func Flow(name string) RequestOption {
	return func(r *request) { r.admission.Flow = name }
}

// Reserve leaves a share of each bucket, 0 to 0.9, to others for this call, where
// it is more than that of WithReserve.
func Reserve(share float64) RequestOption {
	return func(r *request) {
		if !(share >= 0 && share <= 0.9) {
			r.failf("reserve %v is not between 0 and 0.9", share)
			return
		}
		r.admission.Reserve = share
	}
}

// Header sets a header of the call. Authorization is refused: Bearer sets it
// and keeps it on the tenant's own host.
func Header(name, value string) RequestOption {
	return func(r *request) {
		key := textproto.CanonicalMIMEHeaderKey(name)
		if key == "" || strings.ContainsFunc(name, notToken) || strings.ContainsFunc(value, isControl) {
			r.failf("a header has an invalid name or value")
			return
		}
		switch key {
		case "Authorization":
			r.failf("set the Authorization header with Bearer")
			return
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
			r.failf("the header %s is not the caller's to set", key)
			return
		}
		if r.header == nil {
			r.header = http.Header{}
		}
		r.header.Set(key, value)
	}
}

// Query adds a query parameter to the call, replacing what the parameters of
// the call say of it.
func Query(name string, values ...string) RequestOption {
	return func(r *request) {
		if name == "" {
			r.failf("a query parameter has no name")
			return
		}
		if r.query == nil {
			r.query = url.Values{}
		}
		r.query[name] = append([]string(nil), values...)
	}
}

// ContentType names the media type of a body that is given as []byte or
// io.Reader.
func ContentType(mediaType string) RequestOption {
	return func(r *request) {
		if mediaType == "" || strings.ContainsFunc(mediaType, isControl) {
			r.failf("a content type is empty or has control characters")
			return
		}
		r.contentType = mediaType
	}
}

// RawBody sends data as it is, in place of the body that the call would have:
// for fields that the types do not know yet. The data is not copied.
func RawBody(mediaType string, data []byte) RequestOption {
	return func(r *request) {
		ContentType(mediaType)(r)
		r.raw, r.hasRaw = data, true
	}
}

// AttemptTimeout bounds each attempt of the call, from the moment the throttle
// admits it to the end of its answer. An attempt that takes longer fails with
// ErrAttemptTimeout and may be retried. 0 removes the client's own bound.
func AttemptTimeout(d time.Duration) RequestOption {
	return func(r *request) {
		switch {
		case d < 0:
			r.failf("attempt timeout %v is negative", d)
		case d == 0:
			r.attempt = -1
		default:
			r.attempt = d
		}
	}
}

// Prepare has f look at each attempt of the call after the throttle admitted it
// and right before it is sent: the place for whatever depends on that moment, such
// as a signature over the time. f may set and delete headers; they are those of
// this one attempt. Its error ends the call: the attempt is not sent, takes nothing
// of any limit, and is not repeated. f is called by one goroutine at a time, with
// nothing locked, and not for requests that a redirect sends to another host or out
// of TLS.
// Several functions are called in the order of the options.
func Prepare(f func(*http.Request) error) RequestOption {
	return func(r *request) {
		if f == nil {
			r.failf("Prepare needs a function")
			return
		}
		r.prepare = append(r.prepare, f)
	}
}

// Idempotent declares that the call may be repeated after a 5xx status or a
// failure on the network although its method alone would forbid it.
func Idempotent() RequestOption {
	return func(r *request) { r.repeat = repeatAlways }
}

// NoRetry keeps the call from being repeated after a 5xx status or a failure on
// the network.
func NoRetry() RequestOption {
	return func(r *request) { r.repeat = repeatNever }
}

// Capture fills m with what the answer said beside its value: status, headers,
// limits, fields of unexpected types, the raw body. m is filled when the call
// returns, also when it returns an error after an answer arrived, and must not
// be shared by calls under way at the same time. Of several pages it describes
// the last. Given several times, it fills each m; nil is ignored.
func Capture(m *Meta) RequestOption {
	return func(r *request) {
		if m != nil {
			r.meta = append(r.meta, m)
		}
	}
}

// Bearer authorises the call with a token in place of the client's own: the
// user's, for instance, on /userinfo and the My Account API.
func Bearer(token string) RequestOption {
	return func(r *request) {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			r.failf("Bearer needs an access token, without spaces or line breaks")
			return
		}
		r.bearer, r.bearerSource = token, nil
	}
}

// BearerFrom is Bearer with a source that is asked for a token at each call.
// Sources are asked as they are, without the caching of WithTokenSource.
func BearerFrom(s TokenSource) RequestOption {
	return func(r *request) {
		if s == nil {
			r.failf("BearerFrom needs a source")
			return
		}
		r.bearer, r.bearerSource = "", s
	}
}

// CustomDomain names the custom domain that links in the mails and tickets of
// this call are to carry.
func CustomDomain(domain string) RequestOption {
	return func(r *request) {
		if domain == "" || strings.ContainsFunc(domain, isControl) {
			r.failf("a custom domain is empty or has control characters")
			return
		}
		r.customDomain = domain
	}
}

// ResumeAt continues a list at the Cursor of one of its pages. The other
// parameters have to be those of the call that the page came from.
func ResumeAt(cursor string) RequestOption {
	return func(r *request) { r.cursor = cursor }
}

// Admission is how the throttle treats a request. Put into a context it reaches
// Transport under any HTTP client of one's own. Calls of a Client go by their
// options (Priority, Flow, Reserve) and leave it aside.
type Admission struct {
	// Template is the route as in /api/v2/users/{id}, empty when not known: it
	// is then told from the path.
	Template string
	// Priority orders requests that wait for the same buckets.
	Priority ratelimit.Priority
	// Flow is the name by which requests of equal priority share fairly.
	Flow string
	// Reserve is the share of each bucket, 0 to 0.9, to leave to others.
	Reserve float64
}

// WithAdmission returns a context under which Transport treats requests as a
// says.
func WithAdmission(ctx context.Context, a Admission) context.Context {
	return context.WithValue(ctx, callKey{}, &call{Admission: a})
}

// Meta is what an answer says beside its value. See Capture. Printed with fmt or
// logged with slog it shows neither headers nor bodies.
type Meta struct {
	// Status is the HTTP status, 0 when no answer arrived.
	Status int
	// Header is the header of the answer.
	Header http.Header
	// RateLimit is what the answer and the throttle say of the limits.
	RateLimit RateLimit
	// Mismatches are the fields whose values had an unexpected type. They were
	// left at their zero values and the rest of the answer decoded.
	Mismatches []Mismatch
	// Body is the answer as it came.
	Body []byte
	// Attempts is how many times the request was sent.
	Attempts int
}

// PrivateKey is the key of an application that authenticates with signed
// assertions.
type PrivateKey struct {
	// ClientID is the id of the application.
	ClientID string
	// Signer signs: an *rsa.PrivateKey, an *ecdsa.PrivateKey, or a key held
	// elsewhere.
	Signer crypto.Signer
	// KeyID is the kid of the credential, needed only where the application has
	// several.
	KeyID string
	// Algorithm is RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512
	// or EdDSA. Empty is the usual one of the key's type: RS256, EdDSA, or ES256
	// to ES512 by the curve.
	Algorithm string
}

// String returns the status, the attempts and the limits. Headers and bodies may
// hold tokens and are not shown.
func (m Meta) String() string {
	return fmt.Sprintf("auth0.Meta{Status:%d, Attempts:%d, Mismatches:%d, RateLimit:%+v}", m.Status, m.Attempts, len(m.Mismatches), m.RateLimit)
}

// GoString is String.
func (m Meta) GoString() string { return m.String() }

// Format writes String, whatever the verb.
func (m Meta) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue is String.
func (m Meta) LogValue() slog.Value { return slog.StringValue(m.String()) }

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func notToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
}
