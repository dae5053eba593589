package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headroom-go/auth0"
)

// What became of one attempt to create a user.
type sendResult uint8

const (
	sendCreated  sendResult = iota // 201
	sendConflict                   // 409: there is such a user
	sendRefused                    // another 4xx: the same request would be refused again
	sendDenied                     // no token, 401 or 403: every other request would be refused as well
	sendNowhere                    // 400: there is no such connection
	sendUnsent                     // it never left: repeating it is safe
	sendLost                       // it left, and no answer tells what became of it
	sendStopped                    // called off before it left
)

// A userAPI is what creating users one by one needs of a tenant.
type userAPI interface {
	// create sends the user once. The error explains every result but sendCreated.
	create(ctx context.Context, s *single, connection string) (sendResult, error)
	// update changes a user to what is given.
	update(ctx context.Context, id string, s *single) error
	// find looks a user up. No such user is no error.
	find(ctx context.Context, k keys, connection string) (*foundUser, error)
}

// foundUser is a user that the tenant has.
type foundUser struct {
	UserID     string    `json:"user_id"`
	CreatedAt  time.Time `json:"created_at"`
	Identities []struct {
		Connection string `json:"connection"`
	} `json:"identities"`
}

// single is a user on the way of its own call.
type single struct {
	keys
	number, line int
	json         []byte
	connection   string // of its own
	needsUsers   bool
	doubt        bool      // an earlier run may have created it,
	since        time.Time // no sooner than this by the tenant's clock
}

func (s *single) record() *Record {
	return &Record{
		Number: s.number, Line: s.line, User: s.json, Email: s.Email, UserID: s.UserID, Username: s.Username, Phone: s.Phone,
		Connection: s.connection, NeedsUsers: s.needsUsers,
	}
}

// What became of a user.
type result uint8

const (
	unknown     result = iota
	wasCreated         // by this import
	wasUpdated         // it was there before, and was changed
	wasThere           // it was there before, and was left as it was
	wasConflict        // somebody has one of its names
	lookUp             // the same, and it is to be looked up who
	wasRefused         // it was not sent
	didFail            // it is not there, or nobody can tell
	willRetry          // it is tried again later
	unfinished         // called off; it is not known to be there
)

// outcome is a result with its reasons.
type outcome struct {
	what                result
	kind                Kind
	code, field, reason string
}

// book adds what became of a user to a line of the ledger.
func (e *entry) book(number int, o *outcome) {
	switch o.what {
	case wasCreated:
		e.Created++
	case wasUpdated:
		e.Updated++
	case wasThere:
		e.Exists.Add(number)
	case wasRefused:
		addTo(&e.Refused, o.code, number)
	case willRetry:
		e.Retry.Add(number)
		return
	default:
		reason := o.code
		if o.field != "" {
			reason += " " + o.field
		}
		addTo(&e.Failed, reason, number)
	}
	if e.What == lineUsers {
		e.Settled.Add(number)
	}
}

func addTo(by *map[string]Ranges, reason string, number int) {
	if *by == nil {
		*by = make(map[string]Ranges)
	}
	u := (*by)[reason]
	u.Add(number)
	(*by)[reason] = u
}

// countAll is how many users there are in all sets.
func countAll(by map[string]Ranges) int {
	n := 0
	for _, u := range by {
		n += u.Count()
	}
	return n
}

const (
	// createAttempts bounds how often one user is sent when answers get lost.
	createAttempts = 6
	// lookups bounds how often a lost user is looked for before each repeat.
	lookups = 3
	// unansweredLimit is how many users in a row may fail for want of an answer
	// before the run ends: the tenant is gone, and the rest would fail as well.
	unansweredLimit = 20
	// windowUsers is how many users ahead the ledger says that they may be sent.
	windowUsers = 256
	// flushUsers and flushEvery bound how many users, and for how long, the ledger
	// may be behind.
	flushUsers = 200
	flushEvery = time.Second
)

