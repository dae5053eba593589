package authentication

import "net/url"

// LogoutService builds what ends a session in the browser. The browser has to
// make the request, since the session is in its cookies.
type LogoutService struct{ c hidden[*core] }

// Logout are the parameters of URL.
type Logout struct {
	// ReturnTo has to be an allowed logout URL of the application; or of the
	// tenant, with WholeTenant.
	ReturnTo string `url:"returnTo,omitempty"`
	// WholeTenant leaves the application's id out.
	WholeTenant bool
	// Federated logs out of the identity provider too.
	Federated bool
}

// URL returns the URL to send the browser to.
//
//auth0:op GET /v2/logout
func (s LogoutService) URL(p *Logout) string {
	q := query(p)
	if id := s.c().clientID(); id != "" && (p == nil || !p.WholeTenant) {
		q.Set("client_id", id)
	}
	return s.c().browser("/v2/logout", federated(q, p != nil && p.Federated))
}

// federated adds the parameter that counts by being there, without a value.
func federated(q url.Values, yes bool) string {
	s := q.Encode()
	switch {
	case !yes:
		return s
	case s == "":
		return "federated"
	}
	return s + "&federated"
}

// OIDCLogout are the parameters of OIDCURL and OIDCForm.
type OIDCLogout struct {
	redacted[OIDCLogout]

	// IDTokenHint spares the user a question, as LogoutHint does.
	IDTokenHint string `url:"id_token_hint,omitempty"`
	// LogoutHint is the sid of the ID token.
	LogoutHint            string `url:"logout_hint,omitempty"`
	PostLogoutRedirectURI string `url:"post_logout_redirect_uri,omitempty"`
	State                 string `url:"state,omitempty"`
	// UILocales are languages, separated by spaces.
	UILocales string `url:"ui_locales,omitempty"`
	// Federated logs out of the identity provider too.
	Federated bool
}

func (s LogoutService) oidc(p *OIDCLogout) url.Values {
	q := query(p)
	if id := s.c().clientID(); id != "" {
		q.Set("client_id", id)
	}
	return q
}

// OIDCURL returns the URL to send the browser to, by the standard for logouts
// that applications begin.
//
//auth0:op GET /oidc/logout
func (s LogoutService) OIDCURL(p *OIDCLogout) string {
	return s.c().browser("/oidc/logout", federated(s.oidc(p), p != nil && p.Federated))
}

// OIDCForm returns the action and the fields of a form for the browser to post,
// which keeps the ID token out of URLs.
//
//auth0:op POST /oidc/logout
func (s LogoutService) OIDCForm(p *OIDCLogout) (action string, fields url.Values) {
	fields = s.oidc(p)
	if p != nil && p.Federated {
		fields.Set("federated", "true")
	}
	return s.c().browser("/oidc/logout", ""), fields
}
