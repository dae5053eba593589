package auth0_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/headroom-go/auth0"
)

func TestErrorBodies(t *testing.T) {
	t.Parallel()
	const jsonType = "application/json"
	for _, tt := range []struct {
		name          string
		status        int
		contentType   string
		body          string
		code, message string
		is            error
	}{
		{"Management", 404, jsonType, `{"statusCode":404,"error":"Not Found","message":"The user does not exist.","errorCode":"inexistent_user"}`, "inexistent_user", "The user does not exist.", auth0.ErrNotFound},
		{"Management without a code", 409, jsonType, `{"statusCode":409,"error":"Conflict","message":"The user already exists."}`, "conflict", "The user already exists.", auth0.ErrConflict},
		{"OAuth", 403, jsonType, `{"error":"mfa_required","error_description":"Multifactor authentication required","mfa_token":"Fe26.2*x"}`, "mfa_required", "Multifactor authentication required", auth0.ErrForbidden},
		{"OAuth without words", 400, jsonType, `{"error":"invalid_grant"}`, "invalid_grant", "", auth0.ErrBadRequest},
		{"database connections", 400, jsonType, `{"name":"BadRequestError","code":"user_exists","description":"The user already exists.","statusCode":400}`, "user_exists", "The user already exists.", auth0.ErrBadRequest},
		{"password policy", 400, jsonType, `{"name":"PasswordStrengthError","code":"invalid_password","description":{"rules":[]},"message":"Password is too weak"}`, "invalid_password", "Password is too weak", auth0.ErrBadRequest},
		{"problem document", 401, "application/problem+json", `{"type":"https://auth0.com/api-errors#A0E-401-0003","title":"Unauthorized","status":401,"detail":"Invalid Token."}`, "A0E-401-0003", "Invalid Token.", auth0.ErrUnauthorized},
		{"SOAP", 500, "application/soap+xml", `<env:Envelope><env:Body><env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>wst:RequestFailed</env:Value></env:Subcode></env:Code><env:Reason><env:Text xml:lang="en">No such user</env:Text></env:Reason></env:Fault></env:Body></env:Envelope>`, "wst:RequestFailed", "No such user", auth0.ErrServer},
		{"text", 413, "text/plain", "Payload too big\n", "", "Payload too big", auth0.ErrTooLarge},
		{"page", 502, "text/html", "<html><body>nginx</body></html>", "", "", auth0.ErrServer},
		{"page without a type", 503, "", "<html>", "", "", auth0.ErrServer},
		{"nothing", 500, "", "", "", "", auth0.ErrServer},
		{"array", 400, jsonType, `[1]`, "", "[1]", auth0.ErrBadRequest},
		{"odd types", 400, jsonType, `{"error":{"a":1},"message":17}`, "", "", auth0.ErrBadRequest},
		{"brute force protection", 429, jsonType, `{"error":"too_many_attempts","error_description":"blocked"}`, "too_many_attempts", "blocked", auth0.ErrTooManyAttempts},
		{"polling", 429, jsonType, `{"error":"slow_down","error_description":"slower"}`, "slow_down", "slower", auth0.ErrSlowDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(*http.Request) (*http.Response, error) {
				return reply(tt.status, http.Header{"Content-Type": {tt.contentType}, "X-Request-Id": {"r-1"}}, tt.body), nil
			}, auth0.WithRetries(0))
			_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/x", nil, nil, nil, nil)
			var e *auth0.Error
			if !errors.As(err, &e) || e.Status != tt.status || e.Code != tt.code || e.Message != tt.message || e.RequestID != "r-1" || string(e.Body()) != tt.body {
				t.Fatalf("%#v with message %q", e, e.Message)
			}
			kinds := []error{auth0.ErrBadRequest, auth0.ErrUnauthorized, auth0.ErrForbidden, auth0.ErrNotFound, auth0.ErrConflict, auth0.ErrTooLarge, auth0.ErrServer, auth0.ErrRateLimited, auth0.ErrTooManyAttempts, auth0.ErrSlowDown}
			for _, kind := range kinds {
				if errors.Is(err, kind) != errors.Is(kind, tt.is) {
					t.Errorf("errors.Is(%v) = %v", kind, !errors.Is(kind, tt.is))
				}
			}
			if want := map[bool]string{true: "Fe26.2*x"}[tt.name == "OAuth"]; e.MFAToken() != want {
				t.Errorf("mfa token %q", e.MFAToken())
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*auth0.Error{
		"auth0: GET /api/v2/users/{id}: 404 inexistent_user: gone (request r1, 3 attempts)": {Method: "GET", Route: "/api/v2/users/{id}", Status: 404, Code: "inexistent_user", Message: "gone", RequestID: "r1", Attempts: 3},
		"auth0: GET /x: 502 Bad Gateway": {Method: "GET", Route: "/x", Status: 502, Attempts: 1},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	e := &auth0.Error{Method: "GET", Route: "/x", Status: 400, Code: "c", Message: "m", Attempts: 1}
	if got, want := e.GoString(), `&auth0.Error{Status:400, Code:"c", Method:"GET", Route:"/x", Attempts:1}`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// Other verbs would print the fields one by one, the body among them.
	for verb, want := range map[string]string{
		"%v": e.Error(), "%+v": e.Error(), "%d": e.Error(), "%s": e.Error(), "%#v": e.GoString(),
		"%q": strconv.Quote(e.Error()), "%x": hex.EncodeToString([]byte(e.Error())),
	} {
		if got := fmt.Sprintf(verb, e); got != want {
			t.Errorf("%s prints %q, want %q", verb, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"The user does not exist.":                             "The user does not exist.",
		"Invalid request: alice@example.com exists":            "Invalid request: [e-mail] exists",
		`Query: email:"alice+x@example.com"`:                   `Query: email:"[e-mail]"`,
		"user auth0|5f7c8ec7c33c6c004bbafe82 is blocked":       "user [user] is blocked",
		"user auth0%7C5f is blocked":                           "user [user] is blocked",
		"token eyJhbGciOiJIUzI1NiJ9.e30.x is bad":              "token [redacted] is bad",
		"key sk_live_4eC39HqLyjWDarjtT1zdp7dc":                 "key [redacted]",
		"Get https://a.auth0.com/x?code=1#f: EOF":              "Get https://a.auth0.com/x?[redacted] EOF",
		"Get https://a.auth0.com/users/auth0%7C5f: EOF":        "Get https://a.auth0.com/[redacted] EOF",
		"Get https://a.auth0.com/users/auth0|5f?q=1 failed":    "Get https://a.auth0.com/[redacted] failed",
		"post to https://h.example/s/4eC39HqLyjWDarjtT1zdp7dc": "post to https://h.example/[redacted]",
		"see https://a.auth0.com/api/v2/jobs/users-imports":    "see https://a.auth0.com/api/v2/jobs/users-imports",
		"call +49 151 to +4915112345678":                       "call +49 151 to [phone]",
		"dial tcp 127.0.0.1:8080: connect: connection refused": "dial tcp 127.0.0.1:8080: connect: connection refused",
		"lookup example.eu.auth0.com: no such host":            "lookup example.eu.auth0.com: no such host",
		"two\nlines\x00": "two lines ",
		"client_credentials is not allowed for this client": "client_credentials is not allowed for this client",
		"": "",
	} {
		if got := auth0.Redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// Whatever a server says, its text stays one line, valid, and without an
// address.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"a@b.c", "<alice@example.com>", "x\r\ny", "é@ü", "\xff@\xfe", "a\u00a0@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := auth0.Redact(s)
		if strings.ContainsAny(got, "@\r\n") {
			t.Errorf("%q becomes %q", s, got)
		}
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q becomes invalid: %q", s, got)
		}
	})
}

// Error bodies of any shape are read without a failure of their own.
func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{`{"error":"x","error_description":"y"}`, `{"errorCode":1}`, "<Fault><Text>x</Text></Fault>", "<Fault Value", `{"a":"\ud800"}`, "{", ""} {
		f.Add(429, "application/json", s)
		f.Add(500, "text/xml", s)
	}
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		status = 400 + (status%200+200)%200
		if strings.ContainsAny(contentType, "\r\n\x00") {
			contentType = ""
		}
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			return reply(status, http.Header{"Content-Type": {contentType}}, body), nil
		}, auth0.WithRetries(0), auth0.WithMaxRejections(0))
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/x", nil, nil, nil, nil)
		var e *auth0.Error
		if !errors.As(err, &e) || e.Status != status {
			t.Fatalf("%v for status %d", err, status)
		}
		if len(body) <= 64<<10 && string(e.Body()) != body {
			t.Errorf("body %q, want %q", e.Body(), body)
		}
		if strings.ContainsAny(e.Error(), "\r\n@") {
			t.Errorf("%q", e.Error())
		}
	})
}

