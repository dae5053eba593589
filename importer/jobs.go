package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
)

const (
	// chunkBytes is the most JSON in one job: what its body may hold, less its
	// other parts.
	chunkBytes = jobBody - jobFrame
	// retryUsers is how many users a job of another try holds at most.
	retryUsers = 100

	firstPoll = time.Second
	lastPoll  = 15 * time.Second
	// attemptsWhole is how often a chunk whose job fails as a whole is sent as it
	// is; then it is split, down to single users.
	attemptsWhole = 2
	// attemptsAlone is how often a job for a single user may fail.
	attemptsAlone = 3
	// failedJobsLimit is how many jobs in a row may fail before the run ends.
	failedJobsLimit = 20
	// lostLimit is how many answers in a row to the creation of one job may be
	// lost before the run ends.
	lostLimit = 25
	// goneLimit is how many jobs of one chunk in a row the tenant may not know of
	// before the run ends.
	goneLimit = 5
	// lookupsAtATime bounds the users of one chunk that are looked up at a time.
	lookupsAtATime = 8
	// jobLife is what Auth0 gives a job before it ends it.
	jobLife = 2 * time.Hour
)

// chunk is the users of one import job.
type chunk struct {
	number  int
	attempt int
	users   Ranges
	numbers []int
	lines   []int
	ends    []int // of each user, in body

	body   []byte // up to the end of the JSON; the fields behind it are added when it is sent
	start  int    // of the JSON
	known  bool   // users is known already
	sealed bool

	since time.Time // the tenant's time before the first attempt that may have created users
	doubt string    // why that is not known
	noted bool      // the report says so
	job   string    // that is under way
	sum   uint32    // as the ledger has it
	began time.Time // when the job was created
	gone  int       // its jobs in a row that the tenant did not know of
}

// newChunk makes an empty chunk. Its number is given when it is first sent; size is about what its users have.
func (r *run) newChunk(size int) *chunk {
	c := &chunk{}
	c.body = append(make([]byte, 0, min(size+jobFrame, jobBody)), "--"+r.boundary+"\r\n"+
		"Content-Disposition: form-data; name=\"users\"; filename=\"users.json\"\r\n"+
		"Content-Type: application/json\r\n\r\n"...)
	c.start = len(c.body)
	c.body = append(c.body, '[')
	return c
}

// reopen makes a chunk of the ledger, to be filled from the input.
func (r *run) reopen(o *openChunk) *chunk {
	c := r.newChunk(o.bytes)
	c.known = true
	c.number, c.attempt, c.users = o.number, o.attempt, o.users.Clone()
	c.since, c.doubt, c.job, c.sum = o.since, o.doubt, o.job, o.sum
	if o.sent && o.job == "" && o.doubt == "" {
		c.doubt = "the run ended before the answer to its creation"
	}
	return c
}

// fits reports whether a user can be added without the chunk growing too large.
func (c *chunk) fits(rec *Record) bool {
	return len(c.body)-c.start+len(rec.User)+len(",]") <= chunkBytes
}

// add appends a user. It reports whether there was room.
func (c *chunk) add(rec *Record) bool {
	if rec.User == nil {
		return false
	}
	if len(c.numbers) > 0 {
		c.body = append(c.body, ',')
	}
	c.body = append(c.body, rec.User...)
	c.numbers = append(c.numbers, rec.Number)
	c.lines = append(c.lines, rec.Line)
	c.ends = append(c.ends, len(c.body))
	if !c.known {
		c.users.Add(rec.Number)
	}
	return true
}

// anonymous takes what identifies the chunk's users, and their secrets, out of a
// text of the tenant's.
func (c *chunk) anonymous(text string) string {
	for i := range c.numbers {
		k := c.keys(i)
		for _, v := range []string{k.Email, k.UserID, k.Username, k.Phone} {
			if len(v) >= shortestSecret {
				text = strings.ReplaceAll(text, v, "[redacted]")
			}
		}
		text = scrub(text, c.user(i))
	}
	return text
}

func (c *chunk) seal() {
	if !c.sealed {
		c.body, c.sealed = append(c.body, ']'), true
	}
}

func (c *chunk) json() []byte     { return c.body[c.start:] }
func (c *chunk) checksum() uint32 { return crc32.Checksum(c.json(), castagnoli()) }

// user returns the JSON of the ith user.
func (c *chunk) user(i int) []byte {
	from := c.start + 1
	if i > 0 {
		from = c.ends[i-1] + 1
	}
	return c.body[from:c.ends[i]]
}

