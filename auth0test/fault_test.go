package auth0test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		faults      Faults
		least, most time.Duration // of a request and its answer
		mean        time.Duration
		margin      time.Duration // of the mean over 2000 requests, five standard errors
	}{
		{"none", Faults{}, 0, 0, 0, 0},
		{"base", Faults{Up: Delay{Base: 7 * time.Millisecond}, Down: Delay{Base: 5 * time.Millisecond}}, 12 * time.Millisecond, 12 * time.Millisecond, 12 * time.Millisecond, 0},
		// Two even spreads of 20 ms: a standard deviation of 8.2 ms.
		{"wan", WAN(), 60 * time.Millisecond, 100 * time.Millisecond, 80 * time.Millisecond, 920 * time.Microsecond},
		// Two tails of 15 ms (21 ms) and two chances in a hundred of 500 ms (70 ms).
		{"bad", BadNetwork(), 60 * time.Millisecond, 2 * time.Second, 100 * time.Millisecond, 8200 * time.Microsecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			tenant := mustTenant(t, Options{Clock: clock.Now, Sleep: clock.sleep, Faults: tt.faults, AnyToken: true})
			const n = 2000
			start := clock.Now()
			for range n {
				sent := clock.Now()
				send(t, tenant, "GET", "/api/v2/x", "")
				if d := clock.Now().Sub(sent); d < tt.least || d > tt.most {
					t.Fatalf("a request took %v, want %v to %v", d, tt.least, tt.most)
				}
			}
			if mean := clock.Now().Sub(start) / n; mean < tt.mean-tt.margin || mean > tt.mean+tt.margin {
				t.Errorf("a request took %v on average, want %v", mean, tt.mean)
			}
		})
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sent, arrives time.Duration }{
		{0, 300 * time.Millisecond},
		{299 * time.Millisecond, 300 * time.Millisecond},
		{300 * time.Millisecond, 300 * time.Millisecond},
		{59 * time.Second, 59 * time.Second},
		{time.Minute + 100*time.Millisecond, time.Minute + 300*time.Millisecond},
	} {
		clock := newClock()
		var at time.Time
		tenant := mustTenant(t, Options{
			Clock: clock.Now, Sleep: clock.sleep, AnyToken: true,
			Faults:  Faults{StallEvery: time.Minute, StallFor: 300 * time.Millisecond},
			Observe: func(e Event) { at = e.Time },
		})
		clock.set(tt.sent)
		send(t, tenant, "GET", "/api/v2/x", "")
		if got := at.Sub(time.Unix(begin, 0)); got != tt.arrives {
			t.Errorf("sent at %v: arrived at %v, want %v", tt.sent, got, tt.arrives)
		}
	}
}

// Two requests that leave one after the other may arrive the other way round.
func TestReordering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		tenant := mustTenant(t, Options{
			AnyToken: true, Faults: Faults{Up: Delay{Jitter: 50 * time.Millisecond}},
			Observe: func(e Event) { mu.Lock(); defer mu.Unlock(); order = append(order, e.Path) },
		})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { send(t, tenant, "GET", fmt.Sprintf("/api/v2/%02d", i), "") })
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		swapped := 0
		for i := 1; i < len(order); i++ {
			if order[i] < order[i-1] {
				swapped++
			}
		}
		if len(order) != 20 || swapped == 0 {
			t.Errorf("%d requests arrived, %d of them before one sent earlier", len(order), swapped)
		}
	})
}

// A lost request leaves no trace, a lost answer does; the caller cannot tell
// one from the other.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	body := func(i int) string {
		return fmt.Sprintf(`{"connection":"Username-Password-Authentication","email":"u%d@example.com","password":"x"}`, i)
	}
	for _, tt := range []struct {
		name   string
		faults Faults
		acted  bool
	}{
		{"request", Faults{LoseRequest: 1}, false},
		{"answer", Faults{LoseAnswer: 1}, true},
	} {
		tenant := mustTenant(t, Options{Plan: plan(bucket("b", 100, 1, time.Hour, "POST", "/api/v2/users")), AnyToken: true, Faults: tt.faults})
		for i := range 10 {
			_, err := try(t.Context(), tenant, "POST", "/api/v2/users", body(i))
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "read" || !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("%s: error %v, want a read that met a reset", tt.name, err)
			}
		}
		r := tenant.Report()
		want := 0
		if tt.acted {
			want = 10
		}
		if r.Users != want || r.Requests != int64(want) || r.LostAnswers != int64(want) || r.LostRequests != int64(10-want) {
			t.Errorf("%s: %d users, %d requests, %d answers and %d requests lost", tt.name, r.Users, r.Requests, r.LostAnswers, r.LostRequests)
		}
		if b := r.Bucket("b"); tt.acted && b.Taken != 10 || !tt.acted && b != nil {
			t.Errorf("%s: bucket %+v", tt.name, b)
		}
	}
}

