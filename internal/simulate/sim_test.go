package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// seeds are the runs of each scenario.
const seeds = 10

func TestMain(m *testing.M) {
	debug.SetGCPercent(800) // runs make much garbage and keep little
	m.Run()
}

// TestScenarios holds the engine to every scenario of design and issue.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			check(t, sc, seeds)
		})
	}
}

// TestPublished holds it to every limit of every published plan on three
// networks. Runs of limits above 50 a second are ten minutes long here, in place
// of an hour, and have one seed: go run ./internal/simulate -published runs them
// in full.
func TestPublished(t *testing.T) {
	t.Parallel()
	limits := published()
	if len(limits) < 100 {
		t.Fatalf("%d different limits, want those of all plans, more than 100", len(limits))
	}
	for _, l := range limits {
		for _, n := range networks {
			sc := on(l, n, 3*time.Minute)
			runs := seeds
			if l.rate() > 50 {
				runs = 1
			}
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				check(t, sc, runs)
			})
		}
	}
}

func check(t *testing.T, sc *scenario, runs int) {
	t.Helper()
	var s sum
	for seed := range uint64(runs) {
		s.add(sc, run(sc, headroom.make(), seed+1))
	}
	if !s.met(sc) {
		t.Errorf("used %.4f %% at the least, %.2f rejections an hour; want %.1f %% and at most %.0f",
			100*s.worst, s.rejected, 100*sc.want, sc.rejections)
	}
}

// TestApproachesDiffer checks that the scenarios tell approaches apart: what is
// expected of today's follows from the scenario.
func TestApproachesDiffer(t *testing.T) {
	t.Parallel()
	plain := func() *scenario { return &scenario{limits: []limit{typical}, net: wan} }

	// One request in flight at 80 ms a round trip is 12.5 a second of 16; a
	// rest of nothing makes it wait besides.
	r := run(plain(), &oneInFlight{}, 1)
	if r.used() > 12.5/16+0.01 || r.rejected != 0 {
		t.Errorf("one in flight: used %.3f with %d rejections", r.used(), r.rejected)
	}

	// A local bucket that knows nothing of another consumer is turned away for
	// about what that one takes: 3.2 a second, 11,520 an hour, less what it
	// loses itself.
	sc := plain()
	sc.foreign = 0.2
	if r := run(sc, &exactLocal{}, 1); r.rejected < 5000 || r.rejected > 11520 {
		t.Errorf("exact local bucket beside another consumer: %d rejections", r.rejected)
	}

	// 32 workers that learn from rejections have at least one each time the
	// bucket runs dry, and it does so all the time.
	if r := run(plain(), &sleepAfter429{}, 1); r.rejected < 3600 {
		t.Errorf("sleep after 429: %d rejections", r.rejected)
	}
	if r := run(plain(), &lastHeader{}, 1); r.rejected < 3600 {
		t.Errorf("last header seen: %d rejections", r.rejected)
	}
}

// TestAllowance checks the measure itself by arithmetic.
func TestAllowance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sc   scenario
		want int64
	}{
		{scenario{limits: []limit{typical}, net: wan}, 50 + 16*3600},
		{scenario{limits: []limit{typical}, net: wan, initial: 1}, 16 * 3600},
		{scenario{limits: []limit{{5, 5, 24 * time.Hour, 0}}, net: wan, length: 48 * time.Hour}, 15},
		{scenario{limits: []limit{typical, {20, 200, time.Minute, 0}}, net: wan}, 20 + 200*60},
		{scenario{limits: []limit{{50, 16, time.Second, time.Second}}, net: wan}, 50 + 16*3600},
	} {
		if r := run(&c.sc, &oneInFlight{}, 1); r.allowance != c.want {
			t.Errorf("%v: allowance %d, want %d", c.sc.limits, r.allowance, c.want)
		}
	}
}

// TestPicture checks that the picture in docs is what the command draws.
func TestPicture(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens.svg")
	if err := picture(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("..", "..", "docs", "tokens.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/tokens.svg is out of date: go run ./internal/simulate -svg docs/tokens.svg")
	}
	if !strings.Contains(string(got), "headroom: ") || !strings.Contains(string(got), ", 0 turned away") {
		t.Error("the picture does not show a run without rejections")
	}
}
