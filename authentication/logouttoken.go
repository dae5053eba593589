package authentication

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// LogoutToken is what a checked logout token says: which session has ended.
type LogoutToken struct {
	Issuer string
	// Subject is the user, "" where the token names the session alone.
	Subject string
	// SessionID is that of the ID token with which the session began, "" where all
	// sessions of the user have ended.
	SessionID string
	Audience  []string
	// ID is jti, of this token alone: one that comes again is a repetition.
	ID       string
	IssuedAt time.Time
	Expiry   time.Time
	// Claims are all claims, those of the fields above included.
	Claims map[string]json.RawMessage
}

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutToken checks the token that the tenant posts to an application's
// back-channel logout URL, in the form field logout_token, when a session has
// ended. A token that is refused is a *TokenError; other errors are those of
// fetching the tenant's keys.
func (v *Verifier) LogoutToken(ctx context.Context, raw string) (*LogoutToken, error) {
	if v.o.ClientID == "" {
		return nil, errors.New("authentication: the verifier has no client id; give NewVerifier a ClientID")
	}
	t, err := v.signed(ctx, raw, "logout+jwt", "application/logout+jwt", "JWT")
	if err != nil {
		return nil, err
	}
	var c common
	if err := v.common(t, v.o.ClientID, &c); err != nil {
		return nil, err
	}
	out := &LogoutToken{Issuer: c.issuer, Subject: c.subject, Audience: c.audience, IssuedAt: c.issued, Expiry: c.expiry, Claims: t.claims}
	if out.ID, err = t.needText("jti"); err != nil {
		return nil, err
	}
	if out.SessionID, err = t.text("sid"); err != nil {
		return nil, err
	}
	// What tells it from an ID token, whose form is the same.
	var events map[string]map[string]json.RawMessage
	if raw, ok := t.claims["events"]; !ok || json.Unmarshal(raw, &events) != nil || events[logoutEvent] == nil {
		return nil, refuse(ReasonClaim, "events does not say that it is a logout")
	}
	if _, ok := t.claims["nonce"]; ok {
		return nil, refuse(ReasonNonce, "it has a nonce, which logout tokens never have")
	}
	if out.Subject == "" && out.SessionID == "" {
		return nil, refuse(ReasonClaim, "it names neither a user nor a session")
	}
	return accepted(out, t.odd)
}