func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true, Faults: Faults{Refuse: 1}})
	wrote, dialled := false, ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GetConn:      func(hostPort string) { dialled = hostPort },
		WroteHeaders: func() { wrote = true },
	})
	_, err := try(ctx, tenant, "GET", "/api/v2/x", "")
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" || !errors.Is(err, syscall.ECONNREFUSED) || wrote {
		t.Errorf("error %v, written %v; want a dial that was refused and nothing written", err, wrote)
	}
	if dialled != DefaultDomain+":443" {
		t.Errorf("a connection to %q was asked for; without that a caller cannot tell that nothing left", dialled)
	}
	if r := tenant.Report(); r.Refused != 1 || r.Requests != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestClientTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := mustTenant(t, Options{AnyToken: true, Faults: WAN()})
		var wrote, first time.Time
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			WroteRequest:         func(httptrace.WroteRequestInfo) { wrote = time.Now() },
			GotFirstResponseByte: func() { first = time.Now() },
		})
		if _, err := try(ctx, tenant, "GET", "/api/v2/x", ""); err != nil {
			t.Fatal(err)
		}
		if d := first.Sub(wrote); d < 60*time.Millisecond || d > 100*time.Millisecond {
			t.Errorf("the first byte came %v after the request was written", d)
		}
	})
}

func TestServerErrors(t *testing.T) {
	t.Parallel()
	body := func(i int) string {
		return fmt.Sprintf(`{"connection":"Username-Password-Authentication","email":"u%d@example.com","password":"x"}`, i)
	}
	for _, tt := range []struct {
		faults Faults
		users  int
	}{{Faults{Fail: 1}, 0}, {Faults{FailAfter: 1, FailStatus: []int{504}}, 30}} {
		tenant := mustTenant(t, Options{Plan: plan(bucket("b", 100, 1, time.Hour, "POST", "/api/v2/users")), AnyToken: true, Faults: tt.faults})
		statuses := make(map[int]int)
		for i := range 30 {
			r := send(t, tenant, "POST", "/api/v2/users", body(i))
			statuses[r.status]++
			if r.limits() != [3]int64{-1, -1, -1} {
				t.Errorf("a %d shows rate limits: %v", r.status, r.header)
			}
		}
		r := tenant.Report()
		if r.Users != tt.users || r.Bucket("b").Taken != 30 || r.Rejected != 0 {
			t.Errorf("%+v: %d users, %d taken, %d rejected", tt.faults, r.Users, r.Bucket("b").Taken, r.Rejected)
		}
		if tt.users == 0 && (len(statuses) != 3 || statuses[500]+statuses[502]+statuses[503] != 30) || tt.users > 0 && statuses[504] != 30 {
			t.Errorf("statuses %v", statuses)
		}
	}
}

// Chances are met over many requests, and each request meets its own.
func TestChances(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true, Faults: Faults{LoseRequest: 0.05, LoseAnswer: 0.02, Fail: 0.01}})
	const n = 8000
	for i := range n {
		r, err := try(t.Context(), tenant, "GET", fmt.Sprintf("/api/v2/%d", i), "")
		if err == nil && r.status != 404 && r.status < 500 {
			t.Fatalf("status %d", r.status)
		}
	}
	r := tenant.Report()
	failed := r.ByStatus[500] + r.ByStatus[502] + r.ByStatus[503]
	for _, tt := range []struct {
		name      string
		got       int64
		want, off float64 // five standard deviations
	}{
		{"lost requests", r.LostRequests, 400, 98},
		{"lost answers", r.LostAnswers, 152, 62},
		{"5xx", failed, 76, 44},
	} {
		if d := float64(tt.got) - tt.want; d < -tt.off || d > tt.off {
			t.Errorf("%s: %d of %d, want about %v", tt.name, tt.got, n, tt.want)
		}
	}
}

