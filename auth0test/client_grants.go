package auth0test

import "net/http"

func clientGrantKind() *kind {
	return &kind{
		noun: "client grant", path: "/client-grants", id: "id", prefix: "cgr_", digits: 16,
		unique: [][]string{{"client_id", "audience", "subject_type"}},
		begin: func(t *Tenant, _ *call, doc, _ map[string]any) *answer {
			for name, v := range map[string]any{
				"scope": []any{}, "organization_usage": "deny", "allow_any_organization": false, "subject_type": "client", "is_system": false,
			} {
				setDefault(doc, name, v)
			}
			audience, _ := doc["audience"].(string)
			if t.resourceServer(audience) == nil {
				return missing(http.StatusNotFound, "resource server")
			}
			if client, ok := doc["client_id"].(string); ok && t.object("client", client) == nil {
				return missing(http.StatusNotFound, "client")
			}
			return nil
		},
	}
}

func clientGrantHandlers() handlers {
	return handlers{"GET /client-grants/{id}/organizations": func(t *Tenant, c *call) answer {
		return links(c, t.organizationGrants.in[c.argument(0)], t.organization)
	}}
}

// organization is an organization that something is linked to.
func (t *Tenant) organization(l link) map[string]any { return t.object("organization", l.id).doc }

// granted returns the scopes that an application may ask an audience for. The
// applications of Options need no grant.
func (t *Tenant) granted(client, audience string) ([]string, bool) {
	for _, c := range t.o.Clients {
		if c.ID == client {
			return c.Scopes, true
		}
	}
	for _, o := range t.kept["client grant"].list[""] {
		if o.doc["client_id"] == client && o.doc["audience"] == audience && o.doc["subject_type"] == "client" {
			if scopes := texts(o.doc["scope"]); len(scopes) > 0 {
				return scopes, true
			}
			return []string{""}, true // none, which nil does not mean
		}
	}
	return nil, false
}