// form returns the body of the request.
func (r *run) form(c *chunk, externalID string) []byte {
	body := c.body
	if c.attempt > 1 {
		body = slices.Clone(body) // the last attempt may still be reading what is behind it
	}
	field := func(name, value string) {
		body = append(body, "\r\n--"+r.boundary+"\r\nContent-Disposition: form-data; name=\""+name+"\"\r\n\r\n"+value...)
	}
	field("connection_id", r.connection.id)
	field("upsert", strconv.FormatBool(r.o.Upsert))
	field("external_id", externalID)
	field("send_completion_email", strconv.FormatBool(r.o.SendCompletionEmail))
	return append(body, "\r\n--"+r.boundary+"--\r\n"...)
}

// queue is the chunks that wait for a slot: those to be sent again, then those
// that come from the input.
type queue struct {
	fresh chan *chunk

	mu      sync.Mutex
	again   []*chunk
	open    int  // handed out and not accounted for
	closed  bool // the input has come to its end
	changed chan struct{}
}

func newQueue() *queue { return &queue{fresh: make(chan *chunk), changed: make(chan struct{})} }

// put waits until a slot takes the chunk, or stop closes.
func (q *queue) put(stop <-chan struct{}, c *chunk) bool {
	select {
	case q.fresh <- c:
		return true
	case <-stop:
		return false
	}
}

func (q *queue) close() { q.change(func() { q.closed = true }) }

// repeat puts chunks, or parts of one, in front.
func (q *queue) repeat(parts ...*chunk) {
	q.change(func() { q.again = append(q.again, parts...); q.open += len(parts) })
}

// done says that a chunk is accounted for, or was put back.
func (q *queue) done() { q.change(func() { q.open-- }) }

func (q *queue) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	close(q.changed)
	q.changed = make(chan struct{})
}

// next returns a chunk to send, nil when there will be none.
func (q *queue) next(stop <-chan struct{}) *chunk {
	for {
		q.mu.Lock()
		if len(q.again) > 0 {
			c := q.again[0]
			q.again = q.again[1:] // it counts as open already
			q.mu.Unlock()
			return c
		}
		if q.closed && q.open == 0 {
			q.mu.Unlock()
			return nil
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-stop:
			return nil
		default:
		}
		select {
		case c := <-q.fresh:
			q.mu.Lock()
			q.open++
			q.mu.Unlock()
			return c
		case <-changed:
		case <-stop:
			return nil
		}
	}
}

// slot runs one job after another. What a job left behind is collected while
// the next one runs.
func (r *run) slot(p *pass) {
	var collecting sync.WaitGroup
	defer collecting.Wait()
	for {
		c := p.queue.next(r.stopping)
		if c == nil {
			return
		}
		job := r.carry(p, c)
		if job == nil {
			p.queue.done()
			continue
		}
		collecting.Wait() // one at a time
		collecting.Go(func() {
			defer p.queue.done()
			r.collect(p, c, job)
		})
	}
}

// carry takes a chunk through a job that completes, and returns it; nil when
// the chunk went elsewhere: split, or left to another run.
func (r *run) carry(p *pass, c *chunk) *management.Job {
	for {
		if c.job == "" && !r.start(p, c) {
			return nil
		}
		job, err := r.await(c)
		switch {
		case errors.Is(err, auth0.ErrNotFound):
			if !r.isGone(c, "its job "+c.job+" is gone: Auth0 forgets jobs after a day") {
				return nil
			}
		case err != nil:
			return nil // the run ends; the ledger has the job
		case job.Status == "failed":
			r.ran(c, job)
			if !r.failedJob(p, c, job) {
				return nil
			}
		default:
			r.ran(c, job)
			r.mu.Lock()
			r.failedJobs = 0
			r.mu.Unlock()
			return job
		}
	}
}

