package auth0test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// What hangs on users: roles, permissions, organizations, identities, and the
// methods by which they are told to be themselves.

func userLinkHandlers() handlers {
	return handlers{
		"GET /users/{id}/roles":                              (*Tenant).rolesOfUser,
		"POST /users/{id}/roles":                             (*Tenant).changeUserRoles,
		"DELETE /users/{id}/roles":                           (*Tenant).changeUserRoles,
		"GET /users/{id}/effective-roles":                    (*Tenant).effectiveUserRoles,
		"GET /users/{id}/permissions":                        (*Tenant).userPermissions,
		"POST /users/{id}/permissions":                       (*Tenant).changePermissions,
		"DELETE /users/{id}/permissions":                     (*Tenant).changePermissions,
		"GET /users/{id}/organizations":                      (*Tenant).organizationsOfUser,
		"POST /users/{id}/identities":                        (*Tenant).linkIdentity,
		"DELETE /users/{id}/identities/{provider}/{user_id}": (*Tenant).unlinkIdentity,
		"GET /users/{id}/enrollments":                        (*Tenant).enrollments,
		"DELETE /users/{id}/authentication-methods":          (*Tenant).forgetMethods,
		"DELETE /users/{id}/authenticators":                  (*Tenant).forgetMethods,
	}
}

func (t *Tenant) rolesOfUser(c *call) answer { return links(c, t.userRoles.of[c.argument(0)], t.role) }

func (t *Tenant) effectiveUserRoles(c *call) answer {
	return links(c, t.userRoles.of[c.argument(0)], t.effective)
}

func (t *Tenant) changeUserRoles(c *call) answer {
	return t.relate(c, "roles", "role", http.StatusNotFound, func(role string) { t.set(t.userRoles, c, c.argument(0), role) })
}

// userPermissions shows the permissions of a user, the user's own before those
// that come with roles, each once and with all that it comes from.
func (t *Tenant) userPermissions(c *call) answer {
	user := c.argument(0)
	sources := make(map[string][]any)
	var found []link
	collect := func(holder string, source map[string]any) {
		for _, l := range t.permissions.of[holder] {
			if sources[l.id] == nil {
				found = append(found, l)
			}
			sources[l.id] = append(sources[l.id], source)
		}
	}
	collect(user, map[string]any{"source_id": "", "source_name": "", "source_type": "DIRECT"})
	for _, r := range t.userRoles.of[user] {
		collect(r.id, map[string]any{"source_id": r.id, "source_name": t.role(r)["name"], "source_type": "ROLE"})
	}
	return links(c, found, func(l link) map[string]any {
		doc := t.permission(l)
		doc["sources"] = sources[l.id]
		return doc
	})
}

func (t *Tenant) organizationsOfUser(c *call) answer {
	return links(c, t.members.in[c.argument(0)], t.organization)
}

// identities returns a user's identities; the first is the user's own.
func (u *user) identities() []any {
	list, _ := u.doc["identities"].([]any)
	return list
}

// identityID returns the id of the user whose first identity it is or was.
func identityID(identity any) string {
	doc, _ := identity.(map[string]any)
	return text(doc["provider"]) + "|" + text(doc["user_id"])
}

// linkIdentity makes an identity of a user out of another user.
func (t *Tenant) linkIdentity(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	primary := t.users.byID[c.argument(0)]
	id := text(sent["provider"]) + "|" + strings.Join(lookup(sent["user_id"], ""), "")
	if token := text(sent["link_with"]); token != "" {
		id = text(claims(token)["sub"])
	} else if sent["provider"] == nil || sent["user_id"] == nil {
		return bodyError("Missing required property: link_with", "")
	}
	secondary := t.users.byID[id]
	switch secondary {
	case nil:
		return *missing(http.StatusBadRequest, "user")
	case primary:
		return failure(http.StatusBadRequest, "invalid_body", "Main user and secondary user can't be the same")
	}
	added := slices.Clone(secondary.identities())
	first := maps.Clone(added[0].(map[string]any))
	profile := make(map[string]any)
	for _, p := range userProperties() {
		if v := secondary.doc[p.name]; v != nil && p.kind != "object" && p.name != "blocked" {
			profile[p.name] = v
		}
	}
	first["profileData"], added[0] = profile, first
	t.removeUser(secondary)
	primary.doc["identities"] = append(slices.Clip(primary.identities()), added...)
	primary.doc["updated_at"] = timestamp(c.now)
	return jsonAnswer(c.op.success(), primary.doc["identities"])
}

// unlinkIdentity makes a user of its own out of an identity again, with the
// profile that the user had.
func (t *Tenant) unlinkIdentity(c *call) answer {
	primary := t.users.byID[c.argument(0)]
	list := primary.identities()
	id := c.argument(1) + "|" + c.argument(2)
	i := slices.IndexFunc(list, func(identity any) bool { return identityID(identity) == id })
	switch {
	case i < 0:
		return failure(http.StatusBadRequest, "inexistent_identity", "The identity does not exist.")
	case i == 0:
		return failure(http.StatusBadRequest, "invalid_operation", "The first identity of a user cannot be unlinked.")
	}
	identity := maps.Clone(list[i].(map[string]any))
	profile, _ := identity["profileData"].(map[string]any)
	delete(identity, "profileData")
	rest := slices.Concat(list[:i], list[i+1:])
	primary.doc["identities"], primary.doc["updated_at"] = rest, timestamp(c.now)
	doc := maps.Clone(profile)
	if doc == nil {
		doc = make(map[string]any)
	}
	doc["user_id"], doc["identities"] = id, []any{identity}
	doc["created_at"], doc["updated_at"] = timestamp(c.now), timestamp(c.now)
	if u := (&user{id: id, connection: text(identity["connection"]), doc: doc}); !t.conflict(u) {
		t.users.add(u)
	}
	return jsonAnswer(c.op.success(), rest)
}

// authenticationMethodKind is the methods by which users are told to be
// themselves. Those with a second factor are enrollments too.
func authenticationMethodKind() *kind {
	return &kind{
		noun: "authentication method", path: "/users/{id}/authentication-methods", id: "id", digits: 24, owner: "user", lasting: true,
		begin: func(_ *Tenant, c *call, doc, _ map[string]any) *answer {
			doc["created_at"] = timestamp(c.now)
			delete(doc, "totp_secret")
			return nil
		},
		added: func(t *Tenant, o *object, sent map[string]any) {
			if s := text(sent["totp_secret"]); s != "" {
				t.secrets[o.id] = &secret{text: s}
			}
		},
		gone: func(t *Tenant, o *object) { delete(t.secrets, o.id) },
	}
}

func (t *Tenant) enrollments(c *call) answer {
	list := []map[string]any{}
	for _, o := range t.kept["authentication method"].list[c.argument(0)] {
		method := map[string]any{"phone": "sms", "totp": "authenticator", "push-notification": "guardian", "webauthn-roaming": "webauthn-roaming"}[text(o.doc["type"])]
		if method == nil {
			continue
		}
		e := map[string]any{"id": o.id, "status": "confirmed", "type": o.doc["type"], "auth_method": method, "enrolled_at": o.doc["created_at"]}
		for _, name := range []string{"name", "phone_number"} {
			if v := o.doc[name]; v != nil {
				e[name] = v
			}
		}
		list = append(list, e)
	}
	return jsonAnswer(c.op.success(), list)
}

func (t *Tenant) forgetMethods(c *call) answer {
	for _, o := range slices.Clone(t.kept["authentication method"].list[c.argument(0)]) {
		t.forget(authenticationMethodKind(), o)
	}
	return noContent()
}
