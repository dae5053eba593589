package importer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
)

// DefaultConnection is where users go unless Options.Connection says otherwise.
const DefaultConnection = "Username-Password-Authentication"

const (
	defaultWorkers = 32
	mostWorkers    = 1000
	// defaultJobs is the number of import jobs that a tenant runs at a time.
	defaultJobs   = 2
	defaultPasses = 1

	// grace is how long a run that was told to stop waits for what is under way.
	grace = 10 * time.Second
	// callTimeout bounds one request, its wait for room left out, and
	// uploadTimeout one with half a megabyte of users.
	callTimeout   = 30 * time.Second
	uploadTimeout = 2 * time.Minute
	// patience is how long a question is asked again while no answer comes, and
	// startPatience the same for the first of a run.
	patience      = 30 * time.Minute
	startPatience = 10 * time.Second
	// keptBytes bounds the users of an input that is read once who are held back
	// for another try.
	keptBytes = 8 << 20
)

// ErrStrict is what [Run] returns under Options.Strict when users cannot be sent.
var ErrStrict = errors.New("nothing was sent: users of the input cannot be imported as they are")

var (
	// errHalted keeps back a request when the run is to stop.
	errHalted = errors.New("called off before it was sent")
	// errHopeless marks a failure that every other request would meet too.
	errHopeless = errors.New("no user can be imported")
	// errUnanswered marks a failure for want of an answer, not for a user's sake.
	errUnanswered = errors.New("no answer from the tenant")
)

// Options say how users are imported. The zero value imports into the database
// [DefaultConnection] in the way that suits the input, without a ledger.
type Options struct {
	// Connection is the name or the id (con_...) of the connection.
	Connection string
	// Via is the way; "" is ViaAuto. ViaAuto takes jobs, and single calls at the
	// same time for the users whom no job can carry: those with a password in clear
	// text or a connection of their own. ViaJobs refuses those.
	Via Via
	// Upsert updates users who exist, known by their e-mail address. A job replaces
	// metadata; a single call changes the same fields, merges metadata at its first
	// level, and knows users without an address by their id or name.
	Upsert bool
	// SendCompletionEmail has Auth0 mail all tenant owners at the end of each job.
	SendCompletionEmail bool
	// EmailVerified is set in users who have an e-mail address and do not say.
	// Nil leaves it to Auth0, which takes them for not verified.
	EmailVerified *bool
	// Workers is how many single calls are under way at a time, 1 to 1,000; 0 is 32.
	Workers int
	// MaxJobs is how many jobs run at a time; 0 is 2, which is what Auth0 allows
	// a tenant. 1 leaves a slot to others.
	MaxJobs int
	// Ledger is the path of the file that the run keeps its books in, with mode
	// 0600. It holds positions, counts and codes, nothing of the users. "" keeps
	// none: what a crash leaves behind can then not be told apart.
	Ledger string
	// Resume goes on with the ledger of an earlier run over the same input. A
	// ledger that is not there is begun.
	Resume bool
	// Strict sends nothing when any user breaks a rule. It needs a source that
	// can be read again.
	Strict bool
	// Skip leaves out the first users, Done those at these positions, and Only,
	// unless empty, all others.
	Skip       int
	Done, Only Ranges
	// RetryPasses is how often users that failed for reasons that may pass are
	// tried again at the end; 0 is once, negative never.
	RetryPasses int
	// Progress is told how far the run is: when something has changed, at most
	// ten times a second, and at each change of stage. One call at a time.
	Progress func(Progress)
	// Failed is told of each user that was refused or failed for good, as soon as
	// that is known; one call at a time. A run that goes on after a crash may
	// repeat the last of them.
	Failed func(Failure)
	// Stop, once closed, ends the run in order: what is under way is finished,
	// nothing new is begun. With a ledger, jobs that run are left to the run that
	// resumes; without one they are waited for.
	Stop <-chan struct{}
	// Log is told of jobs and of what is in doubt; nil for silence. No user is
	// named in it.
	Log *slog.Logger

	// For tests: the ledger's file, the most users in a job, and the time before
	// a job is first asked for.
	wrapLedger func(ledgerFile) ledgerFile
	chunkUsers int
	firstPoll  time.Duration
}

