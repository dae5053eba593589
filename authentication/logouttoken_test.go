package authentication_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0/authentication"
)

// logoutToken is a logout token with changes to good claims; nil takes a claim out.
func logoutToken(tb testing.TB, header string, changes map[string]any) string {
	tb.Helper()
	c := map[string]any{
		"jti": "the-id", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		"nonce": nil, "auth_time": nil, "at_hash": nil, "c_hash": nil, "email": nil, "email_verified": nil, "org_id": nil, "org_name": nil,
	}
	maps.Copy(c, changes)
	return encode(tb, header, claimsText(tb, c), rsaKey(tb, "tenant"))
}

const logoutHeader = `{"alg":"RS256","typ":"logout+jwt","kid":"k1"}`

// A logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4) names a
// user, a session or both.
func TestLogoutToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, _ := newVerifier(t, authentication.VerifierOptions{})
		now := time.Now().Unix()
		for _, header := range []string{logoutHeader, `{"alg":"RS256","typ":"application/logout+jwt","kid":"k1"}`, goodHeader} {
			got, err := v.LogoutToken(t.Context(), logoutToken(t, header, nil))
			if err != nil {
				t.Fatalf("%s: %v", header, err)
			}
			if got.Issuer != issuer || got.Subject != "auth0|1" || got.SessionID != "the-session" || got.ID != "the-id" || !slices.Equal(got.Audience, []string{"app"}) ||
				got.IssuedAt.Unix() != now || got.Expiry.Unix() != now+3600 || string(got.Claims["jti"]) != `"the-id"` {
				t.Errorf("%+v", got)
			}
		}
		for missing, want := range map[string]string{"sub": " the-session", "sid": "auth0|1 "} {
			if got, err := v.LogoutToken(t.Context(), logoutToken(t, logoutHeader, map[string]any{missing: nil})); err != nil || got.Subject+" "+got.SessionID != want {
				t.Errorf("without %s: %+v, %v", missing, got, err)
			}
		}
		for name, c := range map[string]struct {
			raw    string
			reason authentication.Reason
		}{
			"an ID token":             {idToken(t, nil), authentication.ReasonClaim},
			"an access token":         {logoutToken(t, `{"alg":"RS256","typ":"at+jwt","kid":"k1"}`, nil), authentication.ReasonType},
			"unsigned":                {b64(`{"alg":"none","typ":"logout+jwt"}`) + "." + strings.Split(logoutToken(t, logoutHeader, nil), ".")[1] + ".", authentication.ReasonAlgorithm},
			"of a stranger":           {encode(t, logoutHeader, claimsText(t, nil), rsaKey(t, "stranger")), authentication.ReasonSignature},
			"another tenant":          {logoutToken(t, logoutHeader, map[string]any{"iss": "https://evil.auth0.com/"}), authentication.ReasonIssuer},
			"another application":     {logoutToken(t, logoutHeader, map[string]any{"aud": "other"}), authentication.ReasonAudience},
			"expired":                 {logoutToken(t, logoutHeader, map[string]any{"iat": now - 200, "exp": now - 60}), authentication.ReasonExpired},
			"no expiry":               {logoutToken(t, logoutHeader, map[string]any{"exp": nil}), authentication.ReasonClaim},
			"no id":                   {logoutToken(t, logoutHeader, map[string]any{"jti": nil}), authentication.ReasonClaim},
			"a nonce":                 {logoutToken(t, logoutHeader, map[string]any{"nonce": "the-nonce"}), authentication.ReasonNonce},
			"no events":               {logoutToken(t, logoutHeader, map[string]any{"events": nil}), authentication.ReasonClaim},
			"another event":           {logoutToken(t, logoutHeader, map[string]any{"events": map[string]any{"urn:other": map[string]any{}}}), authentication.ReasonClaim},
			"events a list":           {logoutToken(t, logoutHeader, map[string]any{"events": []string{"http://schemas.openid.net/event/backchannel-logout"}}), authentication.ReasonClaim},
			"an event that is a text": {logoutToken(t, logoutHeader, map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": "yes"}}), authentication.ReasonClaim},
			"nobody":                  {logoutToken(t, logoutHeader, map[string]any{"sub": nil, "sid": nil}), authentication.ReasonClaim},
			"a session of a number":   {logoutToken(t, logoutHeader, map[string]any{"sid": 7}), authentication.ReasonClaim},
		} {
			_, err := v.LogoutToken(t.Context(), c.raw)
			if refused, ok := errors.AsType[*authentication.TokenError](err); !ok || refused.Reason != c.reason {
				t.Errorf("%s: %v, want %s", name, err, c.reason)
			}
		}
		// And a logout token is no ID token.
		if _, err := v.IDToken(t.Context(), logoutToken(t, logoutHeader, nil), authentication.Expect{}); err == nil {
			t.Error("a logout token was accepted as an ID token")
		}
	})
}