// start creates the job of a chunk. It reports false when the chunk went
// elsewhere or the run is to end.
func (r *run) start(p *pass, c *chunk) bool {
	delays := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	if c.doubt != "" && !c.noted && !r.inDoubt(c, c.doubt) {
		return false
	}
	for lost := 0; ; {
		job, left, err := r.create(c)
		e, answered := errors.AsType[*auth0.Error](err)
		answered = answered && e.Status != 0
		switch {
		case err == nil:
			r.mu.Lock()
			r.running++
			r.note, r.trouble = "", ""
			r.mu.Unlock()
			c.job, c.began = job.ID, time.Now()
			r.o.Log.Info("importer: job created", "job", job.ID, "chunk", c.number, "users", len(c.numbers), "bytes", len(c.json()))
			return r.write(true, &entry{What: lineJob, Chunk: c.number, Job: job.ID}) == nil
		case r.led.broken() != nil:
			return false
		case !left || errors.Is(err, auth0.ErrNotSent) || answered && e.Status < 500 && e.Status >= 400:
			// Nothing was done.
			if left && r.write(false, &entry{What: lineUnsent, Chunk: c.number}) != nil {
				return false
			}
			switch {
			case r.halted() || r.work.Err() != nil:
				return false
			case errors.Is(err, auth0.ErrRateLimited):
				r.setNote("waiting for a slot: import jobs of others are running")
			case errors.Is(err, auth0.ErrTooLarge):
				r.split(p, c, "")
				return false
			case hopeless(err):
				r.fail(fmt.Errorf("%w: %w", errHopeless, err))
				return false
			case !passing(err):
				r.fail(fmt.Errorf("the tenant refuses import jobs: %w", err))
				return false
			}
			if !errors.Is(err, auth0.ErrRateLimited) {
				r.setTrouble(err)
			}
			if answered || errors.Is(err, auth0.ErrRateLimited) {
				lost = 0
			} else if lost++; lost >= lostLimit {
				r.fail(fmt.Errorf("%w: %w", errUnanswered, err))
				return false
			}
		default:
			if r.work.Err() != nil {
				return false
			}
			if lost++; lost >= lostLimit {
				r.fail(fmt.Errorf("%w to the creation of an import job, %d times in a row: %w", errUnanswered, lost, err))
				return false
			}
			why := "the answer to its creation was lost"
			if answered {
				why = fmt.Sprintf("its creation was answered with status %d", e.Status)
			}
			if !r.inDoubt(c, why) {
				return false
			}
		}
		if !r.pause(delays.NextBackOff(), true) {
			return false
		}
	}
}

// create sends the request for a job once. left says whether it may have been
// carried out, as far as this process can tell.
func (r *run) create(c *chunk) (job *management.Job, left bool, err error) {
	c.attempt++
	if c.number == 0 {
		c.number = r.nextNumber()
	}
	externalID := fmt.Sprintf("%s-%d-%d", r.led.id.Run, c.number, c.attempt)
	sum := c.checksum()
	depart := func() error {
		since := r.clock.since(time.Now())
		if c.doubt == "" {
			c.since = since
		}
		return r.write(true, &entry{What: lineIntent, Chunk: c.number, Attempt: c.attempt, Users: c.users, Bytes: len(c.json()), Sum: sum, Since: since})
	}
	ctx, g := r.guard(r.work, depart)
	defer g.end()
	sent := time.Now()
	var meta auth0.Meta
	job, err = auth0.Call[*management.Job](ctx, r.c, http.MethodPost, "/api/v2/jobs/users-imports", nil, nil, r.form(c, externalID), []auth0.RequestOption{
		auth0.ContentType("multipart/form-data; boundary=" + r.boundary), auth0.NoRetry(),
		auth0.AttemptTimeout(uploadTimeout), auth0.Capture(&meta), auth0.Prepare(g.depart),
	})
	if g.left {
		sent = g.at
	}
	r.clock.heardHeader(meta.Header, sent, time.Now())
	if err == nil && (job == nil || job.ID == "") {
		err = &auth0.Error{Status: meta.Status, Code: "invalid_answer", Message: "the answer names no job"}
	}
	if err == nil {
		if at, e := time.Parse(time.RFC3339, job.CreatedAt); e == nil {
			r.clock.heard(at, time.Millisecond, sent, time.Now())
		}
	}
	return job, g.left, err
}

// guard keeps a request back once the run is to stop, and ends its wait for room.
type guard struct {
	r      *run
	before func() error
	cancel context.CancelFunc
	end    func()

	mu   sync.Mutex
	left bool // it may have been sent
	at   time.Time
}

func (r *run) guard(ctx context.Context, before func() error) (context.Context, *guard) {
	ctx, cancel := context.WithCancel(ctx)
	g := &guard{r: r, before: before, cancel: cancel}
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-r.stopping:
			g.mu.Lock()
			defer g.mu.Unlock()
			if !g.left {
				cancel()
			}
		case <-over:
		}
	}()
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	g.end = func() {
		close(over)
		<-watched
		cancel()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls--
		if g.left {
			r.away--
		}
	}
	return ctx, g
}

// depart is called right before the request leaves, each time that it does.
func (g *guard) depart(*http.Request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.r.halted() {
		return errHalted
	}
	if g.before != nil {
		if err := g.before(); err != nil {
			return err
		}
	}
	if !g.left {
		g.left = true
		g.r.mu.Lock()
		g.r.away++
		g.r.mu.Unlock()
	}
	g.at = time.Now()
	return nil
}

