package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/headroom-go/auth0/authentication"
)

// patience is how long a visitor waits for the tenant, the throttle included.
const patience = 20 * time.Second

type site struct {
	api      *authentication.API
	verifier *authentication.Verifier
	base     string // the site's URL, without a slash at the end
	secure   bool   // the site is served over TLS
	sessions sessions
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("GET /callback", s.callback)
	mux.HandleFunc("GET /profile", s.profile)
	mux.HandleFunc("POST /logout", s.logout)
	// Forms of other sites cannot log anybody out.
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	show(w, http.StatusOK, page{Title: "Welcome", User: s.sessions.of(r, s.cookie(sessionCookie)).user})
}

// login sends the browser to the tenant, and remembers what it has to come back
// with.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	login := authentication.NewLogin(authentication.Authorize{
		RedirectURI: s.base + "/callback",
		Scope:       "openid profile email",
	})
	s.sessions.take(r, s.cookie(loginCookie))
	if s.begin(w, loginCookie, session{login: login}, loginTime) {
		http.Redirect(w, r, s.api.OAuth.AuthorizeURL(&login.Authorize), http.StatusSeeOther)
	}
}

// callback is where the tenant sends the browser back to.
func (s *site) callback(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	login := s.sessions.take(r, s.cookie(loginCookie)).login // whatever comes of it, it is used once
	s.setCookie(w, loginCookie, "", -1)
	user, err := s.finish(ctx, login, r)
	switch {
	case err == nil:
	case errors.Is(err, authentication.ErrState), errors.Is(err, authentication.ErrIssuer), errors.Is(err, authentication.ErrNoCode):
		show(w, http.StatusBadRequest, page{Title: "That login is over", Text: "It was begun elsewhere, has been used, or took too long. Please log in again."})
		return
	case authentication.CodeOf(err) == authentication.AccessDenied:
		show(w, http.StatusForbidden, page{Title: "You were not let in", Text: "The login was refused."})
		return
	default:
		slog.ErrorContext(ctx, "a login failed", "error", err) // errors hold no codes and no tokens
		show(w, http.StatusBadGateway, page{Title: "That did not work", Text: "The login could not be finished. Please try again in a moment."})
		return
	}
	s.sessions.take(r, s.cookie(sessionCookie)) // of whoever was logged in before
	if s.begin(w, sessionCookie, session{user: user}, sessionTime) {
		http.Redirect(w, r, "/profile", http.StatusSeeOther) // and the code is out of the address bar
	}
}

// finish turns what the browser came back with into a user.
func (s *site) finish(ctx context.Context, login *authentication.Login, r *http.Request) (*authentication.UserInfo, error) {
	tokens, err := s.api.OAuth.FinishLogin(ctx, login, r.URL.Query())
	if err != nil {
		return nil, err
	}
	token, err := s.verifier.IDToken(ctx, tokens.IDToken, login.Expect(tokens))
	if err != nil {
		return nil, err
	}
	var user authentication.UserInfo
	return &user, token.Decode(&user)
}

func (s *site) profile(w http.ResponseWriter, r *http.Request) {
	user := s.sessions.of(r, s.cookie(sessionCookie)).user
	if user == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	show(w, http.StatusOK, page{Title: "Your profile", User: user, Profile: true})
}

// logout ends the session here, and then the one that the browser has with the
// tenant.
func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	s.sessions.take(r, s.cookie(sessionCookie))
	s.setCookie(w, sessionCookie, "", -1)
	http.Redirect(w, r, s.api.Logout.URL(&authentication.Logout{ReturnTo: s.base + "/"}), http.StatusSeeOther)
}

// begin gives the browser a session. It reports whether there was room.
func (s *site) begin(w http.ResponseWriter, cookie string, v session, life time.Duration) bool {
	v.until = time.Now().Add(life)
	id := s.sessions.start(v)
	if id == "" {
		show(w, http.StatusServiceUnavailable, page{Title: "Too busy", Text: "Please try again in a few minutes."})
		return false
	}
	s.setCookie(w, cookie, id, int(life/time.Second))
	return true
}

// setCookie sets a cookie that scripts cannot read and that other sites' forms and
// frames do not send. Lax and not strict: the browser comes back from another
// site.
func (s *site) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie(name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure,
	})
}

// cookie returns the whole name of a cookie. With TLS it says, by its first
// letters, that browsers are to take it from this very host alone: another site
// of the same domain cannot plant a login or a session of its own.
func (s *site) cookie(name string) string {
	if s.secure {
		return "__Host-" + name
	}
	return name
}

// page is what the one template shows.
type page struct {
	Title   string
	Text    string
	User    *authentication.UserInfo
	Profile bool
}

func show(w http.ResponseWriter, status int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	if err := layout().Execute(w, p); err != nil {
		slog.Error("writing a page", "error", err)
	}
}
