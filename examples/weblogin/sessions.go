package main

import (
	"crypto/rand"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/headroom-go/auth0/authentication"
)

// A login under way and a user who is logged in have a cookie each, so that
// beginning a login, or coming back from one that is over, ends no session.
const (
	loginCookie   = "login"
	loginTime     = 10 * time.Minute // for the login page
	sessionCookie = "session"
	sessionTime   = 8 * time.Hour
	maxSessions   = 10_000 // anybody can begin a login
)

// session is what the server knows of one cookie.
type session struct {
	login *authentication.Login    // under way, nil with a user
	user  *authentication.UserInfo // logged in, nil with a login
	until time.Time
}

// sessions keeps them in memory, by the value of the browser's cookie. A site on
// several machines needs a store that they share.
type sessions struct {
	mu   sync.Mutex
	byID map[string]session
}

// start keeps a session and returns the value of its cookie, which nobody can
// guess: "" where there is no room.
func (s *sessions) start(v session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= maxSessions {
		now := time.Now()
		maps.DeleteFunc(s.byID, func(_ string, old session) bool { return now.After(old.until) })
		if len(s.byID) >= maxSessions {
			return ""
		}
	}
	if s.byID == nil {
		s.byID = map[string]session{}
	}
	id := rand.Text()
	s.byID[id] = v
	return id
}

// of returns the session of a browser's cookie, the zero session where there is
// none.
func (s *sessions) of(r *http.Request, cookie string) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(cookieOf(r, cookie))
}

// take is of, and ends the session: of two who take it one gets it.
func (s *sessions) take(r *http.Request, cookie string) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := cookieOf(r, cookie)
	v := s.find(id)
	delete(s.byID, id)
	return v
}

func (s *sessions) find(id string) session {
	v := s.byID[id]
	if time.Now().After(v.until) {
		return session{}
	}
	return v
}

func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}
