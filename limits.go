package auth0

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// RateLimit is what an answer and the throttle say of the limits that the
// request drew from.
type RateLimit struct {
	// Limit is the size of the bucket that the answer describes, -1 when it
	// describes none.
	Limit int64
	// Remaining is what that bucket held after the request, -1 when not told.
	Remaining int64
	// Reset is the time that the answer gives for more, whole seconds; zero when
	// not told. Pages disagree on its meaning: the next token, the end of a
	// window, or a full bucket. Do not sleep until then; the throttle paces.
	Reset time.Time
	// RetryAfter is how long the server asks to wait, 0 when it does not say.
	RetryAfter time.Duration
	// Quotas are the separate quotas that the answer describes.
	Quotas []Quota

	// Bucket is the name of the plan's bucket that the answer describes, "" when
	// not known.
	Bucket string
	// Rejected is true when the answer is a rejection by a rate limit, in
	// whatever form.
	Rejected bool
	// Busy is true when the answer is a rejection because too many jobs are
	// under way.
	Busy bool
	// Kind says what rejected the request.
	Kind ratelimit.RejectKind
	// Rejections is how many rejections were answered by sending the request
	// again before this answer.
	Rejections int
	// Waited is how long the throttle held the request back, all its attempts
	// together.
	Waited time.Duration
	// NextIn is the time, from the answer on, until the same request could be
	// admitted; 0 when it was not rejected.
	NextIn time.Duration
}

// Quota is a quota that is counted apart from the rate limits.
type Quota struct {
	// Name says whose quota it is: "client" or another entity of a custom rate
	// limit policy; "client per_hour", "client per_day", "organization per_hour"
	// or "organization per_day" for quotas of machine-to-machine tokens.
	Name string
	// Limit is the quota, Remaining what is left of it.
	Limit, Remaining int64
	// Per is the interval of a custom policy, 0 for quotas of tokens, which are
	// of an hour or a day.
	Per time.Duration
	// ResetIn is the time until a quota of tokens is full again, 0 for custom
	// policies.
	ResetIn time.Duration
}

// RateLimitFrom returns what resp says of the limits. With a response that came
// through Transport the throttle's own knowledge is part of it; with any other
// only what the headers say. ok is false when there is neither.
func RateLimitFrom(resp *http.Response) (info RateLimit, ok bool) {
	if resp == nil {
		return RateLimit{Limit: -1, Remaining: -1}, false
	}
	info, ok = rateLimitOf(resp.Header, time.Now())
	x := exchangeOf(resp)
	if x == nil {
		return info, ok
	}
	info.Bucket = x.feedback.Bucket
	info.Rejected, info.Busy = x.rejected, x.busy
	info.Kind = x.feedback.Kind
	info.Rejections = x.rejections
	info.Waited = x.waited
	if x.rejected {
		info.NextIn = x.feedback.Wait
	}
	return info, true
}

func exchangeOf(resp *http.Response) *exchange {
	if resp == nil || resp.Request == nil {
		return nil
	}
	x, _ := resp.Request.Context().Value(exchangeKey{}).(*exchange)
	return x
}

// rateLimitOf reads the headers; now is needed for dates in Retry-After.
func rateLimitOf(h http.Header, now time.Time) (info RateLimit, ok bool) {
	info = RateLimit{
		Limit:     wholeNumber(h.Get("X-Ratelimit-Limit")),
		Remaining: wholeNumber(h.Get("X-Ratelimit-Remaining")),
	}
	// Beyond the year 9999 a number is not an epoch in seconds.
	if reset := wholeNumber(h.Get("X-Ratelimit-Reset")); reset > 0 && reset < 253402300800 {
		info.Reset = time.Unix(reset, 0)
	}
	info.RetryAfter = retryAfter(h, now)
	for _, v := range h["Auth0-Ratelimit"] {
		info.Quotas = appendQuotas(info.Quotas, "", v)
	}
	for _, v := range h["Auth0-Client-Quota-Limit"] {
		info.Quotas = appendQuotas(info.Quotas, "client", v)
	}
	for _, v := range h["Auth0-Organization-Quota-Limit"] {
		info.Quotas = appendQuotas(info.Quotas, "organization", v)
	}
	ok = info.Limit >= 0 || info.Remaining >= 0 || !info.Reset.IsZero() || info.RetryAfter > 0 || len(info.Quotas) > 0
	return info, ok
}

// appendQuotas reads "client;q=10;t=1;r=9" and, with the name given,
// "b=per_hour;q=10;r=7;t=3540,b=per_day;...".
func appendQuotas(quotas []Quota, name, value string) []Quota {
	for one := range strings.SplitSeq(value, ",") {
		q := Quota{Name: name, Limit: -1, Remaining: -1}
		var t time.Duration
		for part := range strings.SplitSeq(one, ";") {
			key, v, found := strings.Cut(strings.TrimSpace(part), "=")
			switch n := wholeNumber(v); {
			case !found && q.Name == "":
				q.Name = key
			case key == "b" && name != "":
				q.Name = name + " " + v
			case n < 0:
			case key == "q":
				q.Limit = n
			case key == "r":
				q.Remaining = n
			case key == "t":
				t = seconds(n)
			}
		}
		if q.Limit < 0 && q.Remaining < 0 {
			continue
		}
		if name == "" {
			q.Per = t
		} else {
			q.ResetIn = t
		}
		quotas = append(quotas, q)
	}
	return quotas
}

// retryAfter reads a Retry-After header, seconds or a date, 0 when there is
// none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n := wholeNumber(v); n >= 0 {
		return seconds(n)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date // the server's own clock
	}
	return max(at.Sub(now), 0)
}

// seconds is n seconds, at most a year, so that no arithmetic overflows.
func seconds(n int64) time.Duration {
	return time.Duration(min(n, 366*24*3600)) * time.Second
}

// wholeNumber reads a number that is not negative, -1 for anything else.
func wholeNumber(s string) int64 {
	s = strings.TrimSpace(s)
	if s == "" || s[0] == '-' || s[0] == '+' {
		return -1
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
