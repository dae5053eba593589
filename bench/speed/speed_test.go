package speed

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Benchmark(b *testing.B) {
	for _, c := range Cases() {
		b.Run(strings.NewReplacer(" ", "_", ",", "", "/", ".").Replace(c.What)+"/"+strings.ReplaceAll(c.Who, "/", "."), c.Bench)
	}
}

// Acquire and Done allocate nothing where nobody waits, headers read.
func TestAcquireAllocations(t *testing.T) {
	for name, r := range map[string]ratelimit.Request{"one bucket": oneBucket(), "three buckets": threeBuckets()} {
		l, answer, ctx := limiter(t, ceiling, ceiling), answered(ceiling), context.Background()
		got := testing.AllocsPerRun(2000, func() {
			ticket, err := l.Acquire(ctx, &r)
			if err != nil {
				t.Fatal(err)
			}
			ticket.Done(answer)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations, want none", name, got)
		}
	}
}

// The plan of the benchmarks gives requests as many buckets as their names say.
func TestBuckets(t *testing.T) {
	for n, r := range map[int]ratelimit.Request{1: oneBucket(), 3: threeBuckets()} {
		l := limiter(t, ceiling, ceiling)
		before := sent(l)
		ticket, err := l.Acquire(t.Context(), &r)
		if err != nil {
			t.Fatal(err)
		}
		ticket.Done(answered(ceiling))
		if got := sent(l) - before; got != int64(n) {
			t.Errorf("a request of %d buckets charged %d", n, got)
		}
	}
}

func sent(l *ratelimit.Limiter) (n int64) {
	for _, b := range l.Snapshot().Buckets {
		n += b.Sent
	}
	return n
}

// Routing allocates nothing where no body is read.
func TestRouteAllocations(t *testing.T) {
	plan, err := ratelimit.Named("enterprise")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routed() {
		n := 0
		got := testing.AllocsPerRun(1000, func() { n += plan.Route(&r).N })
		if got != 0 || n == 0 {
			t.Errorf("%s %s: %v allocations, want none", r.Method, r.Path, got)
		}
	}
}

// Transport allocates at most 8 times more than what it is put on.
func TestRoundTripAllocations(t *testing.T) {
	const budget = 8
	for name, request := range map[string]requester{"GET": getUser, "POST": postUser} {
		measure := func(c *http.Client) float64 {
			return testing.AllocsPerRun(1000, func() {
				if err := send(c, request); err != nil {
					t.Fatal(err)
				}
			})
		}
		floor, got := measure(plain()), measure(paced(t))
		if got > floor+budget {
			t.Errorf("%s: %v allocations over the %v of net/http, want at most %d", name, got-floor, floor, budget)
		}
	}
}

// Every case runs, and the table has a row for each.
func TestMeasure(t *testing.T) {
	cases := Cases()
	results, err := Measure(cases, time.Millisecond, 1)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Print(&out, results); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out.String(), "\n"), len(cases)+2; got != want {
		t.Errorf("the table has %d lines, want %d:\n%s", got, want, out.String())
	}
	for _, r := range results {
		if r.Time <= 0 {
			t.Errorf("%s, %s: took no time", r.What, r.Who)
		}
	}
}

func TestVerdict(t *testing.T) {
	all := []Result{
		{Case: Case{What: "a", Who: HTTP}, Time: 2 * time.Microsecond},
		{Case: Case{What: "a", Who: Ours, Over: HTTP, Budget: 3 * time.Microsecond}, Time: 4 * time.Microsecond},
		{Case: Case{What: "a", Who: Ours, Over: HTTP, Budget: 3 * time.Microsecond}, Time: 6 * time.Microsecond},
		{Case: Case{What: "b", Who: Ours, Budget: 150}, Time: 150},
		{Case: Case{What: "b", Who: Ours, Budget: 150}, Time: 151},
		{Case: Case{What: "c", Who: Rate}, Time: 200},
		{Case: Case{What: "c", Who: Ours, Over: Rate, Times: 0.7}, Time: 140},
		{Case: Case{What: "c", Who: Ours, Over: Rate, Times: 0.7}, Time: 150},
	}
	for i, want := range []string{"", "+3µs, kept (+2µs)", "+3µs, missed (+4µs)", "150ns, kept (150ns)", "150ns, missed (151ns)",
		"", "0.7 of x/time/rate, kept (0.70)", "0.7 of x/time/rate, missed (0.75)"} {
		if got := all[i].verdict(all); got != want {
			t.Errorf("verdict of row %d is %q, want %q", i, got, want)
		}
	}
}
