package auth0test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each fault of an import job, as a client sees it: the job's state when it is
// over, its errors, and the users that it left behind.
func TestJobFaults(t *testing.T) {
	t.Parallel()
	const users = `[{"email":"a@example.com"},{"email":"b@example.com"},{"email":"nobody"},{"email":"none"}]`
	for _, tt := range []struct {
		name    string
		fault   JobFault
		after   time.Duration
		status  int
		says    string // of the job
		errors  int    // status of its errors
		listed  int
		strange bool
		users   int
	}{
		{name: "none", after: 5 * time.Second, status: 200, says: "map[failed:2 inserted:2 total:4 updated:0]", errors: 200, listed: 2, users: 2},
		{name: "slow, under way", fault: JobFault{Time: time.Minute}, after: 5 * time.Second, status: 200, says: "pending", errors: 204},
		{name: "slow", fault: JobFault{Time: time.Minute}, after: time.Minute, status: 200, says: "completed", errors: 200, listed: 2, users: 2},
		{name: "too slow", fault: JobFault{Time: 3 * time.Hour, Done: 1}, after: 2 * time.Hour, status: 200, says: "The job timed out.", errors: 200, users: 1},
		{name: "failed", fault: JobFault{Fail: true, Details: "Out of memory", Done: 2}, after: 5 * time.Second, status: 200, says: "Out of memory", errors: 200, users: 2},
		{name: "failed in silence", fault: JobFault{Fail: true}, after: 5 * time.Second, status: 200, says: "failed", errors: 200},
		{name: "forgotten", fault: JobFault{Forget: true}, after: 5 * time.Second, status: 404, errors: 404, users: 2},
		{name: "errors forgotten", fault: JobFault{ForgetErrors: true}, after: 5 * time.Second, status: 200, says: "completed", errors: 404, users: 2},
		{name: "errors hidden", fault: JobFault{HideErrors: 1}, after: 5 * time.Second, status: 200, says: "failed:2", errors: 200, listed: 1, users: 2},
		{name: "all errors hidden", fault: JobFault{HideErrors: 5}, after: 5 * time.Second, status: 200, says: "failed:2", errors: 204, users: 2},
		{name: "errors of others", fault: JobFault{StrangeErrors: true}, after: 5 * time.Second, status: 200, says: "failed:2", errors: 200, listed: 2, strange: true, users: 2},
		{name: "no summary", fault: JobFault{NoSummary: true}, after: 5 * time.Second, status: 200, says: "completed", errors: 200, listed: 2, users: 2},
		{name: "spoiled", fault: JobFault{Spoil: func(n int) string { return []string{"INTERNAL", "", "", ""}[n] }}, after: 5 * time.Second, status: 200, says: "map[failed:3 inserted:1 total:4 updated:0]", errors: 200, listed: 3, users: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			asked := ""
			tenant := newImportTenant(t, clock, Options{JobTime: 5 * time.Second, ImportFault: func(n, users int) JobFault {
				asked += fmt.Sprintf("%d:%d ", n, users)
				return tt.fault
			}})
			doc := importFile(t, tenant, users, "connection_id", testConnection).doc(t)
			id, _ := doc["id"].(string)
			if asked != "1:4 " {
				t.Errorf("the fault was asked for %q", asked)
			}
			clock.set(tt.after)
			r := send(t, tenant, "GET", "/api/v2/jobs/"+id, "")
			if r.status != tt.status {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if got := fmt.Sprint(r.doc(t)); !strings.Contains(got, tt.says) || tt.fault.NoSummary && strings.Contains(got, "summary") {
				t.Errorf("%s, want %q", got, tt.says)
			}
			r = send(t, tenant, "GET", "/api/v2/jobs/"+id+"/errors", "")
			if n := strings.Count(r.body, `"errors":`); r.status != tt.errors || n != tt.listed || strings.Contains(r.body, "nobody@example.org") != tt.strange {
				t.Errorf("errors: %d with %d entries: %s", r.status, n, r.body)
			}
			if got := tenant.Report().Users; got != tt.users {
				t.Errorf("%d users, want %d", got, tt.users)
			}
			if tenant.ImportPeak() != 1 {
				t.Errorf("%d jobs at a time", tenant.ImportPeak())
			}
		})
	}
}
