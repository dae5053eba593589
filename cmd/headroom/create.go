package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
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

// A userAPI is what creating users needs of a tenant.
type userAPI interface {
	// create sends the user once. The error explains every result but sendCreated.
	create(ctx context.Context, fields map[string]json.RawMessage) (sendResult, time.Time, error)
	// byEmail and byID look users up. No such user is no error.
	byEmail(ctx context.Context, email string) ([]foundUser, error)
	byID(ctx context.Context, id string) ([]foundUser, error)
}

// foundUser is a user that the tenant has.
type foundUser struct {
	UserID     string    `json:"user_id"`
	CreatedAt  time.Time `json:"created_at"`
	Identities []struct {
		Connection string `json:"connection"`
	} `json:"identities"`
}

// What became of a user.
type fate uint8

const (
	fateCreated    fate = iota
	fateExists          // the tenant had the user before
	fateFailed          // it is not there, or nobody can tell
	fateUnfinished      // called off; it is not known to be there
)

var (
	// errHopeless marks a failure that every other user would meet too.
	errHopeless = errors.New("no user can be created")
	// errUnanswered marks a failure for want of an answer, not for the user's sake.
	errUnanswered = errors.New("no answer from the tenant")
)

const (
	// createAttempts bounds how often one user is sent when answers get lost.
	createAttempts = 6
	// lookups bounds how often a lost user is looked for before each repeat.
	lookups = 3
	// clockSlack is how far apart two clocks may be that were never compared,
	// and clockError how far the tenant's own servers may be apart.
	clockSlack = 5 * time.Minute
	clockError = time.Second
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
	api userAPI
	// stop, once closed, keeps anything from being sent that was not sent yet;
	// what is under way is seen through, lookups included.
	stop <-chan struct{}
	// skew is the least that the tenant's clock is ahead of ours, once an answer
	// has told.
	skew atomic.Pointer[time.Duration]
}

// create makes the user of rec on connection, unless the record names one of
// its own. The end of ctx breaks off what is under way.
func (c *creator) create(ctx context.Context, rec *record, connection string) (fate, error) {
	own := rec.text("connection")
	if own != "" {
		connection = own
	} else {
		rec.fields["connection"] = jsonString(connection)
	}
	delays := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(250*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second),
		backoff.WithMaxElapsedTime(0),
	)
	began := time.Now()
	lost := false // an attempt may have created the user without our knowing
	var last error
	for attempt := range createAttempts {
		if attempt > 0 && !sleep(ctx, c.stop, delays.NextBackOff()) {
			return fateUnfinished, lostError(lost, last)
		}
		result, createdAt, err := c.api.create(ctx, rec.fields)
		switch result {
		case sendCreated:
			c.tell(createdAt)
			return fateCreated, nil
		case sendConflict:
			if !lost {
				return fateExists, nil
			}
			// Ours, unless it was there all along and it was the conflict
			// whose answer got lost.
			if found, older, err := c.find(ctx, rec, connection, began); err == nil && found && older {
				return fateExists, nil
			}
			return fateCreated, nil
		case sendDenied:
			return fateFailed, fmt.Errorf("%w: %w", errHopeless, err)
		case sendNowhere:
			if own == "" {
				return fateFailed, fmt.Errorf("%w: connection %q does not exist; name another with --connection", errHopeless, connection)
			}
			return fateFailed, fmt.Errorf("connection %q does not exist", connection)
		case sendRefused:
			return fateFailed, err
		case sendStopped:
			return fateUnfinished, lostError(lost, err)
		case sendUnsent:
			last = err
		case sendLost:
			last, lost = err, true
			found, older, err := c.find(ctx, rec, connection, began)
			switch {
			case err != nil && ctx.Err() != nil:
				return fateUnfinished, lostError(lost, err)
			case err != nil:
				return fateFailed, fmt.Errorf("%w (%w), and looking for the user failed: %w; it may have been created", errUnanswered, last, err)
			case found && older:
				return fateExists, nil
			case found:
				return fateCreated, nil
			}
		}
	}
	return fateFailed, lostError(lost, fmt.Errorf("%w after %d attempts: %w", errUnanswered, createAttempts, last))
}

func lostError(lost bool, err error) error {
	if lost {
		return fmt.Errorf("%w; it may have been created", err)
	}
	return err
}

// find looks for the user. older says that it was created before began.
// Records with neither e-mail nor id cannot be looked up reliably (a search
// lags behind): they count as not found, and the connection's own uniqueness
// keeps a repeat from making a second user.
func (c *creator) find(ctx context.Context, rec *record, connection string, began time.Time) (found, older bool, err error) {
	var users []foundUser
	for try := range lookups {
		if try > 0 && !sleep(ctx, nil, time.Duration(try)*500*time.Millisecond) {
			break
		}
		if users, err = c.lookUp(ctx, rec); err == nil || errors.Is(err, errHopeless) {
			break
		}
	}
	if err != nil {
		return false, false, err
	}
	for _, u := range users {
		here := slices.ContainsFunc(u.Identities, func(i struct {
			Connection string `json:"connection"`
		}) bool {
			return i.Connection == connection
		})
		if here {
			return true, c.before(u.CreatedAt, began), nil
		}
	}
	return false, false, nil
}

func (c *creator) lookUp(ctx context.Context, rec *record) (users []foundUser, err error) {
	if id := rec.text("user_id"); id != "" {
		users, err = c.api.byID(ctx, "auth0|"+id)
	}
	// By address too: connections of other kinds put another prefix before the id.
	if email := rec.text("email"); email != "" && err == nil && len(users) == 0 {
		// Auth0 stores addresses in lower case and searches for them as given.
		users, err = c.api.byEmail(ctx, strings.ToLower(email))
	}
	return users, err
}

// tell compares the clocks by a time in an answer that has just arrived. The
// tenant read its clock before that, so it is ahead by at least the difference.
func (c *creator) tell(theirs time.Time) {
	if theirs.IsZero() {
		return
	}
	d := time.Until(theirs)
	for {
		known := c.skew.Load()
		if known != nil && *known >= d || c.skew.CompareAndSwap(known, &d) {
			return
		}
	}
}

// before reports whether t on the tenant's clock is surely before ours.
func (c *creator) before(t, ours time.Time) bool {
	if t.IsZero() {
		return false
	}
	if skew := c.skew.Load(); skew != nil {
		return t.Before(ours.Add(*skew - clockError))
	}
	return t.Before(ours.Add(-clockSlack))
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