// inDoubt notes that a chunk's users may have been created, looks some of them
// up to say what is found, and leaves the chunk to be sent again: users who are
// there already survive that unchanged. It reports false when the run is to end.
func (r *run) inDoubt(c *chunk, why string) bool {
	if c.job != "" {
		r.mu.Lock()
		r.running = max(0, r.running-1)
		r.mu.Unlock()
	}
	c.doubt, c.job, c.noted = why, "", true
	if r.write(true, &entry{What: lineDoubt, Chunk: c.number, Why: why}) != nil {
		return false
	}
	if r.halted() {
		return false
	}
	n := len(c.numbers)
	looked, there := 0, 0
	for _, i := range slices.Compact([]int{0, n / 2, n - 1}) {
		found, err := r.findOnce(r.work, c.keys(i), r.connection.name)
		if err != nil {
			continue
		}
		looked++
		if found != nil {
			there++
		}
	}
	r.doubt(fmt.Sprintf("job %d (users %s): %s. Of %d users looked up %d are there. It is created again; users whom it finds are looked up, so that each counts once.",
		c.number, brief(c.users), why, looked, there))
	return true
}

// isGone is inDoubt for a job that the tenant does not know of, or whose errors
// it does not. A tenant that never does is not sent the same users for ever.
func (r *run) isGone(c *chunk, why string) bool {
	if c.gone++; !r.inDoubt(c, why) {
		return false
	}
	if c.gone >= goneLimit {
		r.fail(fmt.Errorf("users %s were sent %d times, and the tenant does not answer for any of the jobs: %s", brief(c.users), c.gone, why))
	}
	return c.gone < goneLimit
}

// brief is a set's first and last position.
func brief(u Ranges) string {
	if len(u.spans) == 0 {
		return "none"
	}
	from, to := u.spans[0].from, u.spans[len(u.spans)-1].to
	if from == to {
		return strconv.Itoa(from)
	}
	return strconv.Itoa(from) + " to " + strconv.Itoa(to)
}

// errLeft ends a question when the run is told to stop: what it was about is left
// to the run that resumes.
var errLeft = errors.New("stopped before the tenant answered")

// await asks for a job until it is over: after a second, then less often, and
// more often again when it should end.
func (r *run) await(c *chunk) (*management.Job, error) {
	if c.began.IsZero() { // of another run
		c.began = time.Now()
		r.mu.Lock()
		r.running++
		r.mu.Unlock()
	}
	r.mu.Lock()
	guess := time.Duration(len(c.json())) * r.perByte
	r.mu.Unlock()
	wait := r.o.firstPoll
	for {
		if !r.pause(until(wait, r.o.firstPoll, time.Since(c.began), guess), r.led.path != "" || r.reason(r.work) != nil) {
			return nil, errLeft
		}
		var job *management.Job
		err := r.persist(r.work, r.led.path != "", patience, func(ctx context.Context, opts ...auth0.RequestOption) (err error) {
			job, err = auth0.Call[*management.Job](ctx, r.c, http.MethodGet, "/api/v2/jobs/{id}", []string{c.job}, nil, nil, opts)
			return err
		})
		switch {
		case errors.Is(err, auth0.ErrNotFound), errors.Is(err, errLeft):
			return nil, err
		case err != nil && r.work.Err() != nil:
			return nil, err
		case hopeless(err) && err != nil:
			r.fail(fmt.Errorf("%w: %w", errHopeless, err))
			return nil, err
		case err != nil:
			r.fail(fmt.Errorf("asking for job %s: %w", c.job, err))
			return nil, err
		case job == nil:
			continue
		case job.Status == "completed" || job.Status == "failed":
			return job, nil
		}
		if job.TimeLeftSeconds > 0 {
			guess = time.Since(c.began) + time.Duration(job.TimeLeftSeconds)*time.Second
		}
		wait = min(wait*3/2, lastPoll)
	}
}

// until is how long to wait before a job is asked for again: wait, but no longer
// than to the time when it should end, and first at a time around that.
func until(wait, first, elapsed, guess time.Duration) time.Duration {
	switch left := guess - elapsed; {
	case guess == 0, left < -lastPoll:
		return wait
	case left <= 0:
		return first
	default:
		return max(min(wait, left), first/10)
	}
}

// ran books the time that a job took.
func (r *run) ran(c *chunk, job *management.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = max(0, r.running-1)
	if job.Status == "completed" && len(c.json()) > 0 {
		r.perByte = time.Since(c.began) / time.Duration(len(c.json()))
	}
}

