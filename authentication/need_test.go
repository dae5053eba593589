package authentication_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/headroom-go/auth0/authentication"
)

// taker is a method that takes a struct of parameters, as a pointer.
type taker struct {
	of   reflect.Type
	call func(context.Context, api, any) error
}

func takes[P any](f func(context.Context, api, *P) error) taker {
	return taker{reflect.TypeFor[P](), func(ctx context.Context, a api, p any) error {
		params, _ := p.(*P)
		return f(ctx, a, params)
	}}
}

// takers are the methods of the list by their names, but for those for browsers
// and those that need nothing. The texts that some take are fields here.
func takers() map[string]taker {
	type c = context.Context
	return map[string]taker{
		"OAuth.ExchangeCode": takes(func(x c, a api, p *authentication.CodeExchange) error {
			_, err := a.OAuth.ExchangeCode(x, p)
			return err
		}),
		"OAuth.Refresh":       takes(func(x c, a api, p *authentication.Refresh) error { _, err := a.OAuth.Refresh(x, p); return err }),
		"OAuth.Password":      takes(func(x c, a api, p *authentication.Password) error { _, err := a.OAuth.Password(x, p); return err }),
		"OAuth.PasswordRealm": takes(func(x c, a api, p *authentication.Password) error { _, err := a.OAuth.PasswordRealm(x, p); return err }),
		"Passwordless.Token": takes(func(x c, a api, p *authentication.PasswordlessOTP) error {
			_, err := a.Passwordless.Token(x, p)
			return err
		}),
		"Passwordless.TokenForSession": takes(func(x c, a api, p *authentication.SessionOTP) error {
			_, err := a.Passwordless.TokenForSession(x, p)
			return err
		}),
		"MFA.VerifyOTP": takes(func(x c, a api, p *authentication.MFAOTP) error { _, err := a.MFA.VerifyOTP(x, p); return err }),
		"MFA.VerifyOOB": takes(func(x c, a api, p *authentication.MFAOOB) error { _, err := a.MFA.VerifyOOB(x, p); return err }),
		"MFA.VerifyRecoveryCode": takes(func(x c, a api, p *authentication.MFARecoveryCode) error {
			_, err := a.MFA.VerifyRecoveryCode(x, p)
			return err
		}),
		"TokenExchange.Custom": takes(func(x c, a api, p *authentication.CustomExchange) error {
			_, err := a.TokenExchange.Custom(x, p)
			return err
		}),
		"TokenExchange.NativeSocial": takes(func(x c, a api, p *authentication.NativeSocial) error {
			_, err := a.TokenExchange.NativeSocial(x, p)
			return err
		}),
		"TokenExchange.OnBehalfOf": takes(func(x c, a api, p *authentication.OnBehalfOf) error {
			_, err := a.TokenExchange.OnBehalfOf(x, p)
			return err
		}),
		"TokenExchange.CrossApp": takes(func(x c, a api, p *authentication.CrossApp) error {
			_, err := a.TokenExchange.CrossApp(x, p)
			return err
		}),
		"TokenExchange.VaultFromRefreshToken": takes(func(x c, a api, p *authentication.TokenVault) error {
			_, err := a.TokenExchange.VaultFromRefreshToken(x, p)
			return err
		}),
		"TokenExchange.VaultFromAccessToken": takes(func(x c, a api, p *authentication.TokenVault) error {
			_, err := a.TokenExchange.VaultFromAccessToken(x, p)
			return err
		}),
		"TokenExchange.VaultPrivileged": takes(func(x c, a api, p *authentication.TokenVault) error {
			_, err := a.TokenExchange.VaultPrivileged(x, p)
			return err
		}),
		"Passkeys.Token": takes(func(x c, a api, p *authentication.PasskeyResponse) error {
			_, err := a.Passkeys.Token(x, p)
			return err
		}),
		"CIBA.Authorize": takes(func(x c, a api, p *authentication.BackchannelAuthorize) error {
			_, err := a.CIBA.Authorize(x, p)
			return err
		}),
		"MFA.Challenge": takes(func(x c, a api, p *authentication.MFAChallengeRequest) error {
			_, err := a.MFA.Challenge(x, p)
			return err
		}),
		"Passwordless.Start": takes(func(x c, a api, p *authentication.PasswordlessStart) error {
			_, err := a.Passwordless.Start(x, p)
			return err
		}),
		"Passwordless.Challenge": takes(func(x c, a api, p *authentication.OTPChallenge) error {
			_, err := a.Passwordless.Challenge(x, p)
			return err
		}),
		"Legacy.PasswordlessVerify": takes(func(x c, a api, p *authentication.PasswordlessVerify) error {
			_, err := a.Legacy.PasswordlessVerify(x, p)
			return err
		}),
		"Database.Signup": takes(func(x c, a api, p *authentication.Signup) error { _, err := a.Database.Signup(x, p); return err }),
		"Database.ChangePassword": takes(func(x c, a api, p *authentication.ChangePassword) error {
			_, err := a.Database.ChangePassword(x, p)
			return err
		}),
		"OAuth.RegisterClient": takes(func(x c, a api, p *authentication.ClientRegistration) error {
			_, err := a.OAuth.RegisterClient(x, p)
			return err
		}),
		"Legacy.Delegate": takes(func(x c, a api, p *authentication.Delegation) error { _, err := a.Legacy.Delegate(x, p); return err }),
		"Legacy.ResourceOwner": takes(func(x c, a api, p *authentication.ResourceOwner) error {
			_, err := a.Legacy.ResourceOwner(x, p)
			return err
		}),
		"Legacy.SocialToken": takes(func(x c, a api, p *authentication.SocialToken) error {
			_, err := a.Legacy.SocialToken(x, p)
			return err
		}),
		"MFA.Associate": takes(func(x c, a api, p *authentication.MFAAssociation) error {
			_, err := a.MFA.Associate(x, "t", p)
			return err
		}),
		"Legacy.Impersonate": takes(func(x c, a api, p *authentication.Impersonation) error {
			_, err := a.Legacy.Impersonate(x, "t", "u", p)
			return err
		}),
		"OAuth.RevokeGlobally": takes(func(x c, a api, p *authentication.GlobalSubject) error {
			if p == nil {
				p = &authentication.GlobalSubject{}
			}
			return a.OAuth.RevokeGlobally(x, "connection", "t", *p)
		}),
		"Device.Token": takes(func(x c, a api, p *struct {
			DeviceCode string `url:"device_code"`
		}) error {
			_, err := a.Device.Token(x, p.DeviceCode)
			return err
		}),
		"CIBA.Token": takes(func(x c, a api, p *struct {
			AuthReqID string `url:"auth_req_id"`
		}) error {
			_, err := a.CIBA.Token(x, p.AuthReqID)
			return err
		}),
		"OAuth.Revoke": takes(func(x c, a api, p *struct {
			RefreshToken string `url:"token"`
		}) error {
			return a.OAuth.Revoke(x, p.RefreshToken)
		}),
		"Legacy.Unlink": takes(func(x c, a api, p *struct {
			AccessToken string `json:"access_token"`
			UserID      string `json:"user_id"`
		}) error {
			return a.Legacy.Unlink(x, p.AccessToken, p.UserID)
		}),
		"Legacy.TokenInfo": takes(func(x c, a api, p *struct {
			IDToken string `json:"id_token"`
		}) error {
			_, err := a.Legacy.TokenInfo(x, p.IDToken)
			return err
		}),
	}
}

