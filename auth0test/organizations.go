package auth0test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

func organizationKind() *kind {
	return &kind{
		noun: "organization", path: "/organizations", id: "id", prefix: "org_", digits: 16, unique: [][]string{{"name"}}, lasting: true,
		begin: func(t *Tenant, _ *call, doc, sent map[string]any) *answer {
			setDefault(doc, "display_name", doc["name"])
			delete(doc, "enabled_connections") // kept as links
			for _, e := range connectionsOf(sent) {
				if bad := t.absent("connection", text(e["connection_id"]), http.StatusBadRequest); bad != nil {
					return bad
				}
			}
			return nil
		},
		added: func(t *Tenant, o *object, sent map[string]any) {
			for _, e := range connectionsOf(sent) {
				t.enableConnection(o.id, e)
			}
		},
	}
}

// connectionsOf returns the connections that a new organization enables.
func connectionsOf(sent map[string]any) []map[string]any {
	list, _ := sent["enabled_connections"].([]any)
	docs := make([]map[string]any, len(list))
	for i, e := range list {
		docs[i], _ = e.(map[string]any)
	}
	return docs
}

// invitationLife is how long an invitation holds where nothing is said.
const invitationLife = 7 * 24 * time.Hour

func invitationKind() *kind {
	return &kind{
		noun: "invitation", path: "/organizations/{id}/invitations", id: "id", prefix: "uinv_", digits: 16, owner: "organization", lasting: true,
		begin: func(t *Tenant, c *call, doc, sent map[string]any) *answer {
			if bad := t.absent("client", text(sent["client_id"]), http.StatusNotFound); bad != nil {
				return bad
			}
			life := invitationLife
			if n, ok := whole(sent["ttl_sec"]); ok && n > 0 {
				life = time.Duration(n) * time.Second
			}
			organization := c.argument(0)
			doc["organization_id"], doc["ticket_id"] = organization, t.newID(32)
			doc["created_at"], doc["expires_at"] = timestamp(c.now), timestamp(c.now+life)
			doc["invitation_url"] = "https://" + t.o.Domain + "/login?" + url.Values{
				"invitation": {text(doc["ticket_id"])}, "organization": {organization}, "organization_name": {text(t.object("organization", organization).doc["name"])},
			}.Encode()
			return nil
		},
	}
}

func organizationHandlers() handlers {
	h := handlers{
		"GET /organizations/name/{name}":                            (*Tenant).organizationByName,
		"GET /organizations/{id}/members":                           (*Tenant).organizationMembers,
		"POST /organizations/{id}/members":                          (*Tenant).changeMembers,
		"DELETE /organizations/{id}/members":                        (*Tenant).changeMembers,
		"GET /organizations/{id}/members/{user_id}/roles":           (*Tenant).memberRolesOf,
		"POST /organizations/{id}/members/{user_id}/roles":          (*Tenant).changeMemberRoles,
		"DELETE /organizations/{id}/members/{user_id}/roles":        (*Tenant).changeMemberRoles,
		"GET /organizations/{id}/roles/{role_id}/members":           (*Tenant).membersWithRole,
		"GET /organizations/{id}/client-grants":                     (*Tenant).grantsOfOrganization,
		"POST /organizations/{id}/client-grants":                    (*Tenant).addOrganizationGrant,
		"DELETE /organizations/{id}/client-grants/{grant_id}":       (*Tenant).removeOrganizationGrant,
		"GET /organizations/{id}/members/{user_id}/effective-roles": (*Tenant).effectiveMemberRoles,
	}
	// The same links are reached by two paths; the later one shows more of them.
	for path, one := range map[string]string{
		"/organizations/{id}/enabled_connections": "/{connectionId}", "/organizations/{id}/connections": "/{connection_id}",
	} {
		h["GET "+path] = (*Tenant).organizationConnectionsOf
		h["POST "+path] = (*Tenant).addOrganizationConnection
		h["GET "+path+one] = (*Tenant).organizationConnection
		h["PATCH "+path+one] = (*Tenant).organizationConnection
		h["DELETE "+path+one] = (*Tenant).organizationConnection
	}
	return h
}

