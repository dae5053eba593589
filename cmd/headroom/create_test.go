package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scriptedAPI answers creates in order and keeps the users that it made.
type scriptedAPI struct {
	t       *testing.T
	answers []scripted
	users   map[string]time.Time // by e-mail
	sent    int
	looked  int
	lookErr []error // of the lookups, in order
	skew    time.Duration
}

type scripted struct {
	result sendResult
	made   bool // the user was created nevertheless
	after  time.Duration
}

func (a *scriptedAPI) create(_ context.Context, fields map[string]json.RawMessage) (sendResult, time.Time, error) {
	if a.sent >= len(a.answers) {
		a.t.Fatalf("create number %d was not expected", a.sent+1)
	}
	s := a.answers[a.sent]
	a.sent++
	time.Sleep(s.after)
	var email string
	_ = json.Unmarshal(fields["email"], &email)
	now := time.Now().Add(a.skew)
	if s.made || s.result == sendCreated {
		a.users[email] = now
	}
	if s.result == sendCreated {
		return s.result, now, nil
	}
	return s.result, time.Time{}, errors.New("scripted")
}

func (a *scriptedAPI) byEmail(_ context.Context, email string) ([]foundUser, error) {
	a.looked++
	if len(a.lookErr) >= a.looked && a.lookErr[a.looked-1] != nil {
		return nil, a.lookErr[a.looked-1]
	}
	at, ok := a.users[email]
	if !ok {
		return nil, nil
	}
	var users []foundUser
	err := json.Unmarshal([]byte(`[{"identities":[{"connection":"elsewhere"}]},{"user_id":"auth0|1","identities":[{"connection":"Users"}]}]`), &users)
	users[1].CreatedAt = at
	return users, err
}

func (a *scriptedAPI) byID(context.Context, string) ([]foundUser, error) { return nil, nil }

func TestCreate(t *testing.T) {
	t.Parallel()
	failing := errors.New("lookup failed")
	tests := []struct {
		name    string
		answers []scripted
		older   time.Duration // the user was there that long before, 0: it was not
		lookErr []error
		want    fate
		sent    int
		looked  int
		reason  string
	}{
		{name: "created", answers: []scripted{{result: sendCreated}}, want: fateCreated, sent: 1},
		{name: "there before", answers: []scripted{{result: sendConflict}}, older: time.Hour, want: fateExists, sent: 1},
		{name: "refused", answers: []scripted{{result: sendRefused}}, want: fateFailed, sent: 1, reason: "scripted"},
		{name: "denied", answers: []scripted{{result: sendDenied}}, want: fateFailed, sent: 1, reason: "no user can be created"},
		{name: "no such connection", answers: []scripted{{result: sendNowhere}}, want: fateFailed, sent: 1, reason: `connection "Users" does not exist; name another with --connection`},
		{name: "called off", answers: []scripted{{result: sendStopped}}, want: fateUnfinished, sent: 1},
		{name: "lost on the way there", answers: []scripted{{result: sendLost}, {result: sendCreated}}, want: fateCreated, sent: 2, looked: 1},
		{name: "lost on the way back", answers: []scripted{{result: sendLost, made: true}}, want: fateCreated, sent: 1, looked: 1},
		{name: "a late one arrives after the lookup", answers: []scripted{{result: sendLost}, {result: sendConflict, made: true}}, want: fateCreated, sent: 2, looked: 2},
		{name: "there before, and the conflict was lost", answers: []scripted{{result: sendLost}}, older: time.Hour, want: fateExists, sent: 1, looked: 1},
		{name: "not sent", answers: []scripted{{result: sendUnsent}, {result: sendUnsent}, {result: sendCreated}}, want: fateCreated, sent: 3},
		{name: "not sent, then there before", answers: []scripted{{result: sendUnsent}, {result: sendConflict}}, older: time.Hour, want: fateExists, sent: 2},
		{name: "lookup fails twice", answers: []scripted{{result: sendLost, made: true}}, lookErr: []error{failing, failing}, want: fateCreated, sent: 1, looked: 3},
		{name: "lookup fails for good", answers: []scripted{{result: sendLost, made: true}}, lookErr: []error{failing, failing, failing}, want: fateFailed, sent: 1, looked: 3, reason: "it may have been created"},
		{name: "lookup denied", answers: []scripted{{result: sendLost, made: true}}, lookErr: []error{errHopeless}, want: fateFailed, sent: 1, looked: 1, reason: "no user can be created"},
		{name: "never answered", answers: []scripted{{result: sendLost}, {result: sendUnsent}, {result: sendLost}, {result: sendLost}, {result: sendLost}, {result: sendLost}},
			want: fateFailed, sent: 6, looked: 5, reason: "no answer from the tenant after 6 attempts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := &scriptedAPI{t: t, answers: tt.answers, users: map[string]time.Time{}, lookErr: tt.lookErr}
				if tt.older > 0 {
					api.users["ada@example.com"] = time.Now().Add(-tt.older)
				}
				c := &creator{api: api}
				rec := testRecord(t, `{"email":"ada@example.com"}`)
				what, err := c.create(t.Context(), rec, "Users")
				if what != tt.want || api.sent != tt.sent || api.looked != tt.looked {
					t.Errorf("fate %d, %d sent, %d looked up; want %d, %d, %d (%v)", what, api.sent, api.looked, tt.want, tt.sent, tt.looked, err)
				}
				if tt.reason != "" && (err == nil || !strings.Contains(err.Error(), tt.reason)) {
					t.Errorf("error %v does not say %q", err, tt.reason)
				}
				if what == fateCreated && err != nil {
					t.Errorf("created, and error %v", err)
				}
			})
		})
	}
}

