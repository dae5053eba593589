package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

// memoryEnv holds how many users a child is to import.
const memoryEnv = "IMPORTER_MEMORY_CHILD"

// jobsOnly is a tenant that keeps nothing: it takes import jobs, which are over
// at once, and every hundredth user of them is there already.
type jobsOnly struct {
	mu   sync.Mutex
	jobs map[string][]byte // their errors
	sums map[string]string
}

func (j *jobsOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
		}, nil
	}
	path := req.URL.Path
	switch {
	case path == "/api/v2/connections":
		return answer(200, `[{"id":"con_1","name":"`+DefaultConnection+`","strategy":"auth0"}]`)
	case req.Method == http.MethodPost:
		text, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
		n, failed := 0, []byte("[")
		for rest := string(text); ; n++ {
			_, after, ok := strings.Cut(rest, `"email":"`)
			if !ok {
				break
			}
			email, _, _ := strings.Cut(after, `"`)
			rest = after
			if n%100 == 0 {
				if len(failed) > 1 {
					failed = append(failed, ',')
				}
				failed = fmt.Appendf(failed, `{"user":{"email":%q},"errors":[{"code":"CONFLICT","message":"exists","path":""}]}`, email)
			}
		}
		id := fmt.Sprintf("job_%d", len(j.sums))
		j.jobs[id] = append(failed, ']')
		there := (n + 99) / 100
		j.sums[id] = fmt.Sprintf(`{"id":%q,"status":"completed","type":"users_import","summary":{"total":%d,"inserted":%d,"updated":0,"failed":%d}}`, id, n, n-there, there)
		return answer(202, `{"id":"`+id+`","status":"pending","type":"users_import"}`)
	case strings.HasSuffix(path, "/errors"):
		id := strings.Split(path, "/")[4]
		body := string(j.jobs[id])
		delete(j.jobs, id)
		return answer(200, body)
	}
	return answer(200, j.sums[strings.Split(path, "/")[4]])
}

// memoryChild imports generated users in a process of its own, and prints the
// most memory that was resident.
func memoryChild() int {
	n, err := strconv.Atoi(os.Getenv(memoryEnv))
	if err != nil {
		return 2
	}
	debug.SetMemoryLimit(48 << 20) // a program that means to stay below 64 says so
	src := Users(func(yield func(any, error) bool) {
		var b []byte
		for i := 1; i <= n; i++ {
			b = fmt.Appendf(b[:0], `{"email":"user%07d@example.com","user_id":"u%07d","given_name":"Given","family_name":"Family %d","app_metadata":{"plan":"basic","legacy":%d}}`, i, i, i, i)
			if !yield(b, nil) {
				return
			}
		}
	})
	c, err := auth0.New("tenant.example", auth0.WithToken("t"), auth0.WithOwnPlan(&ratelimit.Plan{Name: "none"}),
		auth0.WithHTTPClient(&http.Client{Transport: &jobsOnly{jobs: map[string][]byte{}, sums: map[string]string{}}}))
	if err != nil {
		return 2
	}
	r, err := Run(context.Background(), c, src, Options{firstPoll: time.Millisecond, Ledger: os.Getenv(memoryEnv + "_LEDGER")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf(`{"resident":%d,"created":%d,"exists":%d,"total":%d}`, resident(), r.Created, r.Exists, r.Total)
	return 0
}

// resident is the most memory that this process had, in bytes; what Go took from
// the system where that is not told.
func resident() int {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err == nil {
				return kb << 10
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.Sys)
}

// 1,000,000 users, every hundredth of whom is in the tenant already, pass through
// a process that never has more than 64 MiB resident, duplicates looked for and
// a ledger kept.
func TestMemory(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // its own binary
	cmd.Env = append(os.Environ(), memoryEnv+"="+strconv.Itoa(memoryUsers), memoryEnv+"_LEDGER="+t.TempDir()+"/ledger")
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v", out, err)
	}
	var got struct{ Resident, Created, Exists, Total int }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Total != memoryUsers || got.Created+got.Exists != memoryUsers || got.Exists < memoryUsers/100 {
		t.Errorf("%+v", got)
	}
	if got.Resident > memoryMost {
		t.Errorf("%.1f MiB were resident, want %d", float64(got.Resident)/(1<<20), memoryMost>>20)
	}
	t.Logf("%d users, %.1f MiB, %v", got.Total, float64(got.Resident)/(1<<20), time.Since(began).Round(time.Millisecond))
}
