package batch

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// All batches at once, in real time, against tenants in processes of their own.
// 400 users through 50 burst at 16 a second take (400-50)/16 = 21.9 s at best.
func TestBatches(t *testing.T) {
	ours := Ours()
	results, err := Run(t.Context(), append(ours, Peers()...))
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := Print(&table, results); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	for i := range results {
		r := &results[i]
		t.Run(fmt.Sprintf("%s, %d workers, %s", r.Client, r.Workers, r.server()), func(t *testing.T) { check(t, r, i < len(ours)) })
	}
}

func check(t *testing.T, r *Result, own bool) {
	t.Helper()
	if !own && !strings.HasSuffix(r.Client, over) {
		// The control: the tenant does enforce, and there is something to gain.
		if r.Rejected == 0 {
			t.Error("the SDK alone met no rejection: the tenant enforces nothing")
		}
		return
	}
	if r.Created != r.Users || r.Lost != 0 || r.Doubled != 0 {
		t.Errorf("created %d of %d, %d lost, %d doubled", r.Created, r.Users, r.Lost, r.Doubled)
	}
	var most int64
	if strings.Contains(strings.Join(r.Tenant, " "), "--consumer") {
		most = 5 // what the consumer takes within one round trip cannot be known
	}
	if r.Rejected > most {
		t.Errorf("%d rejections, want at most %d", r.Rejected, most)
	}
	if r.Server == "" {
		if r.Used < 0.99 {
			t.Errorf("%.2f %% of the allowance used, want 99", 100*r.Used)
		}
		if least := time.Duration(float64(r.Users-50) / 16 * float64(time.Second)); r.Elapsed < least-time.Second/16 {
			t.Errorf("took %v: the tenant let more pass than it allows in %v", r.Elapsed, least)
		}
	}
}

func TestRunReportsWhatFailed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Ours()); err == nil {
		t.Error("a run without time to build anything succeeded")
	}
}
