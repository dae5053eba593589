package auth0test

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// What the Management API shows of logins, and how it ends them: sessions and
// refresh tokens.

func accessHandlers() handlers {
	return handlers{
		"GET /users/{user_id}/sessions":          (*Tenant).sessionsOfUser,
		"DELETE /users/{user_id}/sessions":       (*Tenant).deleteSessionsOfUser,
		"GET /users/{user_id}/refresh-tokens":    (*Tenant).refreshTokensOfUser,
		"DELETE /users/{user_id}/refresh-tokens": (*Tenant).deleteRefreshTokensOfUser,
		"POST /users/{id}/revoke-access":         (*Tenant).revokeAccess,
		"GET /sessions/{id}":                     (*Tenant).getSession,
		"PATCH /sessions/{id}":                   (*Tenant).getSession,
		"DELETE /sessions/{id}":                  (*Tenant).deleteSession,
		"POST /sessions/{id}/revoke":             (*Tenant).deleteSession,
		"GET /refresh-tokens":                    (*Tenant).listRefreshTokens,
		"POST /refresh-tokens/revoke":            (*Tenant).revokeRefreshTokens,
		"GET /refresh-tokens/{id}":               (*Tenant).getRefreshToken,
		"PATCH /refresh-tokens/{id}":             (*Tenant).getRefreshToken,
		"DELETE /refresh-tokens/{id}":            (*Tenant).deleteRefreshToken,
	}
}

func (s *session) sequence() uint64      { return s.seq }
func (r *refreshToken) sequence() uint64 { return r.seq }

// sessionsWhere returns the sessions in force that are chosen, the oldest first.
func (t *Tenant) sessionsWhere(c *call, chosen func(*session) bool) []*session {
	var found []*session
	for _, s := range t.sessions {
		if !s.over(c.now) && chosen(s) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *session) int { return cmp.Compare(a.seq, b.seq) })
	return found
}

// refreshTokensWhere is the same of refresh tokens.
func (t *Tenant) refreshTokensWhere(c *call, chosen func(*refreshToken) bool) []*refreshToken {
	var found []*refreshToken
	for _, r := range t.refreshTokens {
		if !r.ended && !r.spent && c.now < r.expires && chosen(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *refreshToken) int { return cmp.Compare(a.seq, b.seq) })
	return found
}

// device is what the API tells of the browser or program behind a login.
func device(ip, agent string) map[string]any {
	return map[string]any{"initial_ip": ip, "initial_user_agent": agent, "last_ip": ip, "last_user_agent": agent}
}

func (s *session) document() map[string]any {
	clients := []any{}
	for _, id := range s.clients {
		clients = append(clients, map[string]any{"client_id": id})
	}
	methods := []any{}
	for _, name := range append([]string{"pwd"}, s.methods...) {
		methods = append(methods, map[string]any{"name": name, "timestamp": timestamp(s.at)})
	}
	doc := map[string]any{
		"id": s.id, "user_id": s.user.id, "created_at": timestamp(s.at), "updated_at": timestamp(s.used), "authenticated_at": timestamp(s.at),
		"last_interacted_at": timestamp(s.used), "idle_expires_at": timestamp(s.used + sessionIdle), "expires_at": timestamp(s.at + sessionLife),
		"device": device(s.ip, s.agent), "clients": clients, "authentication": map[string]any{"methods": methods},
	}
	if s.metadata != nil {
		doc["session_metadata"] = s.metadata
	}
	return doc
}

func (r *refreshToken) document() map[string]any {
	doc := map[string]any{
		"id": r.id, "user_id": r.user.id, "client_id": r.client, "created_at": timestamp(r.made), "expires_at": timestamp(r.expires),
		"rotating": r.rotating, "device": device(r.ip, r.agent),
		"resource_servers": []any{map[string]any{"audience": r.audience, "scopes": strings.Join(r.scopes, " ")}},
	}
	if r.session != nil {
		doc["session_id"] = r.session.id
	}
	if r.exchanged != 0 {
		doc["last_exchanged_at"] = timestamp(r.exchanged)
	}
	if r.metadata != nil {
		doc["refresh_token_metadata"] = r.metadata
	}
	return doc
}

func (t *Tenant) sessionsOfUser(c *call) answer {
	return paged(c, t.sessionsWhere(c, func(s *session) bool { return s.user.id == c.argument(0) }), (*session).sequence, (*session).document)
}