func testRecord(t *testing.T, raw string) *record {
	t.Helper()
	fields, err := parseUser([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &record{number: 1, line: 1, fields: fields}
}

// A tenant whose clock is an hour off either way: the age of a user is told
// apart all the same once one answer has shown the difference.
func TestCreateWithSkewedClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			api := &scriptedAPI{t: t, users: map[string]time.Time{}, skew: skew, answers: []scripted{
				{result: sendCreated, after: 200 * time.Millisecond},
				{result: sendLost, made: true, after: 100 * time.Millisecond},
				{result: sendLost, after: 100 * time.Millisecond},
			}}
			c := &creator{api: api}
			for _, email := range []string{"a@example.com", "b@example.com"} {
				if what, err := c.create(t.Context(), testRecord(t, `{"email":"`+email+`"}`), "Users"); what != fateCreated {
					t.Errorf("skew %v: %s has fate %d, %v; want created", skew, email, what, err)
				}
			}
			time.Sleep(3 * time.Second)
			if what, err := c.create(t.Context(), testRecord(t, `{"email":"a@example.com"}`), "Users"); what != fateExists {
				t.Errorf("skew %v: the second a@example.com has fate %d, %v; want exists", skew, what, err)
			}
		})
	}
}

// Once stopped, nothing is repeated; a lookup under way still decides.
func TestCreateStopped(t *testing.T) {
	t.Parallel()
	for _, made := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			stop := make(chan struct{})
			api := &scriptedAPI{t: t, users: map[string]time.Time{}, answers: []scripted{{result: sendLost, made: made, after: time.Second}}}
			c := &creator{api: api, stop: stop}
			time.AfterFunc(500*time.Millisecond, func() { close(stop) })
			what, err := c.create(t.Context(), testRecord(t, `{"email":"ada@example.com"}`), "Users")
			want := fateUnfinished
			if made {
				want = fateCreated
			}
			if what != want {
				t.Errorf("made %v: fate %d, %v; want %d", made, what, err, want)
			}
		})
	}
}

func TestCreateConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for raw, want := range map[string]string{
			`{"email":"a@example.com"}`:                         `"Users"`,
			`{"email":"a@example.com","connection":"Partners"}`: `"Partners"`,
			`{"email":"a@example.com","connection":null}`:       `"Users"`,
		} {
			rec := testRecord(t, raw)
			c := &creator{api: &scriptedAPI{t: t, users: map[string]time.Time{}, answers: []scripted{{result: sendCreated}}}}
			if _, err := c.create(t.Context(), rec, "Users"); err != nil || string(rec.fields["connection"]) != want {
				t.Errorf("%s: connection %s, %v; want %s", raw, rec.fields["connection"], err, want)
			}
		}
	})
}
