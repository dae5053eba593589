package auth0test

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// ReportPath is where a tenant that serves HTTP gives its [Report] as JSON to a
// GET request. Asking draws from no bucket, suffers no fault and is not counted.
const ReportPath = "/__headroom/report"

// Report is what a tenant has seen and done. Its JSON form is served under
// [ReportPath]. It holds no e-mail address, token, password or key of a counter.
type Report struct {
	// Plan is the name of the plan enforced.
	Plan string `json:"plan"`
	// First and Last are the tenant's times of the first and the last request
	// handled, zero without any.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`

	// Requests counts the requests that reached the tenant.
	Requests int64 `json:"requests"`
	// Accepted counts those that the limits let pass, whatever came of them;
	// Rejected those that they did not: Requests = Accepted + Rejected.
	Accepted int64 `json:"accepted"`
	Rejected int64 `json:"rejected"`
	// RejectedByForm splits Rejected by the name of the form, see [Form.String].
	RejectedByForm map[string]int64 `json:"rejected_by_form"`
	// ByStatus counts the answers given by status, those that were lost included.
	ByStatus map[int]int64 `json:"by_status"`
	// Refused, LostRequests and LostAnswers count the faults of these names. The
	// first two never reached the tenant and are in no other count.
	Refused      int64 `json:"refused"`
	LostRequests int64 `json:"lost_requests"`
	LostAnswers  int64 `json:"lost_answers"`
	// Unclosed is the number of response bodies handed out by RoundTrip that
	// their caller has not closed.
	Unclosed int64 `json:"unclosed"`

	// Buckets are those that a request or a consumer has drawn from, in the
	// plan's order.
	Buckets []BucketReport `json:"buckets"`

	// Users is the number of users there are, ActiveJobs of import jobs running.
	Users      int `json:"users"`
	ActiveJobs int `json:"active_jobs"`
}

// BucketReport is what happened to one bucket of the plan. A bucket that counts
// by address, subject or the like is many counters; the figures are their sums.
type BucketReport struct {
	Name string `json:"name"`
	API  string `json:"api"`
	// Burst, Count and Per are the limit as it is now; Per in nanoseconds in JSON.
	Burst int64         `json:"burst"`
	Count int64         `json:"count"`
	Per   time.Duration `json:"per"`
	// Counters is the number of identities counted apart.
	Counters int `json:"counters"`
	// Taken is the number of tokens that requests took, those included that a
	// later bucket then rejected. Rejected is the number of requests that found
	// this bucket empty.
	Taken    int64 `json:"taken"`
	Rejected int64 `json:"rejected"`
	// Foreign is what consumers took, Missed what they came for in vain.
	Foreign int64 `json:"foreign"`
	Missed  int64 `json:"missed"`
	// Available is what the requests could have taken at most from the first of
	// them to the last: the tokens there at the first request, and every token
	// that came from then until the last one inclusive, less those that
	// consumers took in that time. For a bucket of 50 at 16 a second that was
	// full, with T seconds from first to last, it is 50 + floor(16*T). A refill
	// that a full bucket would spill counts as available. A limit raised by n in
	// that time adds n, as a waiting caller would have got them at once.
	Available int64 `json:"available"`
	// Used is Taken/Available, 0 without requests.
	Used float64 `json:"used"`
}

// Bucket returns the report of a bucket; nil when nothing drew from it.
func (r Report) Bucket(name string) *BucketReport {
	for i := range r.Buckets {
		if r.Buckets[i].Name == name {
			return &r.Buckets[i]
		}
	}
	return nil
}

// stats counts requests and answers.
type stats struct {
	any                                bool
	first, last                        time.Duration
	requests, rejected                 int64
	refused, lostRequests, lostAnswers int64
	byForm                             map[Form]int64
	byStatus                           map[int]int64
}

func newStats() stats {
	return stats{byForm: make(map[Form]int64), byStatus: make(map[int]int64)}
}

// note counts an answer.
func (s *stats) note(now time.Duration, a answer, f fate) {
	if !s.any {
		s.any, s.first = true, now
	}
	s.last = now
	s.requests++
	s.byStatus[a.status]++
	if a.rejected {
		s.rejected++
		s.byForm[a.form]++
	}
	if f.loseAnswer {
		s.lostAnswers++
	}
}

// Report returns what the tenant has seen and done so far.
func (t *Tenant) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance(t.tick())
	s := &t.stats
	r := Report{
		Requests: s.requests, Accepted: s.requests - s.rejected, Rejected: s.rejected,
		RejectedByForm: make(map[string]int64), ByStatus: maps.Clone(s.byStatus),
		Refused: s.refused, LostRequests: s.lostRequests, LostAnswers: s.lostAnswers,
		Unclosed: t.unclosed.Load(), Buckets: []BucketReport{}, Users: len(t.users.list),
	}
	if t.o.Plan != nil {
		r.Plan = t.o.Plan.Name
	}
	if s.any {
		r.First, r.Last = wall(s.first), wall(s.last)
	}
	for form, n := range s.byForm {
		r.RejectedByForm[form.String()] = n
	}
	for _, j := range t.jobs {
		if j.kind == jobImport && j.status == "pending" {
			r.ActiveJobs++
		}
	}
	sums := make(map[int]*BucketReport)
	for key, c := range t.counters {
		if !c.used && c.foreign+c.missed == 0 {
			continue
		}
		b := sums[key.bucket]
		if b == nil {
			def := &t.buckets[key.bucket]
			b = &BucketReport{Name: def.Name, API: def.API, Burst: def.Burst, Count: def.Rate.Count, Per: def.Rate.Per}
			sums[key.bucket] = b
		}
		b.Counters++
		b.Taken += c.taken
		b.Rejected += c.rejected
		b.Foreign += c.foreign
		b.Missed += c.missed
		b.Available += c.available()
	}
	for _, i := range slices.Sorted(maps.Keys(sums)) {
		b := sums[i]
		if b.Available > 0 {
			b.Used = float64(b.Taken) / float64(b.Available)
		}
		r.Buckets = append(r.Buckets, *b)
	}
	return r
}

// report answers a request for the report over HTTP.
func (t *Tenant) report(method string) answer {
	if method != http.MethodGet && method != http.MethodHead {
		a := failure(http.StatusMethodNotAllowed, "", "Method Not Allowed")
		a.header.Set("Allow", "GET, HEAD")
		return a
	}
	return jsonAnswer(http.StatusOK, t.Report())
}