// One seed gives every request the same fate, whatever the order and however
// many goroutines bring it; another seed gives other fates.
func TestSeed(t *testing.T) {
	t.Parallel()
	fates := func(seed uint64, workers int) map[string]string {
		var mu sync.Mutex
		out := make(map[string]string)
		synctest.Test(t, func(t *testing.T) {
			tenant := mustTenant(t, Options{Seed: seed, AnyToken: true, Faults: Faults{
				Up: Delay{Jitter: 20 * time.Millisecond}, Down: Delay{Tail: 5 * time.Millisecond}, LoseRequest: 0.2, LoseAnswer: 0.2, Fail: 0.2,
			}})
			work := make(chan int)
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for i := range work {
						path := fmt.Sprintf("/api/v2/x/%d", i)
						var fate string
						for range 2 {
							start := time.Now()
							r, err := try(t.Context(), tenant, "POST", path, `{"a":1}`)
							fate += fmt.Sprint(r.status, err != nil, time.Since(start), " ")
						}
						mu.Lock()
						out[path] = fate
						mu.Unlock()
					}
				})
			}
			for i := range 100 {
				work <- i
			}
			close(work)
			wg.Wait()
		})
		return out
	}
	one, again, other := fates(1, 1), fates(1, 16), fates(2, 1)
	differ := 0
	for path, fate := range one {
		if again[path] != fate {
			t.Errorf("%s: %s alone, %s among others", path, fate, again[path])
		}
		if other[path] != fate {
			differ++
		}
		if a, b, _ := strings.Cut(fate, " "); a == strings.TrimSpace(b) {
			t.Errorf("%s: the second time was like the first: %s", path, fate)
		}
	}
	if differ < 90 {
		t.Errorf("only %d of 100 requests fared otherwise under another seed", differ)
	}
}

func TestStaleHeaders(t *testing.T) {
	t.Parallel()
	b := bucket("b", 100, 1, time.Hour, "GET", "/api/v2/*")
	t.Run("older answers", func(t *testing.T) {
		t.Parallel()
		tenant := mustTenant(t, Options{Plan: plan(b), AnyToken: true, Faults: Faults{Stale: 1}})
		old := 0
		for i := range 50 {
			got, truly := send(t, tenant, "GET", fmt.Sprintf("/api/v2/%d", i), "").limits()[1], int64(99-i)
			if got < truly || got > truly+8 || got > 99 {
				t.Errorf("request %d: %d left, truly %d; want at most eight answers old", i+1, got, truly)
			}
			if got != truly {
				old++
			}
		}
		if old != 49 { // all but the first, which has no older one
			t.Errorf("%d of 50 answers were stale", old)
		}
	})
	t.Run("from a cache", func(t *testing.T) {
		t.Parallel()
		clock := newClock()
		tenant := mustTenant(t, Options{Plan: plan(b), Clock: clock.Now, AnyToken: true, Faults: Faults{StaleFor: time.Second}})
		for i, want := range []int64{99, 99, 99, 99, 99, 94, 94, 94, 94, 94, 89} {
			clock.set(time.Duration(i) * 200 * time.Millisecond)
			if got := send(t, tenant, "GET", "/api/v2/x", "").limits()[1]; got != want {
				t.Errorf("request %d: %d left, want %d", i+1, got, want)
			}
		}
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		tenant := mustTenant(t, Options{Plan: plan(b), AnyToken: true, Faults: Faults{Missing: 1}})
		if r := send(t, tenant, "GET", "/api/v2/x", ""); r.header.Get("X-Ratelimit-Limit") != "" {
			t.Errorf("headers %v", r.header)
		}
		tenant.SetFaults(Faults{})
		if got := send(t, tenant, "GET", "/api/v2/x", "").limits()[1]; got != 98 {
			t.Errorf("%d left, want 98", got)
		}
	})
}