// What holds an answer as it came shows none of it, by no verb and as a value
// neither: it may hold tokens.
func TestBodiesAreNotShown(t *testing.T) {
	t.Parallel()
	const secret = "tell-nobody"
	for _, status := range []int{200, 403} {
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			return reply(status, http.Header{"Set-Cookie": {"a=" + secret}}, `{"access_token":"`+secret+`"}`), nil
		}, auth0.WithRetries(0))
		var meta auth0.Meta
		_, err := auth0.Call[map[string]string](t.Context(), c, "POST", "/oauth/token", nil, nil, nil, []auth0.RequestOption{auth0.Capture(&meta)})
		if meta.Status != status || !strings.Contains(string(meta.Body), secret) {
			t.Fatalf("captured %d, %d bytes", meta.Status, len(meta.Body))
		}
		values := []any{meta, &meta, []auth0.Meta{meta}, struct{ M auth0.Meta }{meta}}
		if e, ok := errors.AsType[*auth0.Error](err); ok {
			values = append(values, e, *e, []auth0.Error{*e})
		} else if status == 403 {
			t.Fatalf("error %v", err)
		}
		for _, v := range values {
			var shown strings.Builder
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%t"} {
				fmt.Fprintf(&shown, verb+"\n", v)
			}
			slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "value", v)
			// In letters, and in the digits of %x and %d.
			for _, s := range []string{secret, fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]")} {
				if strings.Contains(shown.String(), s) {
					t.Errorf("%T shows it: %s", v, &shown)
				}
			}
		}
		if text := fmt.Sprintf("%+v", meta); !strings.Contains(text, fmt.Sprint(status)) {
			t.Errorf("%s does not tell the status", text)
		}
	}
}
