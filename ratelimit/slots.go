package ratelimit

import "time"

// slots counts what is under way in a limit on concurrency: requests until they
// are answered, then the jobs that they started until those are over.
type slots struct {
	limit   int
	running int // requests in flight
	jobs    map[string]int64
	backoff int64 // ns, of the last rejection
}

// A job that nobody has asked about for jobSilence may be over: its slot is lent
// out again, and the server has the last word. Asking again is spaced from
// busyFirst to busyMost, doubling.
const (
	jobSilence = int64(time.Minute)
	busyFirst  = int64(5 * time.Second)
	busyMost   = int64(time.Minute)
)

func (s *slots) free(now int64) int {
	n := s.limit - s.running
	for _, seen := range s.jobs {
		if now-seen < jobSilence {
			n--
		}
	}
	return n
}

// freeAt returns when a slot is free if nothing is heard until then.
func (s *slots) freeAt(now int64) int64 {
	if s.free(now) > 0 {
		return now
	}
	at := int64(never)
	if s.running < s.limit {
		for _, seen := range s.jobs {
			if t := seen + jobSilence; t > now {
				at = min(at, t)
			}
		}
	}
	return at
}

func (s *slots) start(id string, now int64) {
	if s.jobs == nil {
		s.jobs = make(map[string]int64)
	}
	for old, seen := range s.jobs {
		if now-seen > 2*60*jobSilence { // Auth0 ends an import job after two hours
			delete(s.jobs, old)
		}
	}
	s.jobs[id] = now
	s.backoff = 0
}

// busy notes a rejection and returns how long to wait before asking again.
func (s *slots) busy() int64 {
	s.backoff = min(max(2*s.backoff, busyFirst), busyMost)
	return s.backoff
}
