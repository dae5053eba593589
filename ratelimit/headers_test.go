package ratelimit

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestReadHeaders(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	type h = map[string]string
	for _, c := range []struct {
		name string
		in   h
		want limitHeaders
	}{
		{"none", nil, limitHeaders{-1, -1, -1, -1, false}},
		{"all", h{"X-Ratelimit-Limit": "50", "X-Ratelimit-Remaining": "7", "X-Ratelimit-Reset": "1675452600", "Retry-After": "2"},
			limitHeaders{50, 7, 1675452600, 2e9, false}},
		{"limit alone", h{"X-Ratelimit-Limit": "50"}, limitHeaders{50, -1, -1, -1, false}},
		{"remaining alone", h{"X-Ratelimit-Remaining": "7"}, limitHeaders{-1, -1, -1, -1, false}},
		{"limit of nothing", h{"X-Ratelimit-Limit": "0", "X-Ratelimit-Remaining": "0"}, limitHeaders{-1, -1, -1, -1, false}},
		{"more left than fits", h{"X-Ratelimit-Limit": "5", "X-Ratelimit-Remaining": "6"}, limitHeaders{-1, -1, -1, -1, false}},
		{"beyond any plan", h{"X-Ratelimit-Limit": "10000001", "X-Ratelimit-Remaining": "6"}, limitHeaders{-1, -1, -1, -1, false}},
		{"negative", h{"X-Ratelimit-Limit": "-5", "X-Ratelimit-Remaining": "-6", "X-Ratelimit-Reset": "-1", "Retry-After": "-1"}, limitHeaders{-1, -1, -1, -1, false}},
		{"not numbers", h{"X-Ratelimit-Limit": "5,5", "X-Ratelimit-Remaining": "0x1", "X-Ratelimit-Reset": "soon", "Retry-After": "NaN"}, limitHeaders{-1, -1, -1, -1, false}},
		{"too long", h{"X-Ratelimit-Reset": "99999999999999999999"}, limitHeaders{-1, -1, -1, -1, false}},
		{"fraction of a second", h{"Retry-After": "0.25"}, limitHeaders{-1, -1, -1, 25e7, false}},
		{"infinite", h{"Retry-After": "inf"}, limitHeaders{-1, -1, -1, -1, false}},
		{"a date by the local clock", h{"Retry-After": "Sat, 01 Aug 2026 12:00:05 GMT"}, limitHeaders{-1, -1, -1, 5e9, false}},
		{"a date by the server's clock", h{"Retry-After": "Sat, 01 Aug 2026 11:00:05 GMT", "Date": "Sat, 01 Aug 2026 11:00:00 GMT"}, limitHeaders{-1, -1, -1, 5e9, false}},
		{"a date of old form", h{"Retry-After": "Saturday, 01-Aug-26 12:00:05 GMT"}, limitHeaders{-1, -1, -1, 5e9, false}},
		{"a date of older form", h{"Retry-After": "Sat Aug  1 12:00:05 2026"}, limitHeaders{-1, -1, -1, 5e9, false}},
		{"a date gone by", h{"Retry-After": "Sat, 01 Aug 2026 11:00:00 GMT"}, limitHeaders{-1, -1, -1, 0, false}},
		{"policy", h{"Auth0-Ratelimit": "client;q=10;t=1;r=9"}, limitHeaders{-1, -1, -1, -1, true}},
		{"client quota", h{"Auth0-Client-Quota-Limit": ""}, limitHeaders{-1, -1, -1, -1, true}},
		{"organization quota", h{"Auth0-Organization-Quota-Limit": "b=per_day;q=1;r=1;t=1"}, limitHeaders{-1, -1, -1, -1, true}},
	} {
		in := make(map[string][]string)
		for k, v := range c.in {
			in[k] = []string{v, "ignored"}
		}
		got := readHeaders(in)
		got.readMore(in, now)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if got := readHeaders(map[string][]string{"X-Ratelimit-Limit": {}}); got.limit != -1 {
		t.Errorf("a header without values: %+v", got)
	}
}

func TestReadQuotas(t *testing.T) {
	t.Parallel()
	const sec, hour = int64(time.Second), int64(time.Hour)
	for _, c := range []struct {
		header, value string
		want          []quotaFigure
	}{
		{"Auth0-Ratelimit", "client;q=10;t=1;r=9", []quotaFigure{{"Auth0-Ratelimit client", 10, 9, sec, -1}}},
		{"Auth0-Ratelimit", " client ; r=0;t=0 ; q=10;new", []quotaFigure{{"Auth0-Ratelimit client", 10, 0, sec, -1}}},
		{"Auth0-Ratelimit", "client;q=0;t=1;r=0", []quotaFigure{{"Auth0-Ratelimit client", 0, 0, sec, -1}}},
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200", []quotaFigure{
			{"Auth0-Client-Quota-Limit per_hour", 10, 7, hour, 3540 * sec}, {"Auth0-Client-Quota-Limit per_day", 50, 47, 24 * hour, 43200 * sec}}},
		{"Auth0-Organization-Quota-Limit", "b=per_week;q=5;r=5;t=60", []quotaFigure{{"Auth0-Organization-Quota-Limit per_week", 5, 5, 60 * sec, 60 * sec}}},
		{"Auth0-Client-Quota-Limit", "", nil},
		{"Auth0-Client-Quota-Limit", "q=10;r=7;t=1", nil},                           // of what
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;t=1", nil},                    // what is left
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=11;t=1", nil},               // more than there is
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=1", nil},                    // until when
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=1;t=999999999", nil},        // 31 years
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=-1;r=1;t=1,;,b=x;q=1=1", nil},    // no numbers
		{"Auth0-Client-Quota-Limit", strings.Repeat("x", 65) + ";q=1;r=1;t=1", nil}, // no name
		{"Another-Quota", "b=per_hour;q=10;r=7;t=3540", nil},
	} {
		if got := readQuotas(map[string][]string{c.header: {c.value}}); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %s: %+v, want %+v", c.header, c.value, got, c.want)
		}
	}
}