func (t *Tenant) refreshTokensOfUser(c *call) answer {
	found := t.refreshTokensWhere(c, func(r *refreshToken) bool { return r.user.id == c.argument(0) })
	return paged(c, found, (*refreshToken).sequence, (*refreshToken).document)
}

func (t *Tenant) listRefreshTokens(c *call) answer {
	user, client := c.query.Get("user_id"), c.query.Get("client_id")
	found := t.refreshTokensWhere(c, func(r *refreshToken) bool { return r.user.id == user && (client == "" || r.client == client) })
	return paged(c, found, (*refreshToken).sequence, (*refreshToken).document)
}

// done is the answer of an operation that has nothing to say.
func (c *call) done() answer { return answer{status: c.op.success(), header: http.Header{}} }

// endSessions ends those that are chosen, and with them their refresh tokens
// where they are to go too.
func (t *Tenant) endSessions(c *call, tokens bool, chosen func(*session) bool) {
	for _, s := range t.sessionsWhere(c, chosen) {
		t.endSession(s)
		if tokens {
			t.endRefreshTokens(c, func(r *refreshToken) bool { return r.session == s })
		}
	}
}

func (t *Tenant) endRefreshTokens(c *call, chosen func(*refreshToken) bool) {
	for _, r := range t.refreshTokensWhere(c, chosen) {
		r.ended = true
	}
}

func (t *Tenant) deleteSessionsOfUser(c *call) answer {
	t.endSessions(c, false, func(s *session) bool { return s.user.id == c.argument(0) })
	return c.done()
}

func (t *Tenant) deleteRefreshTokensOfUser(c *call) answer {
	t.endRefreshTokens(c, func(r *refreshToken) bool { return r.user.id == c.argument(0) })
	return c.done()
}

func (t *Tenant) revokeAccess(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	id, keep, user := text(sent["session_id"]), sent["preserve_refresh_tokens"] == true, c.argument(0)
	t.endSessions(c, !keep, func(s *session) bool { return s.user.id == user && (id == "" || s.id == id) })
	if id == "" && !keep {
		t.endRefreshTokens(c, func(r *refreshToken) bool { return r.user.id == user })
	}
	return c.done()
}

// getSession shows a session or, with PATCH, changes it.
func (t *Tenant) getSession(c *call) answer {
	found := t.sessionsWhere(c, func(s *session) bool { return s.id == c.argument(0) })
	if len(found) == 0 {
		return *missing(http.StatusNotFound, "session")
	}
	if c.method == http.MethodPatch {
		sent, bad := c.payload()
		if bad != nil {
			return *bad
		}
		if v, given := sent["session_metadata"]; given {
			found[0].metadata, _ = v.(map[string]any)
		}
	}
	return jsonAnswer(c.op.success(), found[0].document())
}

// deleteSession ends a session; when it is revoked, its refresh tokens as well.
func (t *Tenant) deleteSession(c *call) answer {
	t.endSessions(c, c.method == http.MethodPost, func(s *session) bool { return s.id == c.argument(0) })
	return c.done()
}

// getRefreshToken shows a refresh token or, with PATCH, changes it.
func (t *Tenant) getRefreshToken(c *call) answer {
	found := t.refreshTokensWhere(c, func(r *refreshToken) bool { return r.id == c.argument(0) })
	if len(found) == 0 {
		return *missing(http.StatusNotFound, "refresh_token")
	}
	if c.method == http.MethodPatch {
		sent, bad := c.payload()
		if bad != nil {
			return *bad
		}
		if v, given := sent["refresh_token_metadata"]; given {
			found[0].metadata, _ = v.(map[string]any)
		}
	}
	return jsonAnswer(c.op.success(), found[0].document())
}

func (t *Tenant) deleteRefreshToken(c *call) answer {
	t.endRefreshTokens(c, func(r *refreshToken) bool { return r.id == c.argument(0) })
	return c.done()
}

func (t *Tenant) revokeRefreshTokens(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	ids, user, client, audience := texts(sent["ids"]), text(sent["user_id"]), text(sent["client_id"]), text(sent["audience"])
	t.endRefreshTokens(c, func(r *refreshToken) bool {
		return len(ids)+len(user)+len(client) > 0 && (len(ids) == 0 || slices.Contains(ids, r.id)) && (user == "" || r.user.id == user) &&
			(client == "" || r.client == client) && (audience == "" || r.audience == audience)
	})
	return c.done()
}