// failedJob deals with a job that failed as a whole: its users may be there, in
// part. It reports whether the chunk is to be sent again as it is.
func (r *run) failedJob(p *pass, c *chunk, job *management.Job) bool {
	why := "its job failed without saying why"
	if job.StatusDetails != "" {
		why = "its job failed: " + plainText(c.anonymous(job.StatusDetails), 200)
	}
	results, named, err := r.blamed(c)
	if err != nil {
		if !errors.Is(err, errLeft) && r.work.Err() == nil {
			r.fail(fmt.Errorf("finding out about job %s: %w", c.job, err))
		}
		return false
	}
	if len(named) > 0 {
		r.withoutBlamed(p, c, job, results, named, why)
		return false
	}
	r.mu.Lock()
	r.failedJobs++
	many := r.failedJobs
	r.mu.Unlock()
	r.noteJob(c, job, &entry{})
	if many >= failedJobsLimit {
		c.job = ""
		_ = r.write(true, &entry{What: lineDoubt, Chunk: c.number, Why: why})
		r.fail(fmt.Errorf("%d import jobs failed one after another: %s", many, why))
		return false
	}
	slow := time.Since(c.began) >= jobLife || strings.Contains(strings.ToLower(job.StatusDetails), "timed out")
	switch n := len(c.numbers); {
	case n == 1 && c.attempt >= attemptsAlone:
		r.giveUp(p, c, why)
		return false
	case n > 1 && (slow || c.attempt >= attemptsWhole):
		c.job, c.doubt = "", why
		if r.write(false, &entry{What: lineDoubt, Chunk: c.number, Why: why}) == nil {
			r.split(p, c, why)
		}
		return false
	}
	c.began, c.job = time.Time{}, "" // it has ended
	return r.inDoubt(c, why)
}

// split has a chunk go on as two.
func (r *run) split(p *pass, c *chunk, why string) {
	n := len(c.numbers)
	if n == 1 {
		r.giveUp(p, c, "the tenant takes no job that small and no smaller: it answers that the file is too large")
		return
	}
	half := make([]bool, n)
	for i := range n / 2 {
		half[i] = true
	}
	parts := r.divide(c, half)
	if parts == nil {
		return
	}
	if why != "" {
		r.doubt(fmt.Sprintf("job %d (users %s): %s. It is created again in two parts.", c.number, brief(c.users), why))
	}
	p.queue.repeat(parts...)
}

// divide makes two chunks of one: the users for whom first is set, and the rest.
// It returns nil when that cannot be written down.
func (r *run) divide(c *chunk, first []bool) []*chunk {
	parts := []*chunk{r.newChunk(len(c.json())/2 + len(c.json())/8), r.newChunk(len(c.json())/2 + len(c.json())/8)}
	for i := range c.numbers {
		part := parts[1]
		if first[i] {
			part = parts[0]
		}
		part.add(&Record{Number: c.numbers[i], Line: c.lines[i], User: c.user(i)})
	}
	e := &entry{What: lineSplit, Chunk: c.number}
	for _, part := range parts {
		part.seal()
		part.number, part.since, part.doubt, part.noted = r.nextNumber(), c.since, c.doubt, true
		e.Into = append(e.Into, partition{Chunk: part.number, Users: part.users})
	}
	if r.write(true, e) != nil {
		return nil
	}
	return parts
}

// blamed asks which users of a chunk a job that failed as a whole has errors of,
// and what those come to; named is empty where it does not say.
func (r *run) blamed(c *chunk) (results []outcome, named []bool, err error) {
	list, err := r.jobErrors(c)
	switch {
	case errors.Is(err, auth0.ErrNotFound):
		return nil, nil, nil
	case err != nil || list == nil:
		return nil, nil, err
	}
	results = make([]outcome, len(c.numbers))
	if r.match(c, list.Users, results) == 0 {
		return nil, nil, nil
	}
	named = make([]bool, len(results))
	for i := range results {
		if named[i] = results[i].what != unknown; results[i].what == wasConflict {
			r.conflict(c, &results[i])
		}
	}
	return results, named, r.lookUpAll(c, results, func(i int) bool { return results[i].what == lookUp })
}

// withoutBlamed accounts for the users that a failed job has errors of, and has
// the rest of the chunk go on without them.
func (r *run) withoutBlamed(p *pass, c *chunk, job *management.Job, results []outcome, named []bool, why string) {
	var theirs []outcome
	for i := range results {
		if named[i] {
			theirs = append(theirs, results[i])
		}
	}
	if len(theirs) == len(results) {
		r.settle(p, c, job, results)
		return
	}
	r.noteJob(c, job, &entry{})
	c.job, c.doubt = "", why
	if r.write(false, &entry{What: lineDoubt, Chunk: c.number, Why: why}) != nil {
		return
	}
	parts := r.divide(c, named)
	if parts == nil {
		return
	}
	r.doubt(fmt.Sprintf("job %d (users %s): %s. It has errors of %d of its %d users, and is created again without them.",
		c.number, brief(c.users), why, len(theirs), len(results)))
	r.settle(p, parts[0], nil, theirs)
	p.queue.repeat(parts[1])
}

// jobErrors asks for the errors of a chunk's job, nil for none.
func (r *run) jobErrors(c *chunk) (list *management.JobErrors, err error) {
	err = r.persist(r.work, r.led.path != "", patience, func(ctx context.Context, opts ...auth0.RequestOption) (err error) {
		list, err = auth0.Call[*management.JobErrors](ctx, r.c, http.MethodGet, "/api/v2/jobs/{id}/errors", []string{c.job}, nil, nil, opts)
		return err
	})
	return list, err
}