// check refuses options that cannot be meant, and fills in what was left out.
func (o *Options) check() error {
	o.Connection = cmpOr(o.Connection, DefaultConnection)
	if o.Via == "" {
		o.Via = ViaAuto
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.MaxJobs == 0 {
		o.MaxJobs = defaultJobs
	}
	if o.RetryPasses == 0 {
		o.RetryPasses = defaultPasses
	}
	if o.firstPoll == 0 {
		o.firstPoll = firstPoll
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Via != ViaAuto && o.Via != ViaJobs && o.Via != ViaUsers:
		return fmt.Errorf("importer: the way %q is not known: auto, jobs and users are", o.Via)
	case o.Workers < 1 || o.Workers > mostWorkers:
		return fmt.Errorf("importer: %d workers are not between 1 and %d", o.Workers, mostWorkers)
	case o.MaxJobs < 1:
		return fmt.Errorf("importer: %d jobs at a time cannot be; 1 is the least", o.MaxJobs)
	case o.Skip < 0:
		return fmt.Errorf("importer: %d users cannot be skipped; 0 is the least", o.Skip)
	case o.Resume && o.Ledger == "":
		return errors.New("importer: Resume needs the Ledger of the run to go on with")
	}
	return nil
}

// leavesOut says whether the options leave out the nth user.
func (o *Options) leavesOut(n int) bool {
	return n <= o.Skip || o.Done.Has(n) || len(o.Only.spans) > 0 && !o.Only.Has(n)
}

// run is one import under way.
type run struct {
	o          Options
	c          *auth0.Client
	src        *Source
	inspection *Inspection // nil for a source that can be read only once
	connection connection
	via        Via
	led        *ledger
	clock      tenantClock
	began      time.Time
	boundary   string
	resumed    bool
	strict     int            // users that Options.Strict refuses the import for
	rules      map[string]int // and why

	stopping chan struct{} // closed when nothing new is to be begun
	stopOnce sync.Once
	work     context.Context //nolint:containedctx // ends what is under way, a while after stopping
	cancel   context.CancelFunc

	outcomes outcomes
	creator  *creator
	fails    sync.Mutex // held while Failed is called

	reading sync.Mutex // guards what was read of an input that is read once
	read    int
	readSum uint32

	mu          sync.Mutex
	err         error
	stopped     bool
	stage       Stage
	note        string
	trouble     string // why the tenant does not answer, while it does not
	total       int    // users seen
	skipped     int
	doubtful    []string
	jobs        []JobReport
	jobsCount   int
	running     int // jobs
	perByte     time.Duration
	failedJobs  int // in a row
	lastChunk   int // the highest number given
	unanswered  int // users in a row
	kept        []*single
	keptBytes   int
	calls, away int // requests begun, and sent and not answered
	rejected    int64
	skippedAll  *int
	series      series
}

// connection is where users go.
type connection struct{ id, name, strategy string }

// Run imports the users of src and accounts for each of them. Users that fail
// alone are no error; the error says why the run ended before the input did. The
// report is nil only where nothing was begun.
//
// Every user is checked before anything is sent where the source can be read
// again. No user is created twice: a job or a call of which it is not known
// whether it was carried out is repeated, which a user who is there already
// survives unchanged, and the users that it then finds are looked up to tell
// whose work they are.
//
// The client's token needs the scopes create:users, read:users and
// read:connections, with Upsert update:users as well.
func Run(ctx context.Context, c *auth0.Client, src *Source, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Strict && !src.Again() {
		return nil, errors.New("importer: Strict needs a source that can be read again: name a file")
	}
	r := &run{
		o: o, c: c, src: src, began: time.Now(), stopping: make(chan struct{}),
		stage: StageChecking, via: o.Via,
	}
	r.rejected = r.rejections()
	r.outcomes.r = r
	r.creator = &creator{api: &tenantAPI{r}, clock: &r.clock, stop: r.stopping, upsert: o.Upsert}
	r.work, r.cancel = context.WithCancel(ctx)
	defer r.cancel()
	var err error
	if r.led, err = openLedger(o.Ledger, o.Resume); err != nil {
		return nil, err
	}
	if o.wrapLedger != nil && r.led.file != nil {
		r.led.file = o.wrapLedger(r.led.file)
	}
	stop := r.watch(ctx)
	defer stop()
	begun, err := r.begin()
	if err != nil && !begun {
		return nil, errors.Join(err, r.led.close())
	}
	if err == nil {
		r.passes()
	} else {
		r.fail(err)
	}
	r.setStage(StageDone)
	stop()
	if err := r.led.close(); err != nil {
		r.fail(fmt.Errorf("%w: %w", ErrLedger, err))
	}
	return r.report(), r.reason(ctx)
}

// watch ends the run in order when it is told to, and reports on it meanwhile.
// The function that it returns ends the watch, with a last report.
func (r *run) watch(ctx context.Context) func() {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-r.o.Stop:
			r.mu.Lock()
			r.stopped = true
			r.mu.Unlock()
			r.halt()
		case <-ctx.Done():
			r.halt()
		case <-over:
		}
	})
	wg.Go(func() { r.sample(over) })
	wg.Go(func() { r.tell(over) })
	wg.Go(func() {
		select {
		case <-r.stopping:
		case <-over:
			return
		}
		if r.led.path == "" && r.reason(ctx) == nil {
			return // jobs that run would be lost with what they know
		}
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			r.cancel()
		case <-over:
		}
	})
	return sync.OnceFunc(func() {
		close(over)
		wg.Wait()
	})
}