func (t *Tenant) organizationByName(c *call) answer {
	for _, o := range t.kept["organization"].list[""] {
		if o.doc["name"] == c.argument(0) {
			return jsonAnswer(c.op.success(), o.doc)
		}
	}
	return *missing(http.StatusNotFound, "organization")
}

func (t *Tenant) organizationMembers(c *call) answer {
	id := c.argument(0)
	withRoles := slices.Contains(strings.Split(c.query.Get("fields"), ","), "roles")
	return links(c, t.members.of[id], func(l link) map[string]any {
		doc := t.person(l.id)
		if withRoles {
			roles := []map[string]any{}
			for _, r := range t.memberRoles.of[memberKey(id, l.id)] {
				roles = append(roles, map[string]any{"id": r.id, "name": t.role(r)["name"]})
			}
			doc["roles"] = roles
		}
		return doc
	})
}

// memberKey is the id that a member has in relations.
func memberKey(organization, user string) string { return organization + "\n" + user }

func (t *Tenant) changeMembers(c *call) answer {
	id := c.argument(0)
	return t.relate(c, "members", "user", http.StatusBadRequest, func(user string) {
		if c.method == http.MethodPost {
			t.members.add(t, id, user, nil)
			return
		}
		t.memberRoles.drop(memberKey(id, user))
		t.members.remove(id, user)
	})
}

// member returns the key of the member that a path names, or the refusal.
func (t *Tenant) member(c *call) (string, *answer) {
	organization, user := c.argument(0), c.argument(1)
	if t.members.get(organization, user) == nil {
		return "", missing(http.StatusNotFound, "member")
	}
	return memberKey(organization, user), nil
}

func (t *Tenant) memberRolesOf(c *call) answer {
	key, bad := t.member(c)
	if bad != nil {
		return *bad
	}
	return links(c, t.memberRoles.of[key], t.role)
}

func (t *Tenant) effectiveMemberRoles(c *call) answer {
	key, bad := t.member(c)
	if bad != nil {
		return *bad
	}
	return links(c, t.memberRoles.of[key], t.effective)
}

func (t *Tenant) changeMemberRoles(c *call) answer {
	key, bad := t.member(c)
	if bad != nil {
		return *bad
	}
	return t.relate(c, "roles", "role", http.StatusBadRequest, func(role string) { t.set(t.memberRoles, c, key, role) })
}

// set adds a link, or removes it, as the method says.
func (t *Tenant) set(r *relation, c *call, left, right string) {
	if c.method == http.MethodPost {
		r.add(t, left, right, nil)
		return
	}
	r.remove(left, right)
}

func (t *Tenant) membersWithRole(c *call) answer {
	organization, role := c.argument(0), c.argument(1)
	if bad := t.absent("role", role, http.StatusNotFound); bad != nil {
		return *bad
	}
	var found []link
	for _, l := range t.memberRoles.in[role] {
		if in, user, _ := strings.Cut(l.id, "\n"); in == organization {
			found = append(found, link{id: user, seq: l.seq})
		}
	}
	return links(c, found, func(l link) map[string]any { return t.person(l.id) })
}

// enableConnection links a connection to an organization. sent says how.
func (t *Tenant) enableConnection(organization string, sent map[string]any) *link {
	id := text(sent["connection_id"])
	doc := map[string]any{
		"assign_membership_on_login": false, "show_as_button": true, "is_signup_enabled": false,
		"is_enabled": true, "organization_access_level": "none",
	}
	maps.Copy(doc, sent)
	t.organizationConnections.add(t, organization, id, doc)
	return t.organizationConnections.get(organization, id)
}

