package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// importJob is one run over one file of users.
type importJob struct {
	records    *recordReader
	skip       int    // leave out the first skip users,
	done       ranges // and these,
	only       ranges // and, unless empty, all but these
	connection string
	workers    int
	creator    *creator
	failures   *failureLog

	mu         sync.Mutex
	began      time.Time
	total      int // users taken on
	skipped    int
	created    int
	exists     int
	failed     int
	settled    ranges // left out, or what became of them is known for good
	failedAt   ranges
	unanswered int // in a row
	abort      error
	ended      bool   // the file has been read to its end
	stop       func() // called with the first error that ends the run
}

// grace is how long a run that was told to stop waits for what is under way.
const grace = 10 * time.Second

// unansweredLimit is how many users in a row may fail for want of an answer
// before the run ends: the tenant is gone, and the rest would fail as well.
const unansweredLimit = 20

// run imports until the file ends, stop closes, ctx ends, or nothing more can
// succeed. halt is called once when the run is to stop early, whatever the
// reason. The error is that of reading, of the failures file, or of a tenant
// that takes nothing; users that fail alone are not errors.
func (j *importJob) run(ctx context.Context, stop <-chan struct{}, halt func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopping := make(chan struct{})
	j.stop = sync.OnceFunc(func() {
		close(stopping)
		halt()
	})
	j.creator.stop = stopping
	j.mu.Lock()
	j.began = time.Now()
	j.mu.Unlock()

	// The feeder is not waited for: it may be stuck in a read from a terminal.
	queue := make(chan record)
	go func() {
		defer close(queue)
		j.feed(queue, stopping)
	}()
	var wg sync.WaitGroup
	for range j.workers {
		wg.Go(func() {
			for {
				select {
				case <-stopping:
					return
				case rec, ok := <-queue:
					if !ok {
						return
					}
					j.take()
					what, err := j.creator.create(ctx, &rec, j.connection)
					j.settle(&rec, what, err)
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		wg.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return j.reason()
	case <-stop:
	case <-stopping:
	case <-ctx.Done():
	}
	j.stop()
	select {
	case <-finished:
	case <-time.After(grace):
		cancel()
		<-finished
	}
	return j.reason()
}

// feed hands out the records until the file or the run ends.
func (j *importJob) feed(queue chan<- record, stopping <-chan struct{}) {
	for {
		rec, err := j.records.next()
		if errors.Is(err, io.EOF) {
			j.mu.Lock()
			j.ended = true
			j.mu.Unlock()
			return
		}
		if err != nil {
			j.fatal(fmt.Errorf("reading users: %w", err))
			return
		}
		if j.leaveOut(rec.number) {
			continue
		}
		select {
		case <-stopping:
			return
		default:
		}
		if rec.err != nil {
			j.take()
			j.settle(&rec, fateFailed, rec.err)
			continue
		}
		select {
		case queue <- rec:
		case <-stopping:
			return
		}
	}
}

func (j *importJob) take() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.total++
}

// leavesOut says whether the options leave out the nth user.
func (j *importJob) leavesOut(n int) bool {
	return n <= j.skip || j.done.has(n) || len(j.only) > 0 && !j.only.has(n)
}

// leaveOut books the nth user if it is left out.
func (j *importJob) leaveOut(n int) bool {
	if !j.leavesOut(n) {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.skipped++
	j.settled.add(n)
	return true
}

// settle books what became of a record.
func (j *importJob) settle(rec *record, what fate, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch what {
	case fateCreated:
		j.created++
	case fateExists:
		j.exists++
	case fateUnfinished:
		return
	case fateFailed:
		if errors.Is(err, errHopeless) {
			// Not this user's fault: it stays to be done.
			j.end(err)
			return
		}
		if errors.Is(err, errUnanswered) {
			if j.unanswered++; j.unanswered >= unansweredLimit {
				j.end(fmt.Errorf("%d users in a row without an answer: %w", j.unanswered, err))
			}
		}
		j.failed++
		j.failedAt.add(rec.number)
		e := j.failures.add(failure{Line: rec.line, Number: rec.number, User: rec.user(), Reason: rec.scrub(err.Error())})
		if e != nil {
			j.end(fmt.Errorf("writing failures: %w", e))
		}
	}
	if !errors.Is(err, errUnanswered) {
		j.unanswered = 0
	}
	j.settled.add(rec.number)
}

// end notes the first reason to end the run early. The caller holds the lock.
func (j *importJob) end(err error) {
	if j.abort == nil {
		j.abort = err
	}
	j.stop()
}

// early reports whether the run ended before the file did.
func (j *importJob) early() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.ended
}

// reason returns why the run ended early, nil when nothing was wrong.
func (j *importJob) reason() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.abort
}

func (j *importJob) fatal(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.end(err)
}

// status is how far a run has come.
type status struct {
	elapsed                                          time.Duration
	total, skipped, created, exists, failed, settled int
}

func (j *importJob) status() status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := status{total: j.total, skipped: j.skipped, created: j.created, exists: j.exists, failed: j.failed}
	s.settled = s.created + s.exists + s.failed
	if !j.began.IsZero() {
		s.elapsed = time.Since(j.began)
	}
	return s
}