// halt lets nothing new begin.
func (r *run) halt() { r.stopOnce.Do(func() { close(r.stopping) }) }

func (r *run) halted() bool {
	select {
	case <-r.stopping:
		return true
	default:
		return false
	}
}

// fail ends the run for a reason. The first one counts.
func (r *run) fail(err error) {
	r.mu.Lock()
	if r.err == nil && err != nil {
		r.err = err
	}
	r.mu.Unlock()
	r.halt()
}

// reason returns why the run ended early, nil when it did not or was told to.
func (r *run) reason(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && !r.stopped && ctx.Err() != nil {
		return ctx.Err()
	}
	return r.err
}

// write adds to the ledger, and ends the run when that fails.
func (r *run) write(durable bool, entries ...*entry) error {
	r.reading.Lock()
	for _, e := range entries {
		e.At, e.Read, e.ReadSum = time.Now().UTC().Round(time.Millisecond), r.read, r.readSum
	}
	r.reading.Unlock()
	err := r.led.write(durable, entries...)
	if err != nil {
		r.fail(err)
	}
	return err
}

// begin learns what there is to do: the connection, the input, and what an
// earlier run has done. begun is true when there is something to report on.
func (r *run) begin() (begun bool, err error) {
	if err := r.resolve(r.work); err != nil {
		return false, err
	}
	if r.o.Via == ViaAuto {
		// Users are checked for the way that they can only take.
		if id := r.led.id; id != nil && !id.Auto {
			r.o.Via, r.via = id.Via, id.Via
		} else if !r.database() {
			r.o.Via, r.via = ViaUsers, ViaUsers
		}
	}
	id := identity{
		Auto:    r.o.Via == ViaAuto,
		Version: ledgerVersion, Tenant: r.c.Domain(), Connection: cmpOr(r.connection.id, r.connection.name),
		Upsert: r.o.Upsert, Verified: r.o.EmailVerified, Leave: r.choice(), Began: r.began.UTC().Round(time.Millisecond),
		Input: r.src.Name(), Size: r.src.Size(),
	}
	if r.src.Again() {
		in, err := r.inspect()
		if err != nil {
			return false, fmt.Errorf("reading users: %w", err)
		}
		id.Size, id.SHA256, id.Total = in.Size, in.SHA256, in.Total
		r.mu.Lock()
		r.inspection, r.total = in, id.Total
		r.mu.Unlock()
	}
	if err := r.choose(); err != nil {
		return false, err
	}
	id.Via = r.via
	if refused := r.refusedCount(); r.o.Strict && refused > 0 {
		r.strict, r.rules = refused, make(map[string]int)
		last := 0
		for _, p := range r.inspection.Problems {
			if p.Number != last && !r.o.leavesOut(p.Number) {
				last = p.Number
				r.rules[p.Rule]++
				r.tellProblem(p)
			}
		}
		return true, fmt.Errorf("%w: %d of %d", ErrStrict, refused, r.inspection.Total)
	}
	if have := r.led.id; have != nil {
		if what := have.differs(&id); what != "" {
			return false, fmt.Errorf("%w: %s is of another import: %s; name the input and the options that it was begun with, or another ledger", ErrLedger, r.led.path, what)
		}
		r.resumed, r.lastChunk = true, r.led.chunks
		if r.led.cut > 0 {
			r.doubt(fmt.Sprintf("the last write to the ledger was cut short: %d bytes of it were dropped, and what they told is found out anew", r.led.cut))
		}
	} else {
		var key [8]byte
		if _, err := rand.Read(key[:]); err != nil {
			return false, err
		}
		id.Run = hex.EncodeToString(key[:])
		if err := r.write(true, &entry{What: lineBegin, Import: &id}); err != nil {
			return false, err
		}
	}
	r.boundary = "headroom-" + r.led.id.Run + strings.ToLower(rand.Text())
	return true, nil
}