// nextNumber numbers a chunk.
func (r *run) nextNumber() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastChunk++
	return r.lastChunk
}

// giveUp accounts for a single user whose jobs all fail.
func (r *run) giveUp(p *pass, c *chunk, why string) {
	results := []outcome{{what: didFail, kind: KindUnknown, code: "job_failed", reason: why}}
	if err := r.lookUpAll(c, results, func(int) bool { return true }); err != nil {
		if r.work.Err() == nil {
			r.fail(fmt.Errorf("finding out about user %s: %w", brief(c.users), err))
		}
		return
	}
	r.settle(p, c, nil, results)
}

// collect accounts for the users of a job that has completed.
func (r *run) collect(p *pass, c *chunk, job *management.Job) {
	results, again, err := r.resolveJob(c, job)
	switch {
	case errors.Is(err, errLeft):
	case err != nil:
		if r.work.Err() == nil {
			r.fail(fmt.Errorf("finding out about job %s: %w", c.job, err))
		}
	case again != "":
		c.began, c.job = time.Time{}, "" // it has ended
		if r.isGone(c, again) {
			p.queue.repeat(c)
		}
	default:
		r.settle(p, c, job, results)
	}
}

// resolveJob finds out what became of each user of a job. again is not empty
// when that cannot be told and the job has to be repeated.
func (r *run) resolveJob(c *chunk, job *management.Job) (results []outcome, again string, err error) {
	n, sum := len(c.numbers), job.Summary
	results = make([]outcome, n)
	entries, matched := 0, 0
	if sum.Failed > 0 || sum.Inserted+sum.Updated != n {
		list, err := r.jobErrors(c)
		switch {
		case errors.Is(err, auth0.ErrNotFound):
			return nil, "the errors of its job " + c.job + " are gone: Auth0 keeps them for a day", nil
		case err != nil:
			return nil, "", err
		}
		if list != nil {
			entries = len(list.Users)
			matched = r.match(c, list.Users, results)
		}
	}
	for i := range results {
		if results[i].what == wasConflict {
			r.conflict(c, &results[i])
		}
	}
	exact := sum.Total == n && sum.Inserted+sum.Updated+sum.Failed == n && entries == matched && sum.Failed == matched
	if !exact {
		r.doubt(fmt.Sprintf("job %d (users %s): its summary speaks of %d inserted, %d updated and %d failed of %d users, its list of errors of %d, %d of whom were sent. The others of its %d users are looked up.",
			c.number, brief(c.users), sum.Inserted, sum.Updated, sum.Failed, sum.Total, entries, matched, n))
	}
	fresh := c.doubt == ""
	switch {
	case !exact, !fresh && sum.Updated > 0:
		// Whoever is not in the list of errors may have been created or not.
		err = r.lookUpAll(c, results, func(i int) bool { return results[i].what == unknown || results[i].what == lookUp })
	default:
		left := sum.Inserted
		for i := range results {
			if results[i].what == unknown {
				// Which ones were updated is not told, only how many.
				results[i].what = wasUpdated
				if left > 0 {
					results[i].what = wasCreated
					left--
				}
			}
		}
		err = r.lookUpAll(c, results, func(i int) bool { return results[i].what == lookUp })
	}
	return results, "", err
}

// conflict decides what a conflict means: the user was there before the job,
// unless an earlier attempt, or this very job, may have created it.
func (r *run) conflict(c *chunk, o *outcome) {
	switch {
	case c.doubt != "" || o.code == "DUPLICATED_USER" && !strings.Contains(strings.ToLower(o.reason), "exist"):
		o.what = lookUp
	case r.o.Upsert:
		// An update matches by e-mail: another user has the id, name or number.
		o.what, o.kind = didFail, KindFix
	default:
		o.what = wasThere
	}
}

// match puts the list of errors to the users it is about, and returns how many
// entries found theirs.
func (r *run) match(c *chunk, list []management.JobUserErrors, results []outcome) int {
	if len(list) == 0 {
		return 0
	}
	index := make(map[string]int, len(c.numbers))
	for i := range c.numbers {
		k := c.keys(i)
		for _, name := range k.names() {
			index[name] = i
		}
	}
	matched := 0
	for _, e := range list {
		k := keysOf(e.User)
		for _, name := range k.names() {
			i, ok := index[name]
			if !ok {
				continue
			}
			if results[i].what == unknown {
				results[i] = r.judge(e.Errors, c.user(i))
				matched++
			}
			break
		}
	}
	return matched
}

