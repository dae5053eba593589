package auth0test

import (
	"net/http"
	"strings"
)

func roleKind() *kind {
	return &kind{
		noun: "role", path: "/roles", id: "id", prefix: "rol_", digits: 16, unique: [][]string{{"name"}}, lasting: true,
		chosen: func(c *call, doc map[string]any) bool {
			name, _ := doc["name"].(string)
			if !strings.Contains(strings.ToLower(name), strings.ToLower(c.query.Get("name_filter"))) {
				return false
			}
			return sameOrOpen(c, doc, "type") && sameOrOpen(c, doc, "owner_id")
		},
	}
}

// sameOrOpen reports whether a document has what a parameter of the query says,
// or the query says nothing.
func sameOrOpen(c *call, doc map[string]any, name string) bool {
	return !c.query.Has(name) || doc[name] == c.query.Get(name)
}

func roleHandlers() handlers {
	return handlers{
		"GET /roles/{id}/permissions":    (*Tenant).rolePermissions,
		"POST /roles/{id}/permissions":   (*Tenant).changePermissions,
		"DELETE /roles/{id}/permissions": (*Tenant).changePermissions,
		"GET /roles/{id}/users":          (*Tenant).roleUsers,
		"POST /roles/{id}/users":         (*Tenant).assignRoleUsers,
	}
}

// permissionKey is the id that a permission has in relations.
func permissionKey(server, name string) string { return server + "\n" + name }

// permission returns a permission as the API shows it.
func (t *Tenant) permission(l link) map[string]any {
	identifier, name, _ := strings.Cut(l.id, "\n")
	doc := map[string]any{"resource_server_identifier": identifier, "permission_name": name, "description": ""}
	if rs := t.resourceServer(identifier); rs != nil {
		doc["resource_server_name"] = rs.doc["name"]
		if scope := scopeOf(rs, name); scope != nil && scope["description"] != nil {
			doc["description"] = scope["description"]
		}
	}
	return doc
}

func (t *Tenant) rolePermissions(c *call) answer {
	return links(c, t.permissions.of[c.argument(0)], t.permission)
}

// changePermissions gives permissions to a role or a user, or takes them.
func (t *Tenant) changePermissions(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	id := c.argument(0)
	var keys []string
	list, _ := sent["permissions"].([]any)
	for _, e := range list {
		p, _ := e.(map[string]any)
		identifier, _ := p["resource_server_identifier"].(string)
		name, _ := p["permission_name"].(string)
		if c.method == http.MethodPost {
			rs := t.resourceServer(identifier)
			if rs == nil {
				return *missing(http.StatusNotFound, "resource server")
			}
			if scopeOf(rs, name) == nil {
				return *missing(http.StatusNotFound, "permission")
			}
		}
		keys = append(keys, permissionKey(identifier, name))
	}
	for _, key := range keys {
		if c.method == http.MethodPost {
			t.permissions.add(t, id, key, nil)
		} else {
			t.permissions.remove(id, key)
		}
	}
	return answer{status: c.op.success(), header: http.Header{}}
}

// person is a user as lists about others show one.
func (t *Tenant) person(id string) map[string]any {
	doc := map[string]any{"user_id": id}
	if u := t.users.byID[id]; u != nil {
		for _, name := range []string{"email", "picture", "name"} {
			if v := u.doc[name]; v != nil {
				doc[name] = v
			}
		}
	}
	return doc
}

func (t *Tenant) roleUsers(c *call) answer {
	return links(c, t.userRoles.in[c.argument(0)], func(l link) map[string]any { return t.person(l.id) })
}

func (t *Tenant) assignRoleUsers(c *call) answer {
	role := c.argument(0)
	return t.relate(c, "users", "user", http.StatusNotFound, func(id string) { t.userRoles.add(t, id, role, nil) })
}

// role is a role as lists about others show one.
func (t *Tenant) role(l link) map[string]any { return t.object("role", l.id).doc }

// effective is a role with how it was got: none of the tenant's comes by a group.
func (t *Tenant) effective(l link) map[string]any {
	role := t.role(l)
	description, _ := role["description"].(string)
	return map[string]any{"id": l.id, "name": role["name"], "description": description, "sources": []string{"direct"}}
}
