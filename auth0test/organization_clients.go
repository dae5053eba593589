package auth0test

import (
	"net/http"
	"slices"
	"strings"
)

// Applications that members of an organization may use, and the domains by which
// the organization of an address is found.

func organizationClientHandlers() handlers {
	return handlers{
		"GET /organizations/{id}/clients":                                   (*Tenant).clientsOfOrganization,
		"POST /organizations/{id}/clients":                                  (*Tenant).addOrganizationClients,
		"DELETE /organizations/{id}/clients":                                (*Tenant).removeOrganizationClients,
		"GET /organizations/{id}/clients/{client_id}":                       (*Tenant).organizationClient,
		"PATCH /organizations/{id}/clients/{client_id}":                     (*Tenant).organizationClient,
		"GET /organizations/{id}/discovery-domains/name/{discovery_domain}": (*Tenant).discoveryDomainByName,
	}
}

// clientOf shows an application of an organization.
func (t *Tenant) clientOf(l link) map[string]any {
	about := make(map[string]any)
	for _, name := range []string{"name", "app_type", "logo_uri", "is_first_party", "grant_types", "organization_usage"} {
		if v := t.object("client", l.id).doc[name]; v != nil {
			about[name] = v
		}
	}
	return map[string]any{"client_id": l.id, "use_for_member_access": l.doc["use_for_member_access"], "client": about}
}

func (t *Tenant) clientsOfOrganization(c *call) answer {
	return links(c, t.organizationClients.of[c.argument(0)], t.clientOf)
}

func (t *Tenant) addOrganizationClients(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	list, _ := sent["clients"].([]any)
	for _, e := range list {
		one, _ := e.(map[string]any)
		if bad := t.absent("client", text(one["client_id"]), http.StatusNotFound); bad != nil {
			return *bad
		}
	}
	docs := []map[string]any{}
	for _, e := range list {
		one, _ := e.(map[string]any)
		id := text(one["client_id"])
		t.organizationClients.add(t, c.argument(0), id, map[string]any{})
		l := t.organizationClients.get(c.argument(0), id)
		l.doc["use_for_member_access"] = one["use_for_member_access"]
		docs = append(docs, t.clientOf(link{id: id, doc: l.doc}))
	}
	return jsonAnswer(c.op.success(), docs)
}

func (t *Tenant) removeOrganizationClients(c *call) answer {
	return t.relate(c, "clients", "client", http.StatusNotFound, func(id string) { t.organizationClients.remove(c.argument(0), id) })
}

// organizationClient shows or changes an application of an organization.
func (t *Tenant) organizationClient(c *call) answer {
	l := t.organizationClients.get(c.argument(0), c.argument(1))
	if l == nil {
		return *missing(http.StatusNotFound, "client")
	}
	if c.method == http.MethodPatch {
		sent, bad := c.payload()
		if bad != nil {
			return *bad
		}
		if v, given := sent["use_for_member_access"]; given {
			l.doc["use_for_member_access"] = v
		}
	}
	return jsonAnswer(c.op.success(), t.clientOf(link{id: c.argument(1), doc: l.doc}))
}

func discoveryDomainKind() *kind {
	return &kind{
		noun: "discovery domain", path: "/organizations/{id}/discovery-domains", id: "id", prefix: "org_domain_", digits: 16,
		owner: "organization", unique: [][]string{{"domain"}},
		begin: func(t *Tenant, _ *call, doc, _ map[string]any) *answer {
			doc["domain"] = strings.ToLower(text(doc["domain"]))
			for name, v := range map[string]any{
				"status": "pending", "use_for_organization_discovery": true,
				"verification_txt": "auth0-domain-verification=" + t.newID(32), "verification_host": "_auth0-challenge." + text(doc["domain"]),
			} {
				setDefault(doc, name, v)
			}
			return nil
		},
	}
}

func (t *Tenant) discoveryDomainByName(c *call) answer {
	list := t.kept["discovery domain"].list[c.argument(0)]
	i := slices.IndexFunc(list, func(o *object) bool { return o.doc["domain"] == strings.ToLower(c.argument(1)) })
	if i < 0 {
		return *missing(http.StatusNotFound, "discovery domain")
	}
	return jsonAnswer(c.op.success(), list[i].doc)
}