// A creator creates users one at a time, each exactly once. It is safe for
// concurrent use.
//
// When the answer to a create is lost, or a server error leaves open whether
// the user was made, it looks for the user before it sends anything again. A
// user found then, or a conflict met then, is its own work and counts as
// created, unless the tenant says that the user is older than the first
// attempt.
type creator struct {
	api    userAPI
	clock  *tenantClock
	upsert bool
	// stop, once closed, keeps anything from being sent that was not sent yet;
	// what is under way is seen through, lookups included.
	stop <-chan struct{}
}

// create makes the user on connection, unless it has one of its own. The end of
// ctx breaks off what is under way. An error goes with didFail and unfinished;
// it wraps errHopeless or errUnanswered where they apply.
func (c *creator) create(ctx context.Context, s *single, connection string) (result, error) {
	if s.connection != "" {
		connection = s.connection
	}
	delays := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(250*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second),
		backoff.WithMaxElapsedTime(0),
	)
	began := s.since
	if !s.doubt {
		began = c.clock.since(time.Now())
	}
	lost := s.doubt // an attempt may have created the user without our knowing
	var last error
	if lost {
		switch what, err := c.own(ctx, s, connection, began); {
		case err != nil:
			return lookupFailed(ctx, err, err)
		case what != unknown:
			return c.settle(ctx, s, what, connection)
		}
	}
	for attempt := range createAttempts {
		if attempt > 0 && !sleep(ctx, c.stop, delays.NextBackOff()) {
			return unfinished, lostError(lost, last)
		}
		sent, err := c.api.create(ctx, s, connection)
		switch sent {
		case sendCreated:
			return wasCreated, nil
		case sendConflict:
			if !lost {
				return c.settle(ctx, s, wasThere, connection)
			}
			// Ours, unless it was there all along and it was the conflict
			// whose answer got lost, or somebody else has one of its names.
			switch what, err := c.own(ctx, s, connection, began); {
			case err != nil:
				return lookupFailed(ctx, err, err)
			case what == wasThere, what == unknown && s.exact():
				return c.settle(ctx, s, wasThere, connection)
			}
			return wasCreated, nil
		case sendDenied:
			return didFail, fmt.Errorf("%w: %w", errHopeless, err)
		case sendNowhere:
			if s.connection == "" {
				return didFail, fmt.Errorf("%w: connection %q does not exist; name another", errHopeless, connection)
			}
			return didFail, fmt.Errorf("connection %q does not exist: %w", connection, err)
		case sendRefused:
			return didFail, err
		case sendStopped:
			return unfinished, lostError(lost, err)
		case sendUnsent:
			last = err
		case sendLost:
			last, lost = err, true
			what, err := c.own(ctx, s, connection, began)
			if err != nil {
				return lookupFailed(ctx, last, err)
			}
			if what != unknown {
				return c.settle(ctx, s, what, connection)
			}
		}
	}
	return didFail, lostError(lost, fmt.Errorf("%w after %d attempts: %w", errUnanswered, createAttempts, last))
}

func lookupFailed(ctx context.Context, last, err error) (result, error) {
	if ctx.Err() != nil {
		return unfinished, lostError(true, err)
	}
	return didFail, fmt.Errorf("%w (%w), and looking for the user failed: %w; it may have been created", errUnanswered, last, err)
}

func lostError(lost bool, err error) error {
	if lost {
		return fmt.Errorf("%w; it may have been created", err)
	}
	return err
}

// own looks for the user and says whether it was created since began, was there
// before, or is not there (unknown). Users with neither e-mail nor id are
// searched for in an index that lags behind: they may count as not there, and the
// connection's own uniqueness keeps a repeat from making a second user.
func (c *creator) own(ctx context.Context, s *single, connection string, began time.Time) (result, error) {
	found, err := c.find(ctx, s.keys, connection)
	switch {
	case err != nil || found == nil:
		return unknown, err
	case found.CreatedAt.Before(began) && !found.CreatedAt.IsZero():
		return wasThere, nil
	}
	return wasCreated, nil
}