// inspect checks the input, and ends when the run is told to stop.
func (r *run) inspect() (*Inspection, error) {
	ctx, cancel := context.WithCancel(r.work)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-r.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	in, err := Inspect(ctx, r.src, r.checks(true))
	cancel()
	<-watched
	if errors.Is(err, context.Canceled) && r.halted() && r.work.Err() == nil {
		err = errors.New("stopped before all of them were checked; nothing was begun")
	}
	return in, err
}

// choice is the options' choice of users, in one line.
func (r *run) choice() string {
	var words []string
	if r.o.Skip > 0 {
		words = append(words, "skip "+strconv.Itoa(r.o.Skip))
	}
	if len(r.o.Done.spans) > 0 {
		words = append(words, "done "+r.o.Done.String())
	}
	if len(r.o.Only.spans) > 0 {
		words = append(words, "only "+r.o.Only.String())
	}
	return strings.Join(words, ", ")
}

// checks is what users are held against. Duplicates are looked for once.
func (r *run) checks(duplicates bool) Check {
	return Check{
		Connection: cmpOr(r.connection.name, r.connection.id), Upsert: r.o.Upsert, Duplicates: duplicates,
		EmailVerified: r.o.EmailVerified, Via: r.o.Via, Passwords: r.connection.strategy == "auth0",
	}
}

// refusedCount is how many users the inspection refuses of those not left out.
func (r *run) refusedCount() int {
	if r.inspection == nil {
		return 0
	}
	n := 0
	for from, to := range r.inspection.Refused.Spans() {
		for i := from; i <= to; i++ {
			if !r.o.leavesOut(i) {
				n++
			}
		}
	}
	return n
}

// resolve finds the connection's name and id.
func (r *run) resolve(ctx context.Context) error {
	name := r.o.Connection
	byID := strings.HasPrefix(name, "con_")
	var found []management.Connection
	// Nothing has begun: a tenant that does not answer is told of soon.
	err := r.persist(ctx, true, startPatience, func(ctx context.Context, opts ...auth0.RequestOption) (err error) {
		if byID {
			one, err := auth0.Call[management.Connection](ctx, r.c, http.MethodGet, "/api/v2/connections/{id}", []string{name}, url.Values{"fields": {"id,name,strategy"}}, nil, opts)
			found = []management.Connection{one}
			return err
		}
		found, err = auth0.Call[[]management.Connection](ctx, r.c, http.MethodGet, "/api/v2/connections", nil,
			url.Values{"name": {name}, "fields": {"id,name,strategy"}}, nil, opts)
		return err
	})
	switch {
	case errors.Is(err, auth0.ErrForbidden) && (byID || r.o.Via == ViaUsers):
		// The scope read:connections is missing, and can be done without.
		r.connection = connection{name: name}
		if byID {
			r.connection = connection{id: name}
		}
		return nil
	case errors.Is(err, auth0.ErrForbidden):
		return fmt.Errorf("connection %q cannot be looked up: give the application the scope read:connections, or name the connection by its id: %w", name, err)
	case errors.Is(err, auth0.ErrNotFound):
		return fmt.Errorf("connection %q does not exist; name another", name)
	case err != nil:
		return fmt.Errorf("looking up connection %q: %w", name, err)
	}
	for _, c := range found {
		if c.ID == name || c.Name == name {
			r.connection = connection{c.ID, c.Name, c.Strategy}
			return nil
		}
	}
	return fmt.Errorf("connection %q does not exist; name another", name)
}

