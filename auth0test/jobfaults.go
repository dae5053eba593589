package auth0test

import (
	"time"
)

// JobFault is what goes wrong with one import job. The zero value is nothing.
type JobFault struct {
	// Time is how long the job takes, 0 for what Options say. One of more than two
	// hours is ended then.
	Time time.Duration
	// Fail has the job end as failed, Details being what it says about that.
	Fail    bool
	Details string
	// Done is how many of its users a job that fails, or takes too long, has
	// carried out by then.
	Done int
	// Forget has the tenant forget the job as soon as it is over, and ForgetErrors
	// its list of errors.
	Forget, ForgetErrors bool
	// Spoil gives the nth user, from 0, an error of this code in place of carrying
	// it out; "" carries it out.
	Spoil func(n int) string
	// HideErrors leaves so many entries out of the list of errors.
	HideErrors int
	// StrangeErrors has the list of errors name users that were never sent.
	StrangeErrors bool
	// NoSummary leaves the summary out.
	NoSummary bool
}

// befall decides what goes wrong with a new job, and when it ends.
func (t *Tenant) befall(j *job) {
	t.imports++
	if t.o.ImportFault != nil {
		j.fault = t.o.ImportFault(t.imports, len(j.users))
	}
	f := &j.fault
	if f.Time > 0 {
		j.ends = j.created + f.Time
	}
	fail := func(details string) {
		if j.broken == "" {
			j.users, j.failed, j.broken = j.users[:min(max(f.Done, 0), len(j.users))], true, details
		}
	}
	if j.ends > j.created+importTimeout {
		j.ends = j.created + importTimeout
		fail("The job timed out.")
	} else if f.Fail {
		fail(f.Details)
	}
}

// spoiled is the error of a user that a fault keeps from being carried out, nil
// for none.
func (j *job) spoiled(n int) map[string]any {
	if j.fault.Spoil == nil {
		return nil
	}
	code := j.fault.Spoil(n)
	if code == "" {
		return nil
	}
	return map[string]any{"code": code, "message": "The user could not be imported", "path": ""}
}

// listed is the list of errors as the job's faults leave it.
func (j *job) listed() []any {
	list := j.errors[:max(0, len(j.errors)-j.fault.HideErrors)]
	if !j.fault.StrangeErrors {
		return list
	}
	strange := make([]any, 0, len(list))
	for _, e := range list {
		entry := e.(map[string]any)
		strange = append(strange, map[string]any{"user": map[string]any{"email": "nobody@example.org"}, "errors": entry["errors"]})
	}
	return strange
}

// details is what a failed job says about itself.
func (j *job) details(doc map[string]any) {
	if j.broken != "" {
		doc["status_details"] = j.broken
	}
}

// ImportPeak returns the most import jobs that were under way at a time so far.
func (t *Tenant) ImportPeak() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.importPeak
}

// peak counts the jobs under way.
func (t *Tenant) peak(active int) { t.importPeak = max(t.importPeak, active) }
