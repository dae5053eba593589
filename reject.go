package auth0

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// verdict says what an answer that looks like a rejection is.
type verdict struct {
	rejected bool // by a rate limit or a quota
	busy     bool // by a limit on jobs under way
	sealed   bool // or by something else: it is encoded in a way that is not read here
}

// mayReject reports whether an answer has to be looked at more closely. It is
// all that ordinary answers cost.
func mayReject(resp *http.Response, path string) bool {
	switch s := resp.StatusCode; {
	case s < 300:
		return false
	case s == http.StatusTooManyRequests:
		return true
	case s < 400:
		return strings.Contains(resp.Header.Get("Location"), "error")
	case s == http.StatusInternalServerError:
		// WS-Trust wraps every fault in a 500, rejections included.
		return strings.Contains(resp.Header.Get("Content-Type"), "xml") || strings.Contains(path, "/trust/")
	}
	return false
}

// judge tells rejections from answers that share their status. It reads the
// beginning of the body where that is needed, and leaves the body complete.
func judge(resp *http.Response) verdict {
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		head, _ := peekBody(resp, peekRejection)
		head, ok := unpacked(resp.Header, head)
		if !ok {
			return verdict{rejected: true, sealed: true}
		}
		return judgeBody(head)
	case resp.StatusCode < 400:
		return verdict{rejected: redirectsToRejection(resp.Header.Get("Location"))}
	default:
		head, _ := peekBody(resp, peekRejection)
		head, _ = unpacked(resp.Header, head)
		return verdict{rejected: bytes.Contains(head, []byte("RequestFailed")) && saysRateLimit(string(head)) ||
			bytes.Contains(head, []byte("fed:BadRequest")) && saysRateLimit(string(head))}
	}
}

// unpacked returns what the beginning of a body says where the caller, and not the
// base, asked for gzip. ok is false for encodings that are not read here.
func unpacked(h http.Header, head []byte) (text []byte, ok bool) {
	switch strings.ToLower(h.Get("Content-Encoding")) {
	case "", "identity":
		return head, true
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(head))
		if err != nil {
			return nil, true
		}
		text, _ = io.ReadAll(io.LimitReader(r, peekJob)) // the beginning of a stream ends early
		return text, true
	}
	return nil, false
}

// judgeBody judges the body of a 429. Whatever is not known to be something
// else is a rejection: text, HTML pages and SOAP faults among them.
func judgeBody(body []byte) verdict {
	members, err := splitObject(body)
	if err != nil {
		return verdict{rejected: true}
	}
	for _, m := range members {
		var s string
		if json.Unmarshal(m.value, &s) != nil {
			continue
		}
		switch m.name {
		case "error", "code", "errorCode", "name":
			switch s {
			case "too_many_attempts", "slow_down":
				return verdict{}
			}
		case "message":
			if strings.Contains(s, "active import users jobs") {
				return verdict{rejected: true, busy: true}
			}
		}
	}
	return verdict{rejected: true}
}

// redirectsToRejection reports whether a redirect leads to an error page, the
// tenant's own or one of the application's, that says that a limit was hit.
func redirectsToRejection(location string) bool {
	u, err := url.Parse(location)
	if err != nil {
		return false
	}
	for _, encoded := range [...]string{u.RawQuery, u.Fragment} {
		q, _ := url.ParseQuery(encoded)
		switch q.Get("error") {
		case "":
			continue
		case "too_many_requests":
			return true
		case "too_many_attempts", "slow_down":
			continue
		}
		if saysRateLimit(q.Get("error_description")) {
			return true
		}
	}
	return false
}

func saysRateLimit(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "rate limit") || strings.Contains(s, "too many requests")
}