// database reports whether import jobs work for the connection, as far as is known.
func (r *run) database() bool { return cmpOr(r.connection.strategy, "auth0") == "auth0" }

// choose settles the way.
func (r *run) choose() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := r.led.id; id != nil && r.o.Via == ViaAuto {
		r.via = id.Via
		return nil
	}
	if r.o.Via == ViaAuto {
		r.via = ViaJobs
		if r.inspection != nil {
			r.via = Forecast(r.inspection, planOf(r.c.Limiter()), r.o).Via
		}
	}
	if r.via == ViaJobs && !r.database() {
		return fmt.Errorf("connection %q is of the kind %s; import jobs work for databases only: use single calls", r.connection.name, r.connection.strategy)
	}
	return nil
}

// passes reads the input and carries it over, then tries again what can be.
func (r *run) passes() {
	if r.led.ended { // an earlier run has come to the end, if not to its report
		if !r.src.Again() {
			r.pass(&pass{final: true}) // finds out whether it was over this input
		}
		return
	}
	r.setStage(StageImporting)
	final := r.o.RetryPasses < 0
	r.pass(&pass{final: final})
	for i := 0; i < r.o.RetryPasses && !r.halted(); i++ {
		var retry Ranges
		r.led.view(func(b *books) { retry = b.retry.Clone() })
		if len(retry.spans) == 0 {
			break
		}
		r.setStage(StageRetrying)
		r.pass(&pass{again: true, final: i == r.o.RetryPasses-1})
	}
	if r.halted() || r.work.Err() != nil {
		return
	}
	n := r.report().Unfinished
	r.led.view(func(b *books) {
		if n == 0 { // a shorter input than the one that the ledger knows
			for _, c := range b.open {
				n += c.users.Count()
			}
			n += b.retry.Count()
		}
	})
	if n > 0 {
		r.fail(fmt.Errorf("%s not accounted for: %w", pluralAre(n), errChanged))
		return
	}
	_ = r.write(true, &entry{What: lineEnd})
}

// pass is one reading of the input.
type pass struct {
	again bool // over users that have failed
	final bool // there is no pass after it

	books   books // as they were at its beginning
	rebuild []*chunk
	queue   *queue
	singles chan *single
	workers atomic.Int64
	wg      sync.WaitGroup
	packing *chunk
	window  span
}

// pass carries over what is not accounted for. It returns when all of it is, or
// when the run is to end.
func (r *run) pass(p *pass) {
	r.led.view(func(b *books) {
		p.books.settled, p.books.retry = b.settled.Clone(), b.retry.Clone()
		p.books.windows = append(p.books.windows, b.windows...)
		p.books.read, p.books.readSum, p.books.ended = b.read, b.readSum, b.ended
		for _, c := range b.open {
			p.rebuild = append(p.rebuild, r.reopen(c))
		}
	})
	p.queue = newQueue()
	p.singles = make(chan *single)
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		r.produce(p)
		close(p.singles)
		p.queue.close()
	}()
	for range r.o.MaxJobs {
		p.wg.Go(func() { r.slot(p) })
	}
	p.workers.Store(1)
	p.wg.Go(func() { r.worker(p) })
	flushed := make(chan struct{})
	flusher := make(chan struct{})
	go func() {
		defer close(flushed)
		r.outcomes.run(flusher)
	}()
	select {
	case <-produced:
	case <-r.stopping:
		if r.src.Again() {
			<-produced
		}
		// Otherwise it may be stuck in a read from a terminal.
	}
	p.wg.Wait()
	close(flusher)
	<-flushed
	r.outcomes.flush()
}