func TestSkew(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan: plan(bucket("b", 5, 6, time.Minute, "GET", "/api/v2/*")), Clock: clock.Now, AnyToken: true, Faults: Faults{Skew: -90 * time.Second},
	})
	r := send(t, tenant, "GET", "/api/v2/x", "")
	if got, want := r.header.Get("Date"), "Fri, 03 Feb 2023 19:28:30 GMT"; got != want {
		t.Errorf("Date %q, want %q", got, want)
	}
	if got := r.limits()[2]; got != 10-90 {
		t.Errorf("reset %d s after the beginning, want -80", got)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		second := Delay{Base: time.Second}
		tenant := mustTenant(t, Options{AnyToken: true, Faults: Faults{Up: second, Down: second}})
		for _, tt := range []struct {
			timeout time.Duration
			arrived int64
		}{{0, 0}, {500 * time.Millisecond, 0}, {1500 * time.Millisecond, 1}} {
			before := tenant.Report().Requests
			ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
			start := time.Now()
			_, err := try(ctx, tenant, "GET", "/api/v2/x", "")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != tt.timeout {
				t.Errorf("timeout %v: %v after %v", tt.timeout, err, time.Since(start))
			}
			if got := tenant.Report().Requests - before; got != tt.arrived {
				t.Errorf("timeout %v: %d requests arrived, want %d", tt.timeout, got, tt.arrived)
			}
		}
	})
}

// closer is a body that notes being closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func TestRoundTripperRules(t *testing.T) {
	t.Parallel()
	errBody := errors.New("the body cannot be read")
	for name, tt := range map[string]struct {
		faults Faults
		body   io.Reader
		cancel bool
		want   error
	}{
		"answered":   {body: strings.NewReader("{}")},
		"refused":    {body: strings.NewReader("{}"), faults: Faults{Refuse: 1}, want: syscall.ECONNREFUSED},
		"lost":       {body: strings.NewReader("{}"), faults: Faults{LoseRequest: 1}, want: syscall.ECONNRESET},
		"cancelled":  {body: strings.NewReader("{}"), cancel: true, want: context.Canceled},
		"unreadable": {body: io.MultiReader(strings.NewReader("{"), errReader{errBody}), want: errBody},
	} {
		tenant := mustTenant(t, Options{AnyToken: true, Faults: tt.faults})
		ctx, cancel := context.WithCancel(t.Context())
		if tt.cancel {
			cancel()
		}
		body := &closer{Reader: tt.body}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v2/x", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Mine", "1")
		resp, err := tenant.RoundTrip(req)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
		if err == nil {
			if resp.Request != req || resp.Body.Close() != nil || resp.Body.Close() != nil {
				t.Errorf("%s: response %+v", name, resp)
			}
		}
		if !body.closed {
			t.Errorf("%s: the request's body was left open", name)
		}
		if len(req.Header) != 1 || req.URL.String() != base+"/api/v2/x" {
			t.Errorf("%s: the request was changed: %v %v", name, req.URL, req.Header)
		}
		cancel()
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// An hour of a caller who knows the bucket by heart: every request passes, the
// whole allowance is used, and no time to speak of goes by.
func TestAnHourInMilliseconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := mustTenant(t, Options{
			Plan: plan(global(bucket("api", 50, 16, time.Second, "*", "/api/v2/*"))), AnyToken: true,
			Faults: Faults{Down: Delay{Base: 30 * time.Millisecond, Jitter: 20 * time.Millisecond}},
		})
		start := time.Now()
		var wg sync.WaitGroup
		one := func() {
			wg.Go(func() {
				if r := send(t, tenant, "GET", "/api/v2/x", ""); r.status != 404 {
					t.Errorf("status %d after %v", r.status, time.Since(start))
				}
			})
		}
		for range 50 {
			one()
		}
		for time.Since(start) < time.Hour {
			time.Sleep(62500 * time.Microsecond)
			one()
		}
		wg.Wait()
		r := tenant.Report()
		const want = 50 + 16*3600
		if b := r.Bucket("api"); r.Rejected != 0 || b.Taken != want || b.Available != want || b.Used != 1 {
			t.Errorf("%d rejected, %d taken of %d, used %v; want 0, %d of %d, 1", r.Rejected, b.Taken, b.Available, b.Used, want, want)
		}
	})
}

func TestPresets(t *testing.T) {
	t.Parallel()
	for _, f := range []Faults{WAN(), BadNetwork(), StallingNetwork()} {
		if err := f.validate(); err != nil || f.Up.Base != 30*time.Millisecond || f.Down.Base != 30*time.Millisecond {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if f := StallingNetwork(); f.StallEvery != time.Minute || f.StallFor != 300*time.Millisecond {
		t.Errorf("%+v", f)
	}
}

func TestSetFaultsRefusesNonsense(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a chance of 2 was accepted")
		}
	}()
	MustNew(Options{}).SetFaults(Faults{Refuse: 2})
}