func TestQuotaTurns(t *testing.T) {
	t.Parallel()
	const sec = int64(time.Second)
	q := &quota{}
	q.read(quotaFigure{"x", 3, 2, 10 * sec, -1}, 100*sec, 1)
	if q.left != 1 {
		t.Errorf("%d left, 2 are shown and 1 is under way", q.left)
	}
	q.left--
	if ok, at := q.ready(101 * sec); ok || at != 110*sec {
		t.Errorf("ready %v at %d, want at 110 s", ok, at)
	}
	if ok, _ := q.ready(110 * sec); !ok || q.left != 3 {
		t.Errorf("after its interval: %+v", q)
	}
	// A limit of 0 blocks for good: the server tells the caller so.
	q.read(quotaFigure{"x", 0, 0, 10 * sec, -1}, 200*sec, 0)
	if ok, _ := q.ready(200 * sec); !ok {
		t.Error("a quota of nothing keeps requests waiting for what never comes")
	}
}

// What the text says is what the figures are, or absent.
func FuzzHeaders(f *testing.F) {
	f.Add("50", "7", "1675452600", "2", "Sat, 01 Aug 2026 11:00:00 GMT")
	f.Add("0", "-1", "1e3", "0.5", "")
	f.Add("10000000", "10000000", "999999999999", "Sat, 01 Aug 2026 11:00:00 GMT", "x")
	f.Fuzz(func(t *testing.T, limit, remaining, reset, retry, date string) {
		h := map[string][]string{"X-Ratelimit-Limit": {limit}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}, "Retry-After": {retry}, "Date": {date}}
		got := readHeaders(h)
		got.readMore(h, time.Unix(1_800_000_000, 0))
		for _, p := range []struct {
			text string
			n    int64
		}{{limit, got.limit}, {remaining, got.remaining}, {reset, got.reset}} {
			if p.n < 0 {
				continue
			}
			if n, err := strconv.ParseInt(p.text, 10, 64); err != nil || n != p.n {
				t.Errorf("%q was read as %d", p.text, p.n)
			}
		}
		if got.limit < -1 || got.limit == 0 || got.limit > maxPlanCount || got.remaining > got.limit || got.remaining < -1 || got.reset < -1 || got.retryAfter < -1 {
			t.Errorf("%+v", got)
		}
		// Whatever they say, the account stays within the bucket.
		l := newLimiter(t, Options{Plan: planOf(5, 100, time.Second)})
		for range 3 {
			tk := acquire(t, l, to("/x"))
			tk.Done(Outcome{Sent: true, Answered: true, Status: 200, Header: h})
			b := tk.c.buckets[0]
			if b.full <= 0 || b.level > b.full || b.level < -2*b.full-b.unit || b.fill <= 0 || b.sure > b.burst || b.inc <= 0 {
				t.Fatalf("%v: %+v", h, b)
			}
			b.level, b.sure, b.probe, b.blocked = b.full, 0, 0, 0 // or the next might wait for ages
			tk.c.blocked = 0
		}
	})
}

func FuzzQuotas(f *testing.F) {
	f.Add("Auth0-Ratelimit", "client;q=10;t=1;r=9")
	f.Add("Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200")
	f.Add("Auth0-Organization-Quota-Limit", ";;,=,b=;q=;r=;t=")
	f.Fuzz(func(t *testing.T, header, value string) {
		for _, q := range readQuotas(map[string][]string{header: {value}}) {
			if q.limit < 0 || q.remaining < 0 || q.remaining > q.limit || q.window < int64(time.Second) || q.resetIn < -1 || q.resetIn > 1e8*int64(time.Second) || !strings.HasPrefix(q.name, header+" ") {
				t.Errorf("%q: %+v", value, q)
			}
			state := &quota{}
			for _, now := range []int64{0, 1, int64(time.Hour), math.MaxInt64 / 4} {
				state.read(q, now, 3)
				if state.left < 0 || state.left > q.limit || state.resetAt <= now {
					t.Errorf("%q at %d: %+v", value, now, state)
				}
				if ok, at := state.ready(now); !ok && at <= now {
					t.Errorf("%q at %d: not ready, but ready at %d", value, now, at)
				}
			}
		}
	})
}