// produce reads the users that the pass is about and hands them out.
func (r *run) produce(p *pass) {
	if p.again && !r.src.Again() {
		r.mu.Lock()
		kept := r.kept
		r.kept, r.keptBytes = nil, 0
		r.mu.Unlock()
		// In the order of the input, from which a run that resumes fills the chunks.
		slices.SortFunc(kept, func(a, b *single) int { return a.number - b.number })
		for _, s := range kept {
			s.doubt, s.since = p.doubts(s.number)
			if !r.hand(p, s.record()) {
				return
			}
		}
		r.finish(p)
		return
	}
	records := r.src.Records(r.checks(r.inspection == nil))
	sum := sha256.New()
	if r.inspection != nil {
		records = r.src.records(r.checks(false), nil, sum)
	}
	hand := func(rec *Record) bool { return r.passOver(p, rec) || r.hand(p, rec) }
	// Of an input that is read once nothing is handed out, and nothing passed over
	// for good, before as much of it has come as an earlier run had read.
	known := p.books.read
	var held []*Record
	for rec, err := range records {
		if err != nil {
			r.fail(fmt.Errorf("reading users: %w", err))
			return
		}
		if r.halted() {
			return
		}
		if !r.src.Again() {
			sum := r.take(rec)
			if rec.Number == known && sum != p.books.readSum || rec.Number > known && p.books.ended {
				var all Ranges
				all.AddSpan(1, rec.Number)
				r.fail(r.otherInput(all))
				return
			}
		}
		if rec.Number <= known && !r.o.leavesOut(rec.Number) && !p.books.settled.Has(rec.Number) {
			held = append(held, rec.clone())
		} else if !hand(rec) {
			return
		}
		if rec.Number == known {
			for _, h := range held {
				if !hand(h) {
					return
				}
			}
			held = nil
		}
	}
	if !r.src.Again() && r.read < known && len(p.rebuild) == 0 {
		r.fail(fmt.Errorf("%s not accounted for: %w", pluralAre(known-r.read), errChanged))
		return
	}
	if r.inspection != nil && hex.EncodeToString(sum.Sum(nil)) != r.inspection.SHA256 {
		r.fail(errChanged)
		return
	}
	r.finish(p)
}

// take adds a user to what was read of an input that is read once, and returns
// the checksum of all that was.
func (r *run) take(rec *Record) uint32 {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.read = rec.Number
	r.readSum = crc32.Update(crc32.Update(r.readSum, castagnoli(), rec.User), castagnoli(), []byte{'\n'})
	return r.readSum
}

// errChanged is what an input meets that is not what was checked.
var errChanged = errors.New("the input changed while it was read; go on over the input as it was")

// passOver says whether a record needs nothing, and does what little it needs.
func (r *run) passOver(p *pass, rec *Record) bool {
	n := rec.Number
	left := r.o.leavesOut(n)
	if !p.again {
		r.mu.Lock()
		r.total = max(r.total, n)
		if left {
			r.skipped++
		}
		r.mu.Unlock()
	}
	if left || p.books.settled.Has(n) {
		return true
	}
	for i, c := range p.rebuild {
		if c.users.Has(n) {
			if len(rec.Problems) > 0 || !c.add(rec) {
				r.fail(r.otherInput(c.users))
				return true
			}
			if len(c.numbers) == c.users.Count() {
				p.rebuild = append(p.rebuild[:i:i], p.rebuild[i+1:]...)
				if c.seal(); c.sum != 0 && c.sum != c.checksum() {
					r.fail(r.otherInput(c.users))
					return true
				}
				p.queue.put(r.stopping, c)
			}
			return true
		}
	}
	if len(rec.Problems) > 0 || r.inspection != nil && r.inspection.Refused.Has(n) {
		r.refuse(rec)
		return true
	}
	retry := p.books.retry.Has(n)
	if p.again {
		return !retry
	}
	return retry && r.src.Again() && !p.final
}

func (r *run) otherInput(users Ranges) error {
	return fmt.Errorf("%w: %s is of another import: users %s are not those that it knows; give the input that it was begun with", ErrLedger, r.led.path, brief(users))
}

