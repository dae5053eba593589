package auth0test

import (
	"net/http"
	"slices"
	"time"
)

const (
	sessionCookie = "auth0"
	// sessionIdle and sessionLife end a session: the time since it was last
	// used, and since it began.
	sessionIdle = 3 * 24 * time.Hour
	sessionLife = 7 * 24 * time.Hour
)

// session is a person being logged in to the tenant with one browser.
type session struct {
	id      string // sid, and what the Management API calls it
	cookie  string
	seq     uint64
	user    *user
	methods []string // by which the person has logged in, beside the password
	at      time.Duration
	used    time.Duration
	clients []string
	ip      string
	agent   string
	ended   bool

	metadata map[string]any
}

// over reports whether nobody is logged in by a session any more.
func (s *session) over(now time.Duration) bool {
	return s == nil || s.ended || now >= s.used+sessionIdle || now >= s.at+sessionLife
}

// session returns that of the browser that sent a request, nil without one.
func (t *Tenant) session(c *call) *session {
	cookie, err := (&http.Request{Header: c.header}).Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	s := t.sessions[cookie.Value]
	if s.over(c.now) || t.users.byID[s.user.id] != s.user {
		return nil
	}
	return s
}

// beginSession logs a person in with a browser. Whoever was logged in with it
// before is not any more.
func (t *Tenant) beginSession(c *call, u *user, methods []string) *session {
	if s := t.session(c); s != nil {
		if s.user == u {
			s.methods, s.at, s.used = methods, c.now, c.now
			return s
		}
		t.endSession(s)
	}
	s := &session{
		id: t.newID(32), cookie: t.newID(48), seq: t.sequence(), user: u, methods: methods, at: c.now, used: c.now,
		ip: t.ip(c), agent: c.header.Get("User-Agent"),
	}
	t.sessions[s.cookie] = s
	return s
}

// visit notes that an application has used a session.
func (s *session) visit(client string, now time.Duration) {
	s.used = now
	if !slices.Contains(s.clients, client) {
		s.clients = append(s.clients, client)
	}
}

// endSession logs a person out. Refresh tokens that were to last as long end too.
func (t *Tenant) endSession(s *session) {
	s.ended = true
	delete(t.sessions, s.cookie)
}

// cookieOf returns what has a browser keep a session; nil has it forget one.
func (c *call) cookieOf(s *session) string {
	cookie := http.Cookie{Name: sessionCookie, Path: "/", HttpOnly: true, Secure: c.scheme == "https", SameSite: http.SameSiteLaxMode, MaxAge: -1}
	if s != nil {
		cookie.Value, cookie.MaxAge = s.cookie, int(sessionLife/time.Second)
	}
	return cookie.String()
}