// connectionOf shows a connection of an organization with what the operation's
// answer has a place for.
func (t *Tenant) connectionOf(c *call, id string, link map[string]any) map[string]any {
	con := t.object("connection", id).doc
	doc := make(map[string]any)
	for _, a := range describe().shapes[c.op.answers].attributes {
		if v := link[a.name]; v != nil {
			doc[a.name] = v
		}
	}
	doc["connection"] = map[string]any{"name": con["name"], "strategy": con["strategy"]}
	return doc
}

func (t *Tenant) organizationConnectionsOf(c *call) answer {
	id := c.argument(0)
	found := slices.DeleteFunc(slices.Clone(t.organizationConnections.of[id]), func(l link) bool { return !c.filters(l.doc) })
	return paged(c, found, link.sequence, func(l link) map[string]any { return t.connectionOf(c, l.id, l.doc) })
}

// joining reads a payload that names one more thing that an organization gets,
// and refuses it when there is no such thing or the organization has it.
func (t *Tenant) joining(c *call, r *relation, property, noun string) (id string, sent map[string]any, bad *answer) {
	if sent, bad = c.payload(); bad != nil {
		return "", nil, bad
	}
	id = text(sent[property])
	if bad = t.absent(noun, id, http.StatusNotFound); bad != nil {
		return "", nil, bad
	}
	if r.get(c.argument(0), id) != nil {
		a := failure(http.StatusConflict, "organization_"+strings.ReplaceAll(noun, " ", "_")+"_conflict", "The organization has this "+noun+".")
		return "", nil, &a
	}
	return id, sent, nil
}

func (t *Tenant) addOrganizationConnection(c *call) answer {
	id, sent, bad := t.joining(c, t.organizationConnections, "connection_id", "connection")
	if bad != nil {
		return *bad
	}
	return jsonAnswer(c.op.success(), t.connectionOf(c, id, t.enableConnection(c.argument(0), sent).doc))
}

// organizationConnection shows, changes or removes one connection of an organization.
func (t *Tenant) organizationConnection(c *call) answer {
	organization, id := c.argument(0), c.argument(1)
	l := t.organizationConnections.get(organization, id)
	if l == nil {
		return *missing(http.StatusNotFound, "connection")
	}
	switch c.method {
	case http.MethodDelete:
		t.organizationConnections.remove(organization, id)
		return noContent()
	case http.MethodPatch:
		sent, bad := c.payload()
		if bad != nil {
			return *bad
		}
		maps.Copy(l.doc, sent)
	}
	return jsonAnswer(c.op.success(), t.connectionOf(c, id, l.doc))
}

func (t *Tenant) grantsOfOrganization(c *call) answer {
	id := c.argument(0)
	ids := c.query["grant_ids"]
	found := slices.DeleteFunc(slices.Clone(t.organizationGrants.of[id]), func(l link) bool {
		doc := t.object("client grant", l.id).doc
		return len(ids) > 0 && !slices.Contains(ids, l.id) || !sameOrOpen(c, doc, "audience") || !sameOrOpen(c, doc, "client_id")
	})
	return paged(c, found, link.sequence, func(l link) map[string]any { return t.grantOf(l.id) })
}

// grantOf shows a client grant of an organization.
func (t *Tenant) grantOf(id string) map[string]any {
	doc := make(map[string]any)
	for _, name := range []string{"id", "client_id", "audience", "scope", "organization_usage", "allow_any_organization"} {
		if v := t.object("client grant", id).doc[name]; v != nil {
			doc[name] = v
		}
	}
	return doc
}

func (t *Tenant) addOrganizationGrant(c *call) answer {
	id, _, bad := t.joining(c, t.organizationGrants, "grant_id", "client grant")
	if bad != nil {
		return *bad
	}
	t.organizationGrants.add(t, c.argument(0), id, nil)
	return jsonAnswer(c.op.success(), t.grantOf(id))
}

func (t *Tenant) removeOrganizationGrant(c *call) answer {
	id, grant := c.argument(0), c.argument(1)
	if t.organizationGrants.get(id, grant) == nil {
		return *missing(http.StatusNotFound, "client grant")
	}
	t.organizationGrants.remove(id, grant)
	return noContent()
}
