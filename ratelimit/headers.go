package ratelimit

import (
	"strconv"
	"strings"
	"time"
)

// limitHeaders are the figures of one answer.
type limitHeaders struct {
	limit, remaining, reset int64 // -1 absent; reset in seconds of the Unix epoch
	retryAfter              int64 // ns, -1 absent
	quotas                  bool  // a quota header is there too
}

func get(h map[string][]string, canonical string) string {
	if v := h[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// readHeaders never fails: what does not parse counts as absent. Keys are in
// the canonical form of package net/http.
func readHeaders(h map[string][]string) limitHeaders {
	f := limitHeaders{limit: -1, remaining: -1, reset: -1, retryAfter: -1}
	if len(h) == 0 {
		return f
	}
	f.limit = number(get(h, "X-Ratelimit-Limit"))
	f.remaining = number(get(h, "X-Ratelimit-Remaining"))
	f.reset = number(get(h, "X-Ratelimit-Reset"))
	if f.limit == 0 || f.limit > maxPlanCount || f.remaining > f.limit {
		f.limit, f.remaining = -1, -1
	}
	return f
}

// readMore reads what only rejections and few endpoints show.
func (f *limitHeaders) readMore(h map[string][]string, now time.Time) {
	if s := get(h, "Retry-After"); s != "" {
		if date, ok := httpDate(get(h, "Date")); ok {
			now = date // the clock by which a date is meant
		}
		f.retryAfter = retryAfter(s, now)
	}
	f.quotas = h["Auth0-Ratelimit"] != nil || h["Auth0-Client-Quota-Limit"] != nil || h["Auth0-Organization-Quota-Limit"] != nil
}

// number reads a whole number from 0 to 10^12, else -1.
func number(s string) int64 {
	if s == "" || len(s) > 13 {
		return -1
	}
	n := int64(0)
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	if n > 1e12 {
		return -1
	}
	return n
}

// retryAfter reads seconds or an HTTP date (RFC 9110, section 10.2.3).
func retryAfter(s string, now time.Time) int64 {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < 1e9 {
		return int64(f * 1e9)
	}
	if t, ok := httpDate(s); ok {
		return min(max(0, int64(t.Sub(now))), 1e18)
	}
	return -1
}

// httpDate reads a date in any of the three forms of RFC 9110, section 5.6.7.
func httpDate(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// quotaFigure is one counter of a quota header.
type quotaFigure struct {
	name      string
	limit     int64
	remaining int64
	window    int64 // ns of one interval
	resetIn   int64 // ns until the counter starts again, -1 unknown
}

// readQuotas reads the three headers of separate quotas:
//
//	Auth0-RateLimit: client;q=10;t=1;r=9
//	Auth0-Client-Quota-Limit: b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200
//	Auth0-Organization-Quota-Limit: the same
//
// In the first, t is the length of the interval; in the others it is the time
// until the counter starts again, and the interval is in the name.
func readQuotas(h map[string][]string) []quotaFigure {
	var out []quotaFigure
	for _, name := range [...]string{"Auth0-Ratelimit", "Auth0-Client-Quota-Limit", "Auth0-Organization-Quota-Limit"} {
		for _, line := range h[name] {
			for part := range strings.SplitSeq(line, ",") {
				if q, ok := readQuota(name, part); ok {
					out = append(out, q)
				}
			}
		}
	}
	return out
}

func readQuota(header, s string) (quotaFigure, bool) {
	q := quotaFigure{limit: -1, remaining: -1, resetIn: -1}
	label, t := "", int64(-1)
	for f := range strings.SplitSeq(s, ";") {
		k, v, ok := strings.Cut(strings.TrimSpace(f), "=")
		switch {
		case !ok:
			if label == "" { // the first word; others are flags
				label = k
			}
		case k == "b":
			label = v
		case k == "q":
			q.limit = number(v)
		case k == "r":
			q.remaining = number(v)
		case k == "t":
			t = number(v)
		}
	}
	if q.limit < 0 || q.remaining < 0 || q.remaining > q.limit || t < 0 || t > 1e8 || label == "" || len(label) > 64 {
		return q, false
	}
	q.name = header + " " + label
	switch {
	case header == "Auth0-Ratelimit":
		q.window = max(t, 1) * int64(time.Second)
	case label == "per_hour":
		q.window, q.resetIn = int64(time.Hour), t*int64(time.Second)
	case label == "per_day":
		q.window, q.resetIn = 24*int64(time.Hour), t*int64(time.Second)
	default:
		q.window, q.resetIn = max(t, 1)*int64(time.Second), t*int64(time.Second)
	}
	return q, true
}

// quota is a separate counter that headers have told of. It is kept beside the
// plan's buckets because it starts again all at once.
type quota struct {
	quotaFigure
	left    int64 // after our own requests
	resetAt int64 // ns
	told    bool  // a header has told of it since it started again
	least   int64 // the least that one told was left: it only falls until then
}

func (q *quota) turn(now int64) {
	if now >= q.resetAt {
		q.left = q.limit
		q.resetAt = now + q.window
		q.told = false
	}
}

// ready reports whether a request may be charged, and when if not.
func (q *quota) ready(now int64) (bool, int64) {
	q.turn(now)
	if q.left > 0 {
		return true, now
	}
	if q.limit == 0 {
		return true, now // the server's no is final: let the caller see it
	}
	return false, q.resetAt
}

// read takes over a reading. inFlight requests may not be in it yet.
func (q *quota) read(f quotaFigure, now, inFlight int64) {
	q.turn(now)
	end := now + f.resetIn + int64(time.Second) // whole seconds, rounded either way
	if q.told && f.resetIn >= 0 && end < q.resetAt-f.window/2 && f.remaining > q.least {
		return // overtaken by one of after it started again
	}
	if !q.told || f.resetIn >= 0 && end > q.resetAt+f.window/2 {
		q.told, q.least = true, f.remaining
	}
	q.quotaFigure = f
	q.least = min(q.least, f.remaining) // answers come in any order
	q.left = max(0, q.least-inFlight)
	switch {
	case f.resetIn >= 0:
		q.resetAt = end
	case f.remaining == 0 || q.resetAt <= now:
		q.resetAt = now + f.window
	}
}