// What the list says a call cannot do without is missed by name, and nothing is
// sent; what it does not say may be left out.
func TestWhatCallsNeed(t *testing.T) {
	t.Parallel()
	sent := 0
	a := authentication.New(newClient(t, func(*http.Request, string) answer { sent++; return replyJSON(200, "{}") }),
		authentication.ClientSecretPost(clientID, clientSecret))
	known := takers()
	checked := 0
	for _, c := range calls(t) {
		var needed []string
		for _, p := range c.Params {
			switch {
			case !p.Required || p.Value != "" || p.In != "form" && p.In != "json",
				p.Name == "client_id", p.Name == "client_secret", // which New is given
				p.Name == "audience" && c.Go == "OAuth.ClientCredentials", // a tenant may have one for all
				p.Name == "code_verifier",                                 // of public applications only
				p.Name == "response_type",                                 // is code where nothing is said
				p.Name == "subject", p.Name == "user_profile":             // are structs
			default:
				needed = append(needed, p.Name)
			}
		}
		if c.Go == "OAuth.RevokeGlobally" {
			needed = []string{"format", "iss", "sub"}
		}
		m, ok := known[c.Go]
		if c.Browser || !ok {
			if len(needed) > 0 && !c.Browser {
				t.Errorf("%s needs %v and is not tried", c.Go, needed)
			}
			continue
		}
		if m.of.Name() != "" {
			if err := m.call(t.Context(), a, reflect.Zero(reflect.PointerTo(m.of)).Interface()); err == nil || sent != 0 {
				t.Errorf("%s of nil: error %v, %d sent", c.Go, err, sent)
			}
		}
		for i := range m.of.NumField() {
			f := m.of.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("url")+f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "" {
				continue
			}
			p := reflect.New(m.of)
			fill(p.Elem())
			p.Elem().Field(i).SetZero()
			sent = 0
			err := m.call(t.Context(), a, p.Interface())
			if slices.Contains(needed, name) {
				checked++
				if err == nil || sent != 0 || !strings.Contains(err.Error(), f.Name) {
					t.Errorf("%s without %s: error %v, %d sent", c.Go, name, err, sent)
				}
			} else if err != nil || sent != 1 {
				t.Errorf("%s without %s, which it can do without: %v, %d sent", c.Go, name, err, sent)
			}
			sent = 0
		}
	}
	if checked < 50 {
		t.Errorf("%d parameters were missed", checked)
	}
}
