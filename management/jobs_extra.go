package management

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headroom-go/auth0"
)

const (
	firstPoll = time.Second
	lastPoll  = 15 * time.Second
)

// Wait asks for a job until it is over, at first after a second and then less often, and returns it. That a job is over does not mean
// that it went well: its Status is completed or failed, and a completed import has a Summary with the users that failed. ctx bounds
// the wait; the API itself ends a job after two hours.
func (s *JobsService) Wait(ctx context.Context, id string, opts ...auth0.RequestOption) (*Job, error) {
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstPoll), backoff.WithMaxInterval(lastPoll), backoff.WithMaxElapsedTime(0))
	for {
		job, err := s.Get(ctx, id, opts...)
		if err != nil || job.Status == "completed" || job.Status == "failed" {
			return job, err
		}
		wait := time.NewTimer(delays.NextBackOff())
		select {
		case <-ctx.Done():
			wait.Stop()
			return job, ctx.Err()
		case <-wait.C:
		}
	}
}

// JobErrors is what went wrong in a job. A job that failed as a whole has Job, one that failed for some users has Users; a job that
// went well, or failed without saying why, has neither.
type JobErrors struct {
	// Users are the users that could not be imported, each with the reasons.
	Users []JobUserErrors
	// Job describes a failure of the whole job, nil otherwise.
	Job *Job
}

// JobUserErrors are the errors of one user of an import.
type JobUserErrors struct {
	// User is the user as it stood in the imported file, without the secrets.
	User map[string]any `json:"user"`
	// Errors are the reasons.
	Errors []JobUserError `json:"errors"`
}

// JobUserError is one reason why a user could not be imported.
type JobUserError struct {
	// Code is made for programs, such as DUPLICATED_USER.
	Code string `json:"code"`
	// Message is made for people.
	Message string `json:"message"`
	// Path is the property at fault, as a JSON path.
	Path string `json:"path"`
}

// UnmarshalJSON accepts a list of users or the description of a failed job.
func (e *JobErrors) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return auth0.Decode(b, &e.Users)
	}
	e.Job = new(Job)
	return auth0.Decode(b, e.Job)
}

// MarshalJSON writes what UnmarshalJSON reads.
func (e JobErrors) MarshalJSON() ([]byte, error) {
	if e.Job != nil {
		return json.Marshal(e.Job)
	}
	return json.Marshal(e.Users)
}
