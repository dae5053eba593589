package auth0test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Responder is the shape of a stub. Values of this type can be given wherever
// github.com/jarcoal/httpmock asks for its Responder.
type Responder = func(*http.Request) (*http.Response, error)

// Responder returns a stub that has the tenant answer. Given to
// httpmock.MockTransport.RegisterNoResponder it leaves to the tenant whatever a
// test does not stub itself.
func (t *Tenant) Responder() Responder { return t.RoundTrip }

// Headers are the x-ratelimit headers of a stubbed answer.
type Headers struct {
	Limit, Remaining int64
	// Reset is sent in whole seconds, rounded up; left out when zero.
	Reset time.Time
	// RetryAfter is sent in whole seconds, rounded up; left out when zero.
	RetryAfter time.Duration
}

func (h Headers) write(to http.Header) {
	to.Set(headerLimit, strconv.FormatInt(h.Limit, 10))
	to.Set(headerRemaining, strconv.FormatInt(h.Remaining, 10))
	if !h.Reset.IsZero() {
		to.Set(headerReset, strconv.FormatInt(ceilSeconds(time.Duration(h.Reset.UnixNano())), 10))
	}
	if h.RetryAfter > 0 {
		to.Set("Retry-After", strconv.FormatInt(ceilSeconds(h.RetryAfter), 10))
	}
}

// RateLimited returns a stub that rejects a request in the given form. At most
// one Headers is used; without one the rejection has no rate-limit headers.
func RateLimited(form Form, headers ...Headers) Responder {
	return stub(func() answer {
		a := form.answer()
		for _, h := range headers {
			h.write(a.header)
		}
		return a
	})
}

// JSON returns a stub that answers with a JSON document. A []byte, a string or a
// [json.RawMessage] is sent as it is. It panics on a value that cannot be encoded.
func JSON(status int, doc any, headers ...Headers) Responder {
	var body []byte
	switch d := doc.(type) {
	case nil:
	case []byte:
		body = d
	case json.RawMessage:
		body = d
	case string:
		body = []byte(d)
	default:
		body = mustJSON(doc)
	}
	return stub(func() answer {
		a := answer{status: status, header: http.Header{}, body: body}
		if len(body) > 0 {
			a.header.Set("Content-Type", "application/json; charset=utf-8")
		}
		for _, h := range headers {
			h.write(a.header)
		}
		return a
	})
}

// Error returns a stub that answers with a Management API error, for example
// Error(404, "inexistent_user", "The user does not exist."). The code may be empty.
func Error(status int, code, message string, headers ...Headers) Responder {
	return JSON(status, apiError{StatusCode: status, Error: http.StatusText(status), Message: message, ErrorCode: code}, headers...)
}

// Lost returns a stub that breaks the connection.
func Lost() Responder {
	return func(r *http.Request) (*http.Response, error) {
		closeBody(r)
		return nil, errLost()
	}
}

// stub builds each response anew, so that one stub can answer many requests.
func stub(answers func() answer) Responder {
	return func(r *http.Request) (*http.Response, error) {
		closeBody(r)
		var counting Tenant
		return counting.response(r, answers()), nil
	}
}