// refuse accounts for a user who cannot be sent.
func (r *run) refuse(rec *Record) {
	var p Problem
	if len(rec.Problems) > 0 {
		p = rec.Problems[0]
	} else {
		// The check before the import looked for one thing more, and kept the first reasons only.
		p = problem(rec.Number, rec.Line, "", ruleDuplicate, "the email, user_id, username or phone_number is that of a user before")
		for _, known := range r.inspection.Problems {
			if known.Number == rec.Number {
				p = known
				break
			}
		}
	}
	r.tellFailure(Failure{
		Number: rec.Number, Line: rec.Line, User: rec.name(), Kind: KindRefused,
		Code: p.Rule, Field: p.Field, Reason: p.Message,
	})
	r.outcomes.add(rec.Number, outcome{what: wasRefused, code: p.Rule})
}

// tellProblem passes on why a user was refused before anything began.
func (r *run) tellProblem(p Problem) {
	r.tellFailure(Failure{Number: p.Number, Line: p.Line, Kind: KindRefused, Code: p.Rule, Field: p.Field, Reason: p.Message})
}

func (r *run) tellFailure(f Failure) {
	if r.o.Failed == nil {
		return
	}
	r.fails.Lock()
	defer r.fails.Unlock()
	r.o.Failed(f)
}

// name returns what a person needs to find the record's user again.
func (r *Record) name() string {
	return cmpOr(cmpOr(r.Email, r.UserID), cmpOr(r.Username, r.Phone))
}

// hand gives a record to the way that it takes. It reports false when the run
// is to end.
func (r *run) hand(p *pass, rec *Record) bool {
	if r.via == ViaUsers || rec.NeedsUsers {
		return r.handSingle(p, rec)
	}
	most := r.o.chunkUsers
	if p.again {
		most = retryUsers
	}
	if p.packing != nil && (!p.packing.fits(rec) || most > 0 && len(p.packing.numbers) >= most) && !r.handChunk(p) {
		return false
	}
	if p.packing == nil {
		p.packing = r.newChunk(chunkBytes)
	}
	return p.packing.add(rec)
}

// finish hands out what is left at the end of the input.
func (r *run) finish(p *pass) {
	for _, c := range p.rebuild {
		r.fail(r.otherInput(c.users))
		return
	}
	if p.packing != nil {
		r.handChunk(p)
	}
}

func (r *run) handChunk(p *pass) bool {
	c := p.packing
	p.packing = nil
	c.seal()
	return p.queue.put(r.stopping, c)
}

// doubt notes what is being done about something that is not known.
func (r *run) doubt(text string) {
	r.mu.Lock()
	r.note = text
	if len(r.doubtful) < mostDoubts {
		r.doubtful = append(r.doubtful, text)
	}
	r.mu.Unlock()
	r.o.Log.Warn("importer: " + text)
}

// setNote says what the run is waiting for.
func (r *run) setNote(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note = text
}

// pause waits, and reports whether neither the run's end nor, where it is to be
// heeded, its stop cut that short.
func (r *run) pause(d time.Duration, heedStop bool) bool {
	stop := r.stopping
	if !heedStop {
		stop = nil
	}
	return sleep(r.work, stop, d)
}

// sleep waits for d and reports whether neither ctx nor stop cut it short.
func sleep(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	return false
}

// asking is a question to the tenant that may be repeated.
type asking func(context.Context, ...auth0.RequestOption) error

// persist asks until an answer comes, patience ends, asking is of no use, or,
// where that is to be heeded, the run is told to stop: the error is errLeft then.
func (r *run) persist(ctx context.Context, heedStop bool, patience time.Duration, ask asking) error {
	delays := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(500*time.Millisecond),
		backoff.WithMaxInterval(30*time.Second),
		backoff.WithMaxElapsedTime(patience),
	)
	stop := r.stopping
	if !heedStop {
		stop = nil
	}
	once := func(ctx context.Context, opts ...auth0.RequestOption) error {
		return ask(ctx, append(opts, auth0.NoRetry())...) // the waiting is done here, where a stop ends it
	}
	for {
		err := r.ask(ctx, once)
		if err == nil || !passing(err) || ctx.Err() != nil {
			r.setTrouble(nil)
			return err
		}
		r.setTrouble(err)
		d := delays.NextBackOff()
		if d == backoff.Stop {
			return fmt.Errorf("%w for %v: %w", errUnanswered, patience, err)
		}
		if !sleep(ctx, stop, d) {
			if ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", errLeft, err)
			}
			return err
		}
	}
}