func (c *creator) find(ctx context.Context, k keys, connection string) (found *foundUser, err error) {
	for try := range lookups {
		if try > 0 && !sleep(ctx, nil, time.Duration(try)*500*time.Millisecond) {
			break
		}
		if found, err = c.api.find(ctx, k, connection); err == nil || errors.Is(err, errHopeless) {
			break
		}
	}
	return found, err
}

// settle updates a user who was there before, if that is wanted.
func (c *creator) settle(ctx context.Context, s *single, what result, connection string) (result, error) {
	if what != wasThere || !c.upsert {
		return what, nil
	}
	k := s.keys
	if k.Email != "" {
		k.UserID = "" // whoever has the id may be somebody else: it is the address that tells, as in a job
	}
	found, err := c.find(ctx, k, connection)
	if err == nil && found == nil {
		return didFail, errors.New("another user has the id, the user name or the telephone number, and the e-mail address is not there to update")
	}
	if err == nil {
		delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(250*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
		for attempt := range createAttempts {
			if attempt > 0 && !sleep(ctx, nil, delays.NextBackOff()) {
				break
			}
			// Changing a user to the same twice does no harm.
			if err = c.api.update(ctx, found.UserID, s); err == nil {
				return wasUpdated, nil
			}
			if !passing(err) {
				break
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return unfinished, err
	case hopeless(err) && !errors.Is(err, errHopeless):
		return didFail, fmt.Errorf("%w: %w", errHopeless, err)
	case passing(err):
		return didFail, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	return didFail, err
}

// tenantAPI is the userAPI of a run's tenant.
type tenantAPI struct{ r *run }

func (a *tenantAPI) create(ctx context.Context, s *single, connection string) (sendResult, error) {
	name, err := json.Marshal(connection)
	if err != nil {
		return sendRefused, err
	}
	body := make([]byte, 0, len(s.json)+len(name)+16)
	body = append(append(append(body, `{"connection":`...), name...), ',')
	body = append(body, s.json[1:]...) // a user has at least one name, so its object is not empty
	// The client would repeat a create whose request it knows never left; the
	// creator does it itself, and can be stopped in between.
	flying, g := a.r.guard(ctx, nil)
	defer g.end()
	var meta auth0.Meta
	user, err := auth0.Call[foundUser](flying, a.r.c, http.MethodPost, "/api/v2/users", nil, nil, json.RawMessage(body), []auth0.RequestOption{
		auth0.NoRetry(), auth0.AttemptTimeout(callTimeout), auth0.Capture(&meta), auth0.Prepare(g.depart),
	})
	g.mu.Lock()
	left, at := g.left, g.at
	g.mu.Unlock()
	if left {
		now := time.Now()
		a.r.clock.heardHeader(meta.Header, at, now)
		if err == nil {
			a.r.clock.heard(user.CreatedAt, time.Millisecond, at, now)
		}
	}
	e, answered := errors.AsType[*auth0.Error](err)
	answered = answered && e.Status != 0
	switch {
	case err == nil, answered && e.Status == http.StatusCreated:
		return sendCreated, nil // even if the rest of the answer got lost
	case errors.Is(err, errHalted):
		return sendStopped, err
	case !left && flying.Err() != nil:
		return sendStopped, errHalted
	case errors.Is(err, auth0.ErrRateLimited):
		return sendUnsent, err // the throttle gave it up; it was not acted on
	case !left && !passing(err):
		return sendDenied, err // there is no token
	case !left || errors.Is(err, auth0.ErrNotSent):
		return sendUnsent, err
	case !answered || passing(err):
		return sendLost, err
	case errors.Is(err, auth0.ErrConflict):
		return sendConflict, err
	case hopeless(err):
		return sendDenied, err
	case e.Code == "inexistent_connection":
		return sendNowhere, err
	}
	return sendRefused, err
}

// updated are the fields that an upsert changes.
var updated = [...]string{"app_metadata", "user_metadata", "email_verified", "name", "given_name", "family_name", "nickname", "picture"}

func (a *tenantAPI) update(ctx context.Context, id string, s *single) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(s.json, &given); err != nil {
		return err
	}
	changes := make(map[string]json.RawMessage)
	for _, name := range updated {
		if v, ok := given[name]; ok {
			changes[name] = v
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return a.r.ask(ctx, func(ctx context.Context, opts ...auth0.RequestOption) error {
		_, err := auth0.Call[auth0.NoContent](ctx, a.r.c, http.MethodPatch, "/api/v2/users/{id}", []string{id}, nil, changes, append(opts, auth0.Idempotent()))
		return err
	})
}

func (a *tenantAPI) find(ctx context.Context, k keys, connection string) (*foundUser, error) {
	return a.r.findOnce(ctx, k, connection)
}

// foundUserFields asks for what foundUser holds.
const foundUserFields = "user_id,created_at,identities"

// find looks a user up, again until an answer comes or patience ends.
func (r *run) find(ctx context.Context, k keys, connection string) (*foundUser, error) {
	delays := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(500*time.Millisecond), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(patience))
	for {
		u, err := r.findOnce(ctx, k, connection)
		if err == nil || !passing(err) || errors.Is(err, errHopeless) || ctx.Err() != nil {
			r.setTrouble(nil)
			return u, err
		}
		r.setTrouble(err)
		d := delays.NextBackOff()
		if d == backoff.Stop || !sleep(ctx, nil, d) {
			return nil, err
		}
	}
}

func (r *run) findOnce(ctx context.Context, k keys, connection string) (*foundUser, error) {
	here := func(users []foundUser) *foundUser {
		for i := range users {
			if connection == "" || slices.ContainsFunc(users[i].Identities, func(id struct {
				Connection string `json:"connection"`
			}) bool {
				return id.Connection == connection
			}) {
				return &users[i]
			}
		}
		return nil
	}
	var users []foundUser
	list := func(path string, query url.Values) error {
		query.Set("fields", foundUserFields)
		return lookupError(r.ask(ctx, func(ctx context.Context, opts ...auth0.RequestOption) (err error) {
			users, err = auth0.Call[[]foundUser](ctx, r.c, http.MethodGet, path, nil, query, nil, opts)
			return err
		}))
	}
	if k.UserID != "" {
		var user foundUser
		err := r.ask(ctx, func(ctx context.Context, opts ...auth0.RequestOption) (err error) {
			user, err = auth0.Call[foundUser](ctx, r.c, http.MethodGet, "/api/v2/users/{id}",
				[]string{"auth0|" + strings.TrimPrefix(k.UserID, "auth0|")}, url.Values{"fields": {foundUserFields}}, nil, opts)
			return err
		})
		switch {
		case err == nil:
			if u := here([]foundUser{user}); u != nil {
				return u, nil
			}
		case !errors.Is(err, auth0.ErrNotFound):
			return nil, lookupError(err)
		}
	}
	if k.Email != "" {
		// By address too: connections of other kinds put another prefix before the
		// id. Auth0 stores addresses in lower case and searches for them as given.
		if err := list("/api/v2/users-by-email", url.Values{"email": {strings.ToLower(k.Email)}}); err != nil {
			return nil, err
		}
		return here(users), nil
	}
	for _, f := range [][2]string{{"username", k.Username}, {"phone_number", k.Phone}} {
		if f[1] == "" {
			continue
		}
		q := f[0] + `:"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(f[1]) + `"`
		if err := list("/api/v2/users", url.Values{"q": {q}, "search_engine": {"v3"}}); err != nil {
			return nil, err
		}
		if u := here(users); u != nil {
			return u, nil
		}
	}
	return nil, nil
}

func lookupError(err error) error {
	if errors.Is(err, auth0.ErrUnauthorized) || errors.Is(err, auth0.ErrForbidden) {
		return fmt.Errorf("%w: %w", errHopeless, err)
	}
	return err
}

// handSingle gives a record to a worker. The ledger says beforehand that the user may be sent.
func (r *run) handSingle(p *pass, rec *Record) bool {
	n := rec.Number
	if n < p.window.from || n > p.window.to {
		p.window = span{n, n + windowUsers - 1}
		e := &entry{What: lineWindow, Since: r.clock.since(time.Now())}
		e.Users.AddSpan(p.window.from, p.window.to)
		if r.write(true, e) != nil {
			return false
		}
	}
	s := &single{
		number: n, line: rec.Line, json: slices.Clone(rec.User), connection: rec.Connection, needsUsers: rec.NeedsUsers,
		keys: keys{strings.Clone(rec.UserID), strings.Clone(rec.Email), strings.Clone(rec.Username), strings.Clone(rec.Phone)},
	}
	s.doubt, s.since = p.doubts(n)
	select {
	case p.singles <- s:
		return true
	case <-r.stopping:
		return false
	}
}

// doubts says whether a call of an earlier run may have created the user, and
// since when.
func (p *pass) doubts(number int) (bool, time.Time) {
	for _, w := range p.books.windows {
		if w.users.Has(number) {
			return true, w.since
		}
	}
	return false, time.Time{}
}

// worker creates users until there are no more. The first ones bring others up,
// so that an import by jobs alone has but one.
func (r *run) worker(p *pass) {
	for {
		select {
		case <-r.stopping:
			return
		default:
		}
		select {
		case <-r.stopping:
			return
		case s, ok := <-p.singles:
			if !ok {
				return
			}
			if int(p.workers.Add(1)) <= r.o.Workers {
				p.wg.Go(func() { r.worker(p) })
			}
			what, err := r.creator.create(r.work, s, cmpOr(r.connection.name, r.connection.id))
			r.created(p, s, what, err)
		}
	}
}

// created books what became of a single user.
func (r *run) created(p *pass, s *single, what result, err error) {
	if what == unfinished {
		return
	}
	if errors.Is(err, errHopeless) {
		r.fail(err) // not this user's fault: it stays to be done
		return
	}
	lost := errors.Is(err, errUnanswered)
	r.mu.Lock()
	r.unanswered++
	if !lost {
		r.unanswered = 0
	}
	many := r.unanswered
	r.mu.Unlock()
	if many >= unansweredLimit {
		r.fail(fmt.Errorf("%d users in a row without an answer: %w", many, err))
		return
	}
	o := outcome{what: what}
	if what == didFail {
		o.kind, o.code, o.reason = KindFix, "refused", plainText(scrub(err.Error(), s.json), 500)
		if lost {
			o.kind, o.code = KindRetry, "unanswered"
		} else if e, ok := errors.AsType[*auth0.Error](err); ok {
			o.code = cmpOr(plainWord(e.Code), fmt.Sprintf("status_%d", e.Status))
		}
		o = *r.finalFailure(p, s, &o)
	}
	r.outcomes.add(s.number, o)
}

// outcomes gathers what became of single users for the ledger. It is safe for
// concurrent use.
type outcomes struct {
	r  *run
	mu sync.Mutex
	e  *entry
	n  int
}

func (b *outcomes) add(number int, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.e == nil {
		b.e = &entry{What: lineUsers}
	}
	b.e.book(number, &o)
	if b.n++; b.n >= flushUsers {
		b.flushLocked()
	}
}

func (b *outcomes) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
}

func (b *outcomes) flushLocked() {
	if b.e != nil {
		_ = b.r.write(true, b.e) // which ends the run when it fails
		b.e, b.n = nil, 0
	}
}

// pending adds what is not in the books yet.
func (b *outcomes) pending(p *Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.e == nil {
		return
	}
	p.Created += b.e.Created
	p.Updated += b.e.Updated
	p.Exists += b.e.Exists.Count()
	p.Refused += countAll(b.e.Refused)
	p.Failed += countAll(b.e.Failed)
}

// run writes to the ledger every so often.
func (b *outcomes) run(over <-chan struct{}) {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			b.flush()
		case <-over:
			return
		}
	}
}
