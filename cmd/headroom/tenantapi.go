package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/headroom-go/auth0"
)

// tenantAPI is the userAPI of a tenant behind an auth0.Client whose requests
// pass the gate.
type tenantAPI struct {
	client *auth0.Client
	gate   *gate
}

func (a *tenantAPI) create(ctx context.Context, fields map[string]json.RawMessage) (sendResult, time.Time, error) {
	flying, flight := a.gate.open(ctx)
	// The client would repeat a create whose request it knows never left; the
	// creator does it itself, and can be stopped in between.
	user, err := auth0.Call[foundUser](flying, a.client, http.MethodPost, "/api/v2/users", nil, nil, fields, []auth0.RequestOption{auth0.NoRetry()})
	f := a.gate.close(flight)

	var answer *auth0.Error
	answered := errors.As(err, &answer) && answer.Status != 0
	switch {
	case err == nil, f.status == http.StatusCreated:
		// Created, even if the rest of the answer got lost.
		return sendCreated, user.CreatedAt, nil
	case f.lost:
		return sendLost, time.Time{}, err
	case f.stopped:
		return sendStopped, time.Time{}, errHalted
	case errors.Is(err, auth0.ErrRateLimited):
		return sendUnsent, time.Time{}, err // the throttle gave it up; it was not acted on
	case !answered && (f.unsent || errors.Is(err, auth0.ErrAttemptTimeout)):
		return sendUnsent, time.Time{}, err
	case !answered && ctx.Err() != nil:
		return sendStopped, time.Time{}, err
	case !answered && f.status == 0:
		// It was never sent, and not for the network's sake: there is no token.
		return sendDenied, time.Time{}, err
	case !answered || answer.Status >= 500:
		return sendLost, time.Time{}, err
	case errors.Is(err, auth0.ErrConflict):
		return sendConflict, time.Time{}, err
	case errors.Is(err, auth0.ErrUnauthorized), errors.Is(err, auth0.ErrForbidden):
		return sendDenied, time.Time{}, err
	}
	if answer.Code == "inexistent_connection" {
		return sendNowhere, time.Time{}, err
	}
	return sendRefused, time.Time{}, err
}

func (a *tenantAPI) byEmail(ctx context.Context, email string) ([]foundUser, error) {
	query := url.Values{"email": {email}, "fields": {foundUserFields}}
	users, err := auth0.Call[[]foundUser](ctx, a.client, http.MethodGet, "/api/v2/users-by-email", nil, query, nil, nil)
	return users, lookupError(err)
}

func (a *tenantAPI) byID(ctx context.Context, id string) ([]foundUser, error) {
	query := url.Values{"fields": {foundUserFields}}
	user, err := auth0.Call[foundUser](ctx, a.client, http.MethodGet, "/api/v2/users/{id}", []string{id}, query, nil, nil)
	if errors.Is(err, auth0.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, lookupError(err)
	}
	return []foundUser{user}, nil
}

// foundUserFields asks for what foundUser holds.
const foundUserFields = "user_id,created_at,identities"

func lookupError(err error) error {
	if errors.Is(err, auth0.ErrUnauthorized) || errors.Is(err, auth0.ErrForbidden) {
		return fmt.Errorf("%w: %w", errHopeless, err)
	}
	return err
}
