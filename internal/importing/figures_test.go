package main

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// 100,000 users (10,000 under the race detector), one in a hundred of them bad: every one is accounted for once,
// the tenant turns nothing back, no third job is ever begun although the tenant
// would let it, and both ways use 98 % of what the tenant allows.
func TestFigures(t *testing.T) {
	t.Parallel()
	const n = population
	good, refused, failed, exist := tally(n)
	if good+refused+failed+exist != n || refused+failed+exist != n/100 {
		t.Fatalf("the bad are %d + %d + %d", refused, failed, exist)
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f := k.run(t, n)
			r := f.report
			if r.Created != good || r.Refused != refused || r.Failed != failed || r.Exists != exist || r.Total != n || r.Unfinished != 0 {
				t.Errorf("%d created, %d refused, %d failed, %d exist of %d, want %d, %d, %d, %d", r.Created, r.Refused, r.Failed, r.Exists, r.Total, good, refused, failed, exist)
			}
			if f.users != good+exist {
				t.Errorf("the tenant has %d users, want %d", f.users, good+exist)
			}
			if f.rejected != 0 || r.Rejected != 0 {
				t.Errorf("%d requests were rejected, by the report %d", f.rejected, r.Rejected)
			}
			if f.peak > k.jobs {
				t.Errorf("%d jobs at a time, want at most %d", f.peak, k.jobs)
			}
			if share := f.share(); share < 0.98 || share > 1.001 {
				t.Errorf("%v for what takes %v at least: %.2f %%, want 98", f.elapsed, f.allowed, 100*share)
			}
		})
	}
}