// judge says what the errors of a user come to. The worst of them counts.
func (r *run) judge(list []management.JobUserError, user []byte) outcome {
	if len(list) == 0 {
		return outcome{what: didFail, kind: KindRetry, code: "unexplained", reason: "the job does not say why"}
	}
	var out outcome
	for i, e := range list {
		o := outcome{what: didFail, kind: KindRetry, code: plainWord(e.Code), field: plainField(e.Path), reason: plainText(scrub(e.Message, user), 500)}
		o.code = cmpOr(o.code, "unexplained")
		switch {
		case isConflict(e.Code):
			o.what, o.kind = wasConflict, KindFix
		case isFix(e.Code):
			o.kind = KindFix
		}
		if i == 0 || out.what == wasConflict && o.what == didFail || out.kind == KindRetry && o.kind == KindFix {
			out = o
		}
	}
	return out
}

// isConflict tells the codes of users who share a name with another.
func isConflict(code string) bool {
	return strings.HasPrefix(code, "CONFLICT") || code == "DUPLICATED_USER" || code == "auth0_idp_error"
}

// isFix tells the codes of users whom no repetition helps: what they hold has to
// be changed. What is not known here may pass.
func isFix(code string) bool {
	switch code {
	case "ADDITIONAL_PROPERTIES", "ANY_OF_MISSING", "ARRAY_LENGTH_LONG", "ARRAY_LENGTH_SHORT", "CONNECTION_NOT_FOUND", "ENUM_MISMATCH",
		"FORMAT", "INVALID_FORMAT", "INVALID_TYPE", "MAX_LENGTH", "MAXIMUM", "MFA_FACTORS_FAILED", "MIN_LENGTH", "MINIMUM", "MULTIPLE_OF",
		"NOT_PASSED", "OBJECT_ADDITIONAL_PROPERTIES", "OBJECT_MISSING_REQUIRED_PROPERTY", "OBJECT_REQUIRED", "PASSWORD_HASH_FAILED",
		"PATTERN":
		return true
	}
	return false
}

