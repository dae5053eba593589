package auth0_test

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
)

func TestRateLimitFromHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		header http.Header
		want   auth0.RateLimit
		ok     bool
	}{
		{"none", http.Header{}, auth0.RateLimit{Limit: -1, Remaining: -1}, false},
		{"bucket", http.Header{"X-Ratelimit-Limit": {"1000"}, "X-Ratelimit-Remaining": {"50"}, "X-Ratelimit-Reset": {"1675452600"}},
			auth0.RateLimit{Limit: 1000, Remaining: 50, Reset: time.Date(2023, 2, 3, 19, 30, 0, 0, time.UTC).Local()}, true},
		{"custom policy", http.Header{"Auth0-Ratelimit": {"client;q=10;t=1;r=9"}},
			auth0.RateLimit{Limit: -1, Remaining: -1, Quotas: []auth0.Quota{{Name: "client", Limit: 10, Remaining: 9, Per: time.Second}}}, true},
		{"token quotas", http.Header{"Auth0-Client-Quota-Limit": {"b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200"}, "Auth0-Organization-Quota-Limit": {"b=per_day; q=5; r=0; t=1"}},
			auth0.RateLimit{Limit: -1, Remaining: -1, Quotas: []auth0.Quota{
				{Name: "client per_hour", Limit: 10, Remaining: 7, ResetIn: 59 * time.Minute},
				{Name: "client per_day", Limit: 50, Remaining: 47, ResetIn: 12 * time.Hour},
				{Name: "organization per_day", Limit: 5, Remaining: 0, ResetIn: time.Second},
			}}, true},
		{"retry after a date", http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:01:00 GMT"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}},
			auth0.RateLimit{Limit: -1, Remaining: -1, RetryAfter: time.Minute}, true},
		{"retry after the past", http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:01:00 GMT"}, "Date": {"Sat, 01 Jan 2000 00:02:00 GMT"}},
			auth0.RateLimit{Limit: -1, Remaining: -1}, false},
		{"nonsense", http.Header{"X-Ratelimit-Limit": {"many"}, "X-Ratelimit-Remaining": {"-3"}, "X-Ratelimit-Reset": {"99999999999999"}, "Retry-After": {"soon"}, "Auth0-Ratelimit": {";;=,q=x"}},
			auth0.RateLimit{Limit: -1, Remaining: -1}, false},
	} {
		got, ok := auth0.RateLimitFrom(&http.Response{Header: tt.header})
		if ok != tt.ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v, want %+v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
	if got, ok := auth0.RateLimitFrom(nil); ok || got.Limit != -1 {
		t.Errorf("of nothing: %+v, %v", got, ok)
	}
}

// Limits are typed data on success too.
func TestRateLimitOnSuccess(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(*http.Request) (*http.Response, error) {
		return reply(204, http.Header{"X-Ratelimit-Limit": {"50"}, "X-Ratelimit-Remaining": {"49"}}, ""), nil
	})
	var m auth0.Meta
	if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, []auth0.RequestOption{auth0.Capture(&m)}); err != nil {
		t.Fatal(err)
	}
	if m.RateLimit.Limit != 50 || m.RateLimit.Remaining != 49 || m.RateLimit.Rejected {
		t.Errorf("%+v", m.RateLimit)
	}
}

func FuzzRateLimitHeaders(f *testing.F) {
	f.Add("1000", "50", "1675452600", "7", "client;q=10;t=1;r=9", "b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200")
	f.Add("-1", "+1", "1e9", "Sat, 01 Jan 2000 00:01:00 GMT", ";", ",,")
	f.Add("9223372036854775807", "9223372036854775808", "9223372036854775807", "9223372036854775807", "q=9223372036854775807;t=9223372036854775807", "=")
	f.Fuzz(func(t *testing.T, limit, remaining, reset, retry, policy, quota string) {
		info, _ := auth0.RateLimitFrom(&http.Response{Header: http.Header{
			"X-Ratelimit-Limit": {limit}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset},
			"Retry-After": {retry}, "Auth0-Ratelimit": {policy}, "Auth0-Client-Quota-Limit": {quota},
		}})
		if info.Limit < -1 || info.Remaining < -1 || info.RetryAfter < 0 || info.Reset.Year() > 9999 {
			t.Errorf("%+v", info)
		}
		for _, q := range info.Quotas {
			if q.Limit < -1 || q.Remaining < -1 || q.Per < 0 || q.ResetIn < 0 {
				t.Errorf("%+v", q)
			}
		}
	})
}