// setTrouble notes why the tenant does not answer, nil when it does again.
func (r *run) setTrouble(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.trouble = "no answer, trying again: " + strings.TrimPrefix(err.Error(), "auth0: ")
		r.note = r.trouble
	case r.trouble != "":
		if r.note == r.trouble {
			r.note = ""
		}
		r.trouble = ""
	}
}

// ask asks once, and hears what the tenant's clock says.
func (r *run) ask(ctx context.Context, ask asking) error {
	var meta auth0.Meta
	sent := time.Now()
	done := r.count(&sent)
	err := ask(ctx, auth0.Capture(&meta), auth0.AttemptTimeout(callTimeout), auth0.Prepare(done.depart))
	done.arrive()
	r.clock.heardHeader(meta.Header, sent, time.Now())
	return err
}

// counted is a request that the progress counts.
type counted struct {
	r    *run
	sent *time.Time
	away bool
}

func (r *run) count(sent *time.Time) *counted {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	return &counted{r: r, sent: sent}
}

// depart is called when the request leaves.
func (c *counted) depart(*http.Request) error {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	*c.sent = time.Now()
	if !c.away {
		c.away = true
		c.r.away++
	}
	return nil
}

// arrive ends the count.
func (c *counted) arrive() {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.calls--
	if c.away {
		c.r.away--
	}
}

// passing reports whether the same request may succeed later.
func passing(err error) bool {
	e, ok := errors.AsType[*auth0.Error](err)
	switch {
	case !ok:
		return false
	case errors.Is(err, errHalted), errors.Is(err, ErrLedger):
		return false
	case errors.Is(err, auth0.ErrRateLimited):
		return true
	}
	return e.Status == 0 || e.Status < 400 || e.Status == http.StatusRequestTimeout || e.Status >= 500
}

// hopeless reports whether every other request would fail as well: there is no
// token, or not for this.
func hopeless(err error) bool {
	if errors.Is(err, auth0.ErrUnauthorized) || errors.Is(err, auth0.ErrForbidden) {
		return true
	}
	e, ok := errors.AsType[*auth0.Error](err)
	if !ok {
		return true // a source of tokens that fails, or a request that cannot be built
	}
	return strings.HasSuffix(e.Route, "/oauth/token") && !passing(err)
}

// tenantClock knows how far the tenant's clock is ahead of ours, within bounds.
// It is safe for concurrent use.
type tenantClock struct {
	mu        sync.Mutex
	known     bool
	low, high time.Duration
}

// clockSlack is how far apart two clocks may be that were never compared, and
// clockError how far the tenant's own servers may be apart.
const (
	clockSlack = 5 * time.Minute
	clockError = time.Second
)

// heard takes a time in an answer. It was read between the request's departure
// and the answer's arrival, and cut to precision.
func (c *tenantClock) heard(theirs time.Time, precision time.Duration, sent, arrived time.Time) {
	if theirs.IsZero() {
		return
	}
	low, high := theirs.Sub(arrived), theirs.Add(precision).Sub(sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || high < c.low || low > c.high {
		c.known, c.low, c.high = true, low, high // first heard of, or one of the clocks was set
		return
	}
	c.low, c.high = max(c.low, low), min(c.high, high)
}

func (c *tenantClock) heardHeader(h http.Header, sent, arrived time.Time) {
	if h == nil {
		return
	}
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		c.heard(at, time.Second, sent, arrived)
	}
}

// since returns a time on the tenant's clock that was surely over when ours
// showed t.
func (c *tenantClock) since(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := -clockSlack
	if c.known {
		d = c.low - clockError
	}
	return t.Add(d).UTC().Round(0)
}