// lookUpAll looks up the users of a chunk that which picks, and says of each
// whether it was created since the chunk was first sent, was there before, or is
// not there.
func (r *run) lookUpAll(c *chunk, results []outcome, which func(int) bool) error {
	var todo []int
	for i := range results {
		if which(i) {
			todo = append(todo, i)
		}
	}
	errs := make([]error, min(lookupsAtATime, len(todo)))
	var next, wg = make(chan int), sync.WaitGroup{}
	quit := make(chan struct{})
	var once sync.Once
	for w := range errs {
		wg.Go(func() {
			for i := range next {
				if errs[w] = r.lookUpOne(c, i, &results[i]); errs[w] != nil {
					once.Do(func() { close(quit) })
					return
				}
			}
		})
	}
feed:
	for _, i := range todo {
		select {
		case next <- i:
		case <-quit:
			break feed
		}
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

func (r *run) lookUpOne(c *chunk, i int, o *outcome) error {
	found, err := r.find(r.work, c.keys(i), r.connection.name)
	if err != nil {
		return err
	}
	conflict := o.what == lookUp
	switch {
	case found == nil && conflict && !c.keys(i).exact():
		// Somebody has the name, and the search does not know of it yet: new.
		o.what = wasCreated
	case found == nil && conflict:
		// Somebody else has a name of this user.
		o.what, o.kind = wasThere, ""
		if r.o.Upsert || o.code == "DUPLICATED_USER" {
			o.what, o.kind = didFail, KindFix
		}
	case found == nil:
		if o.what != didFail {
			*o = outcome{what: didFail, kind: KindRetry, code: "unexplained", reason: "the job does not list the user, and the user is not there"}
		}
	case !found.CreatedAt.Before(c.since) && (!conflict || c.doubt != ""):
		o.what = wasCreated
	case conflict && !found.CreatedAt.Before(c.since):
		// Created by this very job, under a name that two of its users share.
		o.what, o.kind = didFail, KindFix
	case r.o.Upsert && o.what == didFail:
	case r.o.Upsert && !conflict:
		o.what = wasUpdated
	case r.o.Upsert:
		// An update matches by e-mail: an older user has the id, name or number.
		o.what, o.kind = didFail, KindFix
	default:
		o.what = wasThere
	}
	return nil
}

// settle writes what became of the users of a chunk.
func (r *run) settle(p *pass, c *chunk, job *management.Job, results []outcome) {
	e := &entry{What: lineDone, Chunk: c.number}
	for i := range results {
		o := &results[i]
		if o.what == didFail {
			o = r.finalFailure(p, &single{number: c.numbers[i], line: c.lines[i], json: c.user(i), keys: c.keys(i)}, o)
		}
		e.book(c.numbers[i], o)
	}
	r.noteJob(c, job, e)
	_ = r.write(true, e)
}

// finalFailure decides whether a failure is to be tried again, and passes it on
// otherwise.
func (r *run) finalFailure(p *pass, s *single, o *outcome) *outcome {
	if o.kind == KindRetry && !p.final && r.keep(s) {
		return &outcome{what: willRetry}
	}
	r.tellFailure(Failure{
		Number: s.number, Line: s.line, User: s.name(), Kind: o.kind, Code: o.code, Field: o.field, Reason: o.reason,
	})
	return o
}

// keep holds back a user for another try where the input cannot be read again,
// and reports whether there was room.
func (r *run) keep(s *single) bool {
	if r.src.Again() {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keptBytes+len(s.json) > keptBytes {
		return false
	}
	r.keptBytes += len(s.json)
	kept := *s
	kept.json = bytes.Clone(s.json)
	r.kept = append(r.kept, &kept)
	return true
}

// noteJob adds a job to the report.
func (r *run) noteJob(c *chunk, job *management.Job, e *entry) {
	if job == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobsCount++
	if len(r.jobs) >= mostJobs {
		return
	}
	r.jobs = append(r.jobs, JobReport{
		ID: job.ID, Chunk: c.number, Attempt: c.attempt, Users: len(c.numbers), Bytes: len(c.json()), Status: job.Status,
		Created: e.Created, Updated: e.Updated, Exists: e.Exists.Count(), Failed: countAll(e.Failed) + e.Retry.Count(),
		Started: c.began.UTC().Round(time.Millisecond), Ended: time.Now().UTC().Round(time.Millisecond),
	})
}

// keys is what identifies a user.
type keys struct{ UserID, Email, Username, Phone string }

// keys reads what identifies the ith user.
func (c *chunk) keys(i int) keys {
	var k keys
	for name, v := range members(c.user(i)) { // it was checked before it was packed
		switch string(name) {
		case "user_id":
			k.UserID = string(unquote(v))
		case "email":
			k.Email = string(unquote(v))
		case "username":
			k.Username = string(unquote(v))
		case "phone_number":
			k.Phone = string(unquote(v))
		}
	}
	return k
}

// keysOf reads what identifies a user in a list of errors.
func keysOf(user map[string]any) keys {
	text := func(name string) string {
		s, _ := user[name].(string)
		return s
	}
	return keys{text("user_id"), text("email"), text("username"), text("phone_number")}
}

// names returns what nobody else in the connection has, the most telling first.
func (k keys) names() []string {
	var out []string
	add := func(kind, v string) {
		if v != "" {
			out = append(out, kind+v)
		}
	}
	add("i", strings.TrimPrefix(k.UserID, "auth0|")) // which tells capitals from small letters
	add("e", strings.ToLower(k.Email))
	add("u", strings.ToLower(k.Username))
	add("p", k.Phone)
	return out
}

// exact reports whether the user can be looked up without the search index,
// which lags behind.
func (k keys) exact() bool { return k.UserID != "" || k.Email != "" }

// name is what a person needs to find the user again.
func (k keys) name() string {
	return cmpOr(cmpOr(k.Email, k.UserID), cmpOr(k.Username, k.Phone))
}

// plainWord keeps of a code or a path what such words are made of.
func plainWord(s string) string {
	s = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("_-.$[]", c) {
			return c
		}
		return -1
	}, s)
	return s[:min(len(s), 80)]
}

// plainField is the path of a field that users have, and nothing for any other,
// which could be a value.
func plainField(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, "$"), "."), ".")
	first, _, _ = strings.Cut(first, "[")
	if findField([]byte(first)) < 0 {
		return ""
	}
	return plainWord(path)
}

// plainText is a server's text on one line, and no longer than that.
func plainText(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// scrub takes the user's own secrets out of a text that comes from elsewhere: a
// server may quote what it refuses.
func scrub(text string, user []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(user, &fields) != nil {
		return text
	}
	for _, name := range []string{"password", "password_hash", "custom_password_hash", "mfa_factors"} {
		var v any
		if json.Unmarshal(fields[name], &v) == nil {
			text = scrubValue(text, v)
		}
	}
	return text
}

// shortestSecret keeps words such as "md5" in place.
const shortestSecret = 6

func scrubValue(text string, v any) string {
	switch v := v.(type) {
	case string:
		if len(v) >= shortestSecret {
			text = strings.ReplaceAll(text, v, "[redacted]")
			if quoted := string(appendString(nil, []byte(v))); len(quoted) > len(v)+2 {
				text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], "[redacted]")
			}
		}
	case []any:
		for _, e := range v {
			text = scrubValue(text, e)
		}
	case map[string]any:
		for _, e := range v {
			text = scrubValue(text, e)
		}
	}
	return text
}
