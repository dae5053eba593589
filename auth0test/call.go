package auth0test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request as the tenant's handlers see it.
type call struct {
	method string
	path   string // escaped
	segs   []string
	query  url.Values
	header http.Header
	scheme string
	host   string
	remote string
	body   []byte
	now    time.Duration // tenant time since the epoch

	op     *operation        // of the Management API, nil for others
	params map[string]string // what the braces of its path stand for
	user   string            // the user that was made
	search condition         // of the q parameter, nil without one
	token  *grant            // the access token, nil without a valid one

	thumbprint string // of the key of its DPoP proof, "" without one

	parsed bool
	fields map[string]string // top-level fields of a form or JSON body
}

func newCall(r *http.Request, body []byte, now time.Duration) *call {
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		remote = "127.0.0.1" // in memory: the caller is this machine
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	path := r.URL.EscapedPath()
	scheme := r.URL.Scheme
	if scheme == "" { // behind a server
		if scheme = "http"; r.TLS != nil {
			scheme = "https"
		}
	}
	return &call{
		method: r.Method, path: path, segs: splitPath(path), query: r.URL.Query(),
		header: r.Header, scheme: scheme, host: host, remote: remote, body: body, now: now,
	}
}

// field returns a top-level field of the body, "" when absent.
func (c *call) field(name string) string {
	if !c.parsed {
		c.parsed, c.fields = true, parseFields(c.header.Get("Content-Type"), c.body)
	}
	return c.fields[name]
}

func parseFields(contentType string, body []byte) map[string]string {
	fields := make(map[string]string)
	media, params, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && media == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return fields
		}
		for k := range form {
			fields[k] = form.Get(k)
		}
	case err == nil && media == "multipart/form-data":
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for {
			p, err := parts.NextPart()
			if err != nil {
				return fields
			}
			v, err := io.ReadAll(p)
			if err != nil {
				return fields
			}
			fields[p.FormName()] = string(v)
		}
	default:
		var doc map[string]json.RawMessage
		if json.Unmarshal(body, &doc) != nil {
			return fields
		}
		for k, v := range doc {
			var s string
			if json.Unmarshal(v, &s) == nil {
				fields[k] = s
			} else if raw := string(v); !strings.HasPrefix(raw, "{") && !strings.HasPrefix(raw, "[") && raw != "null" {
				fields[k] = raw
			}
		}
	}
	return fields
}

// bearer returns the access token of the Authorization header, "" without one.
func (c *call) bearer() string {
	scheme, token, _ := strings.Cut(c.header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") {
		return ""
	}
	return strings.TrimSpace(token)
}

// tokenScheme is how the Authorization header presents an access token: DPoP
// when it says that the token is bound to a key, else Bearer.
func (c *call) tokenScheme() string {
	if scheme, _, _ := strings.Cut(c.header.Get("Authorization"), " "); strings.EqualFold(scheme, "DPoP") {
		return "DPoP"
	}
	return "Bearer"
}

// clientID returns the application that a request to the Authentication API
// speaks for.
func (c *call) clientID() string {
	if id, _, ok := basicAuth(c.header); ok {
		return id
	}
	if id := c.field("client_id"); id != "" {
		return id
	}
	return c.query.Get("client_id")
}

func basicAuth(h http.Header) (id, secret string, ok bool) {
	r := http.Request{Header: h}
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	// OAuth puts both through form encoding first.
	if u, err := url.QueryUnescape(id); err == nil {
		id = u
	}
	if u, err := url.QueryUnescape(secret); err == nil {
		secret = u
	}
	return id, secret, true
}

// claims returns the payload of a token that has the shape of a JWT. Nothing is
// verified: a limit counts a token before anybody has looked at its signature.
func claims(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var doc map[string]any
	if json.Unmarshal(raw, &doc) != nil {
		return nil
	}
	return doc
}

// claim returns a string claim of the bearer token, "" without one.
func (t *Tenant) claim(c *call, name string) string {
	token := c.bearer()
	if s, _ := claims(token)[name].(string); s != "" {
		return s
	}
	if g := t.grants[token]; g != nil && name == "sub" {
		return g.subject // one of Options.Tokens, which need not be a JWT
	}
	return ""
}

// ip returns the address that a request is counted under.
func (t *Tenant) ip(c *call) string {
	if t.o.TrustForwarded {
		if ip := strings.TrimSpace(c.header.Get("Auth0-Forwarded-For")); ip != "" {
			return ip
		}
	}
	return c.remote
}

// digest shortens a secret to something that tells it from others and no more.
func digest(s string) string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// whole returns a whole number of a decoded body.
func whole(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// answer is what a handler replies.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	rejected bool // by a limit, in the form below
	form     Form
}

// jsonAnswer replies with a JSON document.
func jsonAnswer(status int, doc any) answer {
	return answer{status: status, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, body: mustJSON(doc)}
}

// noContent is the reply of a call that has nothing to say.
func noContent() answer { return answer{status: http.StatusNoContent, header: http.Header{}} }

// apiError is the Management API's error document.
type apiError struct {
	StatusCode int               `json:"statusCode"`
	Error      string            `json:"error"`
	Message    string            `json:"message"`
	ErrorCode  string            `json:"errorCode,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// failure replies with a Management API error. The code may be empty.
func failure(status int, code, message string) answer {
	return jsonAnswer(status, apiError{StatusCode: status, Error: http.StatusText(status), Message: message, ErrorCode: code})
}

// oauthError is the Authentication API's error document.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	URI         string `json:"error_uri,omitempty"`
}

// oauthFailure replies with an Authentication API error.
func oauthFailure(status int, code, description string) answer {
	return jsonAnswer(status, oauthError{Error: code, Description: description})
}

// answer replies with a rejection in the form.
func (f Form) answer() answer {
	return answer{
		status: f.Status(), header: http.Header{"Content-Type": {f.ContentType()}}, body: f.Body(),
		rejected: true, form: f,
	}
}

// queryError names the query parameter that is wrong.
func queryError(what, name string) answer {
	return failure(http.StatusBadRequest, "invalid_query_string", "Query validation error: '"+what+"' on property "+name+".")
}

// bodyError names the property of the body that is wrong.
func bodyError(what, property string) answer {
	on := ""
	if property != "" {
		on = " on property " + property
	}
	return failure(http.StatusBadRequest, "invalid_body", "Payload validation error: '"+what+"'"+on+".")
}
